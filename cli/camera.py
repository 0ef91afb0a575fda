"""`vigil camera`: register cameras, so that their events are accepted, list and retire them."""

import argparse
import asyncio

from cli import camera_windows
from cli.audit_origin import cli_origin
from domain.display_text import check_name
from domain.errors import ConfigError
from domain.identity import check_camera, site_of
from domain.times import utc_ms
from domain.window_lengths import WindowLengths
from stores.catalog import Catalog, add_camera, list_cameras
from stores.catalog.camera_windows import CameraWindowSettings, cameras_with_windows
from stores.catalog.cameras import CameraSettings, retire_camera, set_camera
from stores.catalog.site_configs import get_config
from stores.catalog.tenants import get_site
from streams.settings import get_settings
from streams.storage import admin_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `camera add`, `list`, `retire`, `disable`, `enable` and `windows`."""
    parser = commands.add_parser("camera", help="register, list, disable and retire cameras")
    verbs = parser.add_subparsers(dest="verb", required=True)
    adding = verbs.add_parser("add", help="register a camera, or rename a registered one")
    adding.add_argument("camera", metavar="TENANT/SITE/CAMERA", help="the camera's id")
    adding.add_argument("--name", help="name shown to people (default: the id's last part)")
    adding.set_defaults(run=run_add)
    retiring = verbs.add_parser(
        "retire", help="take a camera out of use: it is hidden, and its footage is kept"
    )
    retiring.add_argument("camera", metavar="TENANT/SITE/CAMERA", help="the camera's id")
    retiring.set_defaults(run=run_retire)
    for verb, text in (
        ("disable", "stop recording a camera: the site's configuration is sent without it"),
        ("enable", "record a disabled camera again"),
    ):
        switching = verbs.add_parser(verb, help=text)
        switching.add_argument("camera", metavar="TENANT/SITE/CAMERA", help="the camera's id")
        switching.set_defaults(run=run_switch, enabled=verb == "enable")
    listing = verbs.add_parser("list", help="list the registered cameras")
    listing.set_defaults(run=run_list)
    camera_windows.add(verbs)


def _catalog() -> Catalog:
    return admin_catalog(get_settings())


def run_add(args: argparse.Namespace) -> int:
    """Register or rename; prints what was done."""
    camera = check_camera(args.camera)
    name = check_name(args.name or camera.rsplit("/", 1)[1])

    site = site_of(camera)

    async def adding() -> tuple[bool, bool]:
        async with _catalog() as catalog:
            is_new_site = await get_site(catalog, site) is None
            added = await add_camera(catalog, camera, name, utc_ms(), origin=cli_origin())
            return added, is_new_site

    added, is_new_site = asyncio.run(adding())
    print(f"{'Added' if added else 'Renamed'} {camera} ({name}).")
    if is_new_site:
        print(
            f"{site} is new and refuses events that no device signed. Enrol its device "
            f"(vigil device code {site}), or accept them (vigil site unsigned {site} warn)."
        )
    return 0


def run_retire(args: argparse.Namespace) -> int:
    """Take out of use; prints what that means."""
    camera = check_camera(args.camera)

    async def retiring() -> bool:
        async with _catalog() as catalog:
            return await retire_camera(catalog, camera, utc_ms(), origin=cli_origin())

    if not asyncio.run(retiring()):
        raise ConfigError(f"{camera} is not registered: `vigil camera list` shows all cameras.")
    print(
        f"{camera} is out of use. Its footage is kept by its retention rules. "
        "It comes back when it sends footage, or by `vigil camera add`."
    )
    return 0


def run_switch(args: argparse.Namespace) -> int:
    """Disable or enable; prints what follows."""
    camera = check_camera(args.camera)

    async def switching() -> tuple[CameraSettings | None, bool]:
        async with _catalog() as catalog:
            now_ms = utc_ms()
            changed = await set_camera(
                catalog,
                camera,
                lambda before: before.with_enabled(args.enabled, now_ms),
                "camera:enable" if args.enabled else "camera:disable",
                now_ms=now_ms,
                origin=cli_origin(),
            )
            config = await get_config(catalog, site_of(camera))
            return changed, config is not None and config.has_camera(camera.rsplit("/", 1)[1])

    changed, is_central = asyncio.run(switching())
    if changed is None:
        raise ConfigError(f"{camera} is not registered: `vigil camera list` shows all cameras.")
    print(f"{camera} is {'enabled' if args.enabled else 'disabled'}.")
    if not is_central:
        print(
            "Its edge does not learn of it: the site has no configuration in the catalog with this "
            "camera. Change the device's own file, or use `vigil site config set`."
        )
    return 0


def run_list(_args: argparse.Namespace) -> int:
    """List; one line each: id, name, end of the newest footage (UTC ms), windows, out of use."""
    settings = get_settings()
    default = WindowLengths.always(settings.window_ms)

    async def listing() -> int:
        async with admin_catalog(settings) as catalog:
            known = {each.camera: each for each in await cameras_with_windows(catalog)}
            for camera in await list_cameras(catalog, utc_ms()):
                newest = camera.last_ms if camera.last_ms is not None else "no footage"
                windows = known.get(camera.id) or CameraWindowSettings(camera.id, default)
                print(
                    f"{camera.id:<50} {camera.name:<30} {newest!s:<13}  "
                    f"{camera_windows.describe(windows, settings)}"
                    f"{'' if camera.disabled_ms is None else '  disabled'}"
                    f"{'' if camera.retired_ms is None else '  out of use'}"
                )
        return 0

    return asyncio.run(listing())
