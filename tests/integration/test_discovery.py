"""Discovery against small ONVIF devices on the loopback, polite ones and others."""

import asyncio
import tracemalloc
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli import main as command
from domain.errors import ConfigError
from edge_bridge.check import check_camera
from edge_bridge.config import load
from edge_bridge.discovery.discover import DiscoveryRequest, discover, print_table, write_draft
from edge_bridge.discovery.draft import Secrets, cameras_of
from edge_bridge.discovery.onvif import DeviceDescription
from edge_bridge.discovery.soap import Login
from tests.footage import write_clip
from tests.onvif_device import Auth, Manner, OnvifDevice, answering
from tests.rtsp_camera import H264, RtspCamera, Track, pictures

LOGIN = Login("vigil", SecretStr("s3cret & <more>"))


async def read(
    device: OnvifDevice, login: Login | None = LOGIN, within_s: float = 10
) -> DeviceDescription:
    async with device.running():
        wanted = DiscoveryRequest(devices=(f"127.0.0.1:{device.port}",), device_s=within_s)
        (out,) = await discover(wanted, login)
        return out


async def test_a_device_is_found_read_and_drafted(tmp_path: Path) -> None:
    device = OnvifDevice()
    rubbish = (b"\xff" * 2_000, b"<a>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    async with device.running(), answering(device, rubbish=rubbish) as group:
        wanted = DiscoveryRequest("127.0.0.1", search_s=3, group=group)
        devices = await discover(wanted, LOGIN)
    good = [one for one in devices if not one.fault]
    assert [one.name for one in good] == ["Front Gate"]
    assert good[0].model == "Acme Dome [red]7[/]"
    assert [one.fault for one in devices if one.fault]  # the invalid answers are listed
    path = tmp_path / "edge.yaml"
    secrets = Secrets("vigil", "CAMERA_PASSWORD")
    write_draft(path, cameras_of(devices), "acme/berlin", "berlin-1", secrets)
    (camera,) = load(path).cameras
    assert camera.id == "front-gate"
    assert camera.url == "rtsp://127.0.0.1:8554/main?x=1&y=2"  # largest; neither user nor elsewhere
    assert (camera.username, camera.password_env) == ("vigil", "CAMERA_PASSWORD")
    assert camera.sub_url is not None
    assert camera.sub_url.startswith("rtsp://127.0.0.1:8554/sub")
    drafted = path.read_text()
    assert "shown" not in drafted and "s3cret" not in drafted
    with pytest.raises(ConfigError, match="already exists"):
        write_draft(path, cameras_of(devices), "acme/berlin", "berlin-1", secrets)


@pytest.mark.parametrize("auth", ["none", "message", "http"])
@pytest.mark.parametrize("media2", [True, False])
async def test_both_media_services_and_all_ways_to_log_in(auth: Auth, media2: bool) -> None:
    out = await read(OnvifDevice(auth=auth, media2=media2))
    assert out.fault == ""
    assert [(one.token, one.codec, one.width) for one in out.profiles] == [
        ("sub", "H264", 640),
        ("main", "H265", 3840),
    ]
    assert [one.url for one in out.profiles] == [
        "rtsp://127.0.0.1:8554/sub?x=1&y=2",
        "rtsp://127.0.0.1:8554/main?x=1&y=2",
    ]


async def test_a_camera_whose_clock_is_wrong_is_logged_in_to() -> None:
    assert (await read(OnvifDevice(clock_ahead_s=-86_400))).fault == ""


@pytest.mark.parametrize("auth", ["message", "http"])
async def test_a_wrong_password_is_tried_once(auth: Auth) -> None:
    device = OnvifDevice(auth=auth)
    out = await read(device, Login("vigil", SecretStr("other")))
    assert "rejects the user name or password" in out.fault
    assert device.asked.count("GetDeviceInformation") <= 2  # the challenge, and one answer
    assert set(device.asked) == {"GetSystemDateAndTime", "GetDeviceInformation"}


async def test_a_device_that_asks_for_a_password() -> None:
    out = await read(OnvifDevice(), None)
    assert "requires a login" in out.fault


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("rubbish", "XML"),
        ("hang", "time"),
        ("endless", "more than 1 MiB"),
        ("headers", "HTTP"),
        ("bomb", "DTD"),
        ("file", "DTD"),
        ("redirect", "not followed"),
        ("drip", "time"),
        ("fault", "rejects the call: "),
        ("gzip", "XML"),
        ("deep", "not SOAP"),
        ("attributes", "not SOAP"),
        ("empty", "not XML"),
    ],
)
async def test_a_bad_device_is_listed_and_the_others_are_read(manner: Manner, says: str) -> None:
    good, bad = OnvifDevice(), OnvifDevice(manner=manner)
    patience_s = (
        6 if manner in ("hang", "drip") else 20
    )  # the good one answers in less on a busy machine
    tracemalloc.start()
    try:
        async with good.running(), bad.running(), asyncio.timeout(60):
            addresses = (f"127.0.0.1:{bad.port}", f"127.0.0.1:{good.port}")
            wanted = DiscoveryRequest(devices=addresses, device_s=patience_s)
            failed, found = await discover(wanted, LOGIN)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert says in failed.fault
    assert failed.fault.isprintable()
    assert not failed.profiles
    assert found.fault == "" and len(found.profiles) == 2
    assert peak < 64 << 20


