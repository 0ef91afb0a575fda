"""Untrusted answers cannot make the edge do anything that it should not."""

import pytest
import yaml

from domain.errors import ConfigError
from edge_bridge.config import EdgeConfig
from edge_bridge.discovery.draft import Secrets, cameras_of, render
from edge_bridge.discovery.onvif import DeviceDescription, Profile, stream_url
from edge_bridge.discovery.search import device_at, read_answer
from edge_bridge.discovery.xml import DeviceError, find, number_of, parse, text_of

MATCH = "<r><ProbeMatch><Scopes>%s</Scopes><XAddrs>%s</XAddrs></ProbeMatch></r>"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"<a",
        b'<?xml version="1.0" encoding="none-such"?><a/>',
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a SYSTEM "http://192.0.2.1/x.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
        b"<a>&undefined;</a>",
    ],
)
def test_anything_but_plain_xml_is_rejected(data: bytes) -> None:
    with pytest.raises(DeviceError):
        parse(data)


def test_deep_and_wide_xml_is_only_read() -> None:
    deep = parse(b"<a>" * 100_000 + b"<b>7</b>" + b"</a>" * 100_000)
    assert number_of(find(deep, "b")) == 7
    assert number_of(find(parse(b"<b>-7</b>"), "b")) == 0
    assert text_of(parse(b"<b>a\n&#x9;b" + b"c" * 9_000 + b"</b>")) == "a  b" + "c" * 496


@pytest.mark.parametrize(
    ("xaddrs", "service"),
    [
        ("http://192.0.2.7/onvif/device_service", "http://192.0.2.1/onvif/device_service"),
        ("http://[fe80::1]/a https://192.0.2.7:8443/b", "http://192.0.2.1/a"),
        ("ftp://192.0.2.7/x http://192.0.2.7:x/ https://h:8443/b", "https://192.0.2.1:8443/b"),
    ],
)
def test_a_device_is_called_where_it_answered_from(xaddrs: str, service: str) -> None:
    (found,) = read_answer((MATCH % ("", xaddrs)).encode(), "192.0.2.1")
    assert (found.host, found.service) == ("192.0.2.1", service)


def test_the_name_is_among_the_scopes() -> None:
    scopes = "onvif://www.onvif.org/hardware/X onvif://www.onvif.org/name/Yard%20%0A%1b[31m"
    (found,) = read_answer((MATCH % (scopes, "http://h/")).encode(), "192.0.2.1")
    assert found.name == "Yard   [31m"


@pytest.mark.parametrize("xaddrs", ["", "nonsense", "file:///etc/passwd"])
def test_an_answer_without_an_address_is_an_error(xaddrs: str) -> None:
    with pytest.raises(DeviceError, match="no address"):
        read_answer((MATCH % ("", xaddrs)).encode(), "192.0.2.1")


@pytest.mark.parametrize("address", ["", "http://", "ftp://h/", "http://u:secret@h/", "h:port"])
def test_an_invalid_device_address_is_rejected(address: str) -> None:
    with pytest.raises(ConfigError) as rejected:
        device_at(address)
    assert "secret" not in str(rejected.value)


def test_a_device_by_name_has_the_usual_path() -> None:
    assert device_at("192.0.2.1").service == "http://192.0.2.1/onvif/device_service"
    assert device_at("https://cam:8443/x").service == "https://cam:8443/x"


@pytest.mark.parametrize(
    "uri", ["", "http://h/x", "file:///etc/passwd", "rtsp:///x", "rtsp://h:x/", "rtsp://h/a b"]
)
def test_an_invalid_stream_address_is_an_error(uri: str) -> None:
    with pytest.raises(DeviceError):
        stream_url(uri, "192.0.2.1")


def test_a_device_may_have_an_ipv6_address() -> None:
    found = device_at("[2001:db8::1]:8080")
    assert (found.host, found.service) == (
        "2001:db8::1", "http://[2001:db8::1]:8080/onvif/device_service",
    )  # fmt: skip
    assert stream_url("rtsp://[fe80::7]:8554/a", found.host) == "rtsp://[2001:db8::1]:8554/a"
    assert stream_url("rtsp://192.0.2.9/a", found.host) == "rtsp://[2001:db8::1]/a"


def test_hostile_names_stay_plain_text_in_a_draft() -> None:
    evil = 'x"\nspool: {dir: /} #\x1b[31m'
    profile = Profile("t", evil, "", "H264\nurl: x", 640, 360, 'rtsp://192.0.2.1/"a#b: c')
    small = Profile("u", "u", "", "\nevil: 1", 1, 1, "rtsp://192.0.2.1/\nevil:")
    devices = [
        DeviceDescription("192.0.2.1", evil, evil, (profile, small)),
        DeviceDescription(
            "192.0.2.2", "yes", "", (Profile("t", "", "", "", 0, 0, "rtsp://192.0.2.2/"),)
        ),
        DeviceDescription(
            "192.0.2.3", "yes", "", (Profile("t", "", "", "", 0, 0, "rtsp://192.0.2.3/"),)
        ),
    ]
    secrets = Secrets("ad: min", "PASSWORD")
    drafted = render(cameras_of(devices), "acme/berlin", "edge-1", secrets)
    config = EdgeConfig.model_validate(yaml.safe_load(drafted))
    assert [one.id for one in config.cameras] == ["x-spool-dir-31m", "yes", "yes-192-0-2-3"]
    assert config.cameras[0].url == 'rtsp://192.0.2.1/"a#b: c'
    assert config.cameras[0].username == "ad: min"
    assert str(config.spool.dir) == "spool"


def test_a_draft_has_a_sub_stream_for_inference() -> None:
    def profile(name: str, codec: str, width: int, height: int) -> Profile:
        return Profile(name, name, "", codec, width, height, f"rtsp://192.0.2.1/{name}")

    streams = (
        profile("main", "H265", 3840, 2160),
        profile("middle", "H264", 1280, 720),
        profile("small", "H264", 640, 360),
        profile("tiny", "H264", 176, 144),
        profile("jpeg", "JPEG", 320, 240),
    )
    # Another device claims the first one's main stream as its small one.
    thief = (
        profile("other", "H264", 1920, 1080),
        Profile("t", "t", "", "H264", 640, 360, "rtsp://192.0.2.1/main"),
    )
    devices = [
        DeviceDescription("192.0.2.1", "one", "", streams),
        DeviceDescription("192.0.2.2", "two", "", thief),
    ]
    drafted = render(cameras_of(devices), "acme/berlin", "edge-1", Secrets())
    one, two = EdgeConfig.model_validate(yaml.safe_load(drafted)).cameras
    assert (one.url, one.sub_url) == ("rtsp://192.0.2.1/main", "rtsp://192.0.2.1/small")
    assert (two.url, two.sub_url) == ("rtsp://192.0.2.1/other", None)
