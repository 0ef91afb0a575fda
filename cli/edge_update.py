"""`vigil edge update`: the update agent of a device, and what it noted."""

import argparse
import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Any

from domain.errors import ConfigError
from domain.printable import escaped
from edge_bridge.config.update import UpdateConfig, load_update_config

_CONFIG = Path("/etc/vigil/update.yaml")
_FOLDER = Path("/srv/vigil/updates")
_HEALTH = "http://127.0.0.1:9500/healthz"


def add(actions: Any) -> None:
    """Add `edge update run`, `status`, `lock` and `unlock`."""
    update = actions.add_parser("update", help="install releases that the fleet's rollouts bring")
    verbs = update.add_subparsers(metavar="COMMAND", required=True)
    fetch = verbs.add_parser(
        "fetch", help="download a bundle of the system slowly, next to a recorder that works"
    )
    fetch.add_argument("url", help="address of the bundle, by HTTPS")
    fetch.add_argument("--sha256", required=True, help="SHA-256 of the bundle, in hex")
    fetch.add_argument("--size", required=True, type=int, help="its size in bytes")
    fetch.add_argument(
        "--folder", type=Path, default=_FOLDER, help=f"where it is kept (default {_FOLDER})"
    )
    fetch.add_argument(
        "--kbit", type=int, default=8_000, help="the most it may take, kbit/s (default 8000)"
    )
    fetch.add_argument(
        "--health-url", default=_HEALTH, help=f"the recorder's health (default {_HEALTH})"
    )
    fetch.set_defaults(run=_fetch)
    for name, text, run in (
        ("run", "ask, verify, install and check until stopped", _run),
        ("status", "show what is installed, and how far an update is", _status),
        ("lock", "install nothing on this device until `unlock`", _lock),
        ("unlock", "end the lock of this device", _unlock),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument(
            "--config", type=Path, default=_CONFIG, help=f"the agent's file (default {_CONFIG})"
        )
        verb.set_defaults(run=run)
        if name == "lock":
            verb.add_argument("--reason", required=True, help="why, shown to people")
        if name == "status":
            verb.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: argparse.Namespace) -> int:
    from edge_bridge import logs  # noqa: PLC0415 - only this command needs them
    from edge_bridge.heartbeat import software  # noqa: PLC0415 - as above
    from edge_bridge.update.agent import UpdateAgent, UpdateDevice  # noqa: PLC0415 - as above
    from edge_bridge.update.centre import DeviceUpdateCentre  # noqa: PLC0415 - as above
    from edge_bridge.update.runtime import ContainerRuntime  # noqa: PLC0415 - as above

    config = load_update_config(arguments.config)
    logs.set_up("INFO")
    agent = UpdateAgent(
        UpdateDevice(
            config.hardware,
            config.folder,
            [bytes.fromhex(key) for key in config.release_keys],
            agent=software(),
            system=_system(),
        ),
        DeviceUpdateCentre(config.identity_dir),
        ContainerRuntime(
            config.repository,
            config.env_file,
            config.health_url,
            unit=config.unit,
            container=config.container,
            engine=config.engine,
        ),
    )

    async def main() -> None:
        task = asyncio.ensure_future(agent.run())
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from edge_bridge import logs  # noqa: PLC0415 - only this command needs them
    from edge_bridge.update.download import Artifact  # noqa: PLC0415 - as above
    from edge_bridge.update.fetch import fetch_bundle  # noqa: PLC0415 - as above
    from edge_bridge.update.part_file import prune  # noqa: PLC0415 - as above

    if arguments.kbit <= 0:
        raise ConfigError("--kbit must be more than 0.")
    logs.set_up("INFO")
    artifact = Artifact(arguments.size, arguments.sha256.lower())
    prune(arguments.folder, {artifact.sha256})
    path = asyncio.run(
        fetch_bundle(
            arguments.url, artifact, arguments.folder,
            cap_bytes_per_s=arguments.kbit * 125, health_url=arguments.health_url,
        )
    )  # fmt: skip
    print(path)
    return 0


def _system() -> str:
    """Return the name and version of the operating system."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return ""
    found = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    return found.get("PRETTY_NAME", "")[:100]


def _notes(config: UpdateConfig) -> dict[str, Any]:
    from edge_bridge.update.notes import NotesFile  # noqa: PLC0415 - only this command needs it

    notes = NotesFile(config.folder).load()
    return {**notes.model_dump(mode="json"), "lock": _lock_text(config)}


def _lock_text(config: UpdateConfig) -> str | None:
    try:
        return (config.folder / "lock").read_text(errors="replace").strip()
    except OSError:
        return None


def _status(arguments: argparse.Namespace) -> int:
    notes = _notes(load_update_config(arguments.config))
    if arguments.json:
        print(json.dumps(notes))
        return 0
    good, update = notes["good"], notes["update"]
    print("installed:", "not known" if good is None else f"{good['image']} "
          f"(release {good['release'] or 'unknown'})")  # fmt: skip
    if update is not None:
        print(
            f"release {update['release']}: {update['state']} {escaped(update['reason'])}".rstrip()
        )
    if notes["lock"] is not None:
        print(f"locked on this device: {escaped(notes['lock'])}")
    return 0


def _lock(arguments: argparse.Namespace) -> int:
    config = load_update_config(arguments.config)
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
        (config.folder / "lock").write_text(f"{arguments.reason.strip()}\n")
    except OSError as error:
        raise ConfigError(f"{config.folder} cannot be written: {error.strerror}.") from None
    print("Nothing is installed on this device until `vigil edge update unlock`.")
    return 0


def _unlock(arguments: argparse.Namespace) -> int:
    config = load_update_config(arguments.config)
    try:
        (config.folder / "lock").unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{config.folder}/lock cannot be deleted: {error.strerror}.") from None
    print("Updates of this device are not locked.")
    return 0