async def test_several_devices_answer_twice_from_wrong_addresses(tmp_path: Path) -> None:
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 80)
    camera = RtspCamera([Track(H264, lambda: pictures(clip))])
    only = [("main", "s", "H264", 192, 128)]
    # Behind an address translation; by IPv6 alone; a clock hours off; one that is of no use.
    here = f"rtsp://192.0.2.7:{camera.port}/%s"
    gate = OnvifDevice(name="Gate", uri=here, profiles=only, xaddr_host="192.0.2.7")
    yard = OnvifDevice(
        name="Yard", uri=here.replace("%s", "yard-%s"), profiles=only, xaddr_host="[2001:db8::7]",
        media2=False, clock_ahead_s=-7 * 3_600,
    )  # fmt: skip
    odd = OnvifDevice(
        name="Odd", uri="http://192.0.2.7/%s", manner="typed", clock_ahead_s=9 * 3_600
    )
    async with AsyncExitStack() as stack:
        for one in (gate, yard, odd):
            await stack.enter_async_context(one.running())
        group = await stack.enter_async_context(answering(gate, yard, odd))
        devices = await discover(DiscoveryRequest("127.0.0.1", search_s=3, group=group), LOGIN)
    assert sorted((one.name, one.fault) for one in devices) == [
        ("Gate", ""), ("Odd", "profile main: reports no RTSP address"), ("Yard", ""),
    ]  # fmt: skip
    for one in (gate, yard, odd):
        assert one.asked.count("GetProfiles") == 1, "however often it answers the search"
    path = tmp_path / "edge.yaml"
    write_draft(
        path, cameras_of(devices), "acme/berlin", "berlin-1", Secrets("vigil", "CAM_PASSWORD")
    )
    # devices of one address come in the order of their ports, which are chance
    drafted = sorted(load(path).cameras, key=lambda one: one.id)
    assert [(one.id, one.url) for one in drafted] == [
        ("gate", f"rtsp://127.0.0.1:{camera.port}/main"),
        ("yard", f"rtsp://127.0.0.1:{camera.port}/yard-main"),
    ]
    # What `vigil edge check` says of the draft, before the password is there and after.
    before = await asyncio.to_thread(check_camera, drafted[0], 30)
    assert (before.state, "CAM_PASSWORD" in before.detail) == ("bad", True)
    with camera, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAM_PASSWORD", LOGIN.password.get_secret_value())
        after = await asyncio.to_thread(check_camera, drafted[0], 30)
    assert after.state == "good", after


async def test_many_sources_are_many_cameras_and_one_address_is_one(tmp_path: Path) -> None:
    recorder = OnvifDevice(
        name="NVR",
        profiles=[
            ("a1", "s1", "H264", 640, 360),
            ("a2", "s1", "H264", 1920, 1080),
            ("b1", "s2", "H264", 640, 360),
        ],
    )
    same, nameless = OnvifDevice(name="NVR", uri="rtsp://h/%s"), OnvifDevice(name="", uri="x:%s")
    async with AsyncExitStack() as stack:
        for one in (recorder, same, nameless):
            await stack.enter_async_context(one.running())
        addresses = tuple(f"127.0.0.1:{one.port}" for one in (recorder, same, nameless))
        devices = await discover(DiscoveryRequest(devices=addresses), LOGIN)
    found = cameras_of([*devices, devices[0]])
    assert [(one.id, one.main.token) for one in found] == [
        ("camera-127-0-0-1-1", "a2"),
        ("camera-127-0-0-1-2", "b1"),
        ("camera-127-0-0-1", "main"),
    ]
    assert "no RTSP address" in devices[2].fault
    print_table(devices, found)


async def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "s3cret & <more>")
    out = tmp_path / "edge.yaml"
    async with OnvifDevice().running() as device, OnvifDevice(manner="rubbish").running() as bad:
        asked = ["--device", f"127.0.0.1:{device.port}", "--device", f"127.0.0.1:{bad.port}"]
        given = ["edge", "discover", *asked, "--username", "vigil"]
        password = ["--password-env", "CAMERA_PASSWORD", "--out", str(out)]
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(command.main, [*given, *password])
        assert ended.value.code == 0
        for wrong, says in (
            ([*given, *password], "already exists"),
            (given, "together"),
            (["edge", "discover", "--device", "x:y", "--out", "z"], "is not an address"),
            (["edge", "discover", "--interface", "203.0.113.77", "--out", "z"], "camera network"),
        ):
            with pytest.raises(SystemExit) as ended:
                await asyncio.to_thread(command.main, wrong)
            assert says in str(ended.value.code)
    printed = capsys.readouterr().out
    assert "rtsp://127.0.0.1:8554/main" in printed
    assert "not XML" in printed
    assert len(load(out).cameras) == 1
