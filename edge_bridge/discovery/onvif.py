"""What one ONVIF device is: its name, its profiles, and where each one's stream is.

GetSystemDateAndTime   unsigned: how far its clock is from ours, for digests carry the time
GetDeviceInformation   maker and model
GetServices            where Media2 (H.265) or Media is; older devices: GetCapabilities
GetProfiles            codec, size and picture source of each profile
GetStreamUri           the RTSP address of each
"""

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from edge_bridge.discovery.search import DiscoveredDevice
from edge_bridge.discovery.soap import (
    Login,
    NotAuthorizedError,
    SoapClient,
    SoapFaultError,
    session,
)
from edge_bridge.discovery.xml import DeviceError, every, first, number, text

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_MOST_PROFILES = 64
_ANSWER_S = 5.0
_LONGEST_URL = 1_000


@dataclass(frozen=True, slots=True)
class Profile:
    """One stream that a device offers."""

    token: str
    name: str
    source: str
    """Which of the device's picture sources it shows; empty where the device does not say."""
    codec: str
    width: int
    height: int
    url: str = ""
    """rtsp://, without a password; empty where the device gave none."""


@dataclass(frozen=True, slots=True)
class Device:
    """What was learnt of a device; `fault` says what went wrong, empty where nothing did."""

    host: str
    name: str = ""
    model: str = ""
    profiles: tuple[Profile, ...] = ()
    fault: str = ""


@dataclass(slots=True)
class _MediaService:
    caller: SoapClient
    url: str
    namespace: str
    profiles: list[Profile] = field(default_factory=list)


async def read_device(found: DiscoveredDevice, login: Login | None, within_s: float) -> Device:
    """Ask a device all that a draft needs; never raises for what the device does."""
    device = Device(found.host, found.name)
    if found.fault:
        return replace(device, fault=found.fault)
    try:
        async with (
            asyncio.timeout(within_s),
            session(login, min(_ANSWER_S, within_s / 2)) as http,
        ):
            return await _read(device, found.service, SoapClient(http, login))
    except TimeoutError:
        return replace(device, fault=f"did not answer all questions within {within_s:g} s")
    except DeviceError as error:
        return replace(device, fault=str(error))


async def _read(device: Device, service: str, caller: SoapClient) -> Device:
    caller.skew = await _skew(caller, service)
    with contextlib.suppress(SoapFaultError):
        said = await caller.ask(service, f'<GetDeviceInformation xmlns="{_DEVICE}"/>')
        words = (text(first(said, "Manufacturer")), text(first(said, "Model")))
        device = replace(device, model=" ".join(words).strip()[:100])
    media = await _profiles(caller, await _services(caller, service), service)
    if not media.profiles:
        raise DeviceError("offers no profile: make one on its own page")
    out = []
    fault = ""
    for profile in media.profiles[:_MOST_PROFILES]:
        try:
            out.append(replace(profile, url=await _stream(media, profile, device.host)))
        except NotAuthorizedError:
            raise
        except DeviceError as error:
            out.append(profile)
            fault = f"profile {profile.token}: {error}"
    if not any(one.url for one in out):
        raise DeviceError(fault)
    return replace(device, profiles=tuple(out), fault=fault)


async def _skew(caller: SoapClient, service: str) -> timedelta:
    """Return how far the device's clock is ahead; nothing where it does not say.

    What it says otherwise than in SOAP is its fault: it is asked nothing more.
    """
    try:
        said = await caller.ask(service, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>', signed=False)
    except (SoapFaultError, NotAuthorizedError):
        return timedelta()
    utc = first(said, "UTCDateTime")
    if utc is None:
        return timedelta()
    names = ("Year", "Month", "Day", "Hour", "Minute", "Second")
    with contextlib.suppress(ValueError, OverflowError):
        there = datetime(*(number(first(utc, name)) for name in names), tzinfo=UTC)  # type: ignore[misc,arg-type]
        return there - datetime.now(UTC)
    return timedelta()


async def _services(caller: SoapClient, service: str) -> dict[str, str]:
    """Return URLs by namespace, all of them on the device's own host."""
    with contextlib.suppress(SoapFaultError):
        said = await caller.ask(
            service,
            f'<GetServices xmlns="{_DEVICE}"><IncludeCapability>false</IncludeCapability>'
            "</GetServices>",
        )
        out = {
            text(first(one, "Namespace")): _on_host(text(first(one, "XAddr")), service)
            for one in every(said, "Service")
        }
        if _MEDIA in out or _MEDIA2 in out:
            return out
    said = await caller.ask(
        service,
        f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>',
    )
    xaddr = text(first(said, "Media", "XAddr"))
    if not xaddr:
        raise DeviceError("offers no media service: is it a camera?")
    return {_MEDIA: _on_host(xaddr, service)}


async def _profiles(caller: SoapClient, services: dict[str, str], service: str) -> _MediaService:
    """Return the profiles that Media2 tells, which knows H.265, or else Media."""
    fault: SoapFaultError | None = None
    for namespace, body in (
        (_MEDIA2, "<Type>VideoSource</Type><Type>VideoEncoder</Type>"),
        (_MEDIA, ""),
    ):
        if namespace not in services:
            continue
        url = services[namespace] or service
        try:
            said = await caller.ask(url, f'<GetProfiles xmlns="{namespace}">{body}</GetProfiles>')
        except SoapFaultError as error:
            fault = error
            continue
        profiles = [_profile(one) for one in every(said, "Profiles")]
        if profiles:
            return _MediaService(caller, url, namespace, profiles)
    if fault is not None:
        raise fault
    raise DeviceError("offers no profile: make one on its own page")


def _profile(one: Element) -> Profile:
    encoder = _either(one, "VideoEncoderConfiguration", "VideoEncoder")
    source = _either(one, "VideoSourceConfiguration", "VideoSource")
    size = first(encoder, "Resolution") if encoder is not None else None
    return Profile(
        token=one.get("token", "")[:100],
        name=text(first(one, "Name"))[:100],
        source=text(first(source, "SourceToken"))[:100] if source is not None else "",
        codec=text(first(encoder, "Encoding"))[:20] if encoder is not None else "",
        width=number(first(size, "Width")) if size is not None else 0,
        height=number(first(size, "Height")) if size is not None else 0,
    )


def _either(one: Element, media: str, media2: str) -> Element | None:
    found = first(one, media)
    return found if found is not None else first(one, media2)


async def _stream(media: _MediaService, profile: Profile, host: str) -> str:
    token = escape(profile.token)
    if media.namespace == _MEDIA2:
        body = f"<Protocol>RTSP</Protocol><ProfileToken>{token}</ProfileToken>"
    else:
        body = (
            f'<StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
            f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
            f"<ProfileToken>{token}</ProfileToken>"
        )
    said = await media.caller.ask(
        media.url, f'<GetStreamUri xmlns="{media.namespace}">{body}</GetStreamUri>'
    )
    return stream_url(text(first(said, "Uri")), host)


def stream_url(said: str, host: str) -> str:
    """Return a stream's URL on `host` without user or password; raises DeviceError.

    A camera behind an address translation tells an address of its own; one with ill intent could
    tell another's, which would then get the password.
    """
    try:
        parts = urlsplit(said)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("rtsp", "rtsps") or not parts.hostname or len(said) >= _LONGEST_URL:
        raise DeviceError("tells no RTSP address")
    netloc = f"[{host}]" if ":" in host else host  # IPv6
    if port is not None:
        netloc += f":{port}"
    if any(letter.isspace() for letter in said):
        raise DeviceError("tells an RTSP address with a space in it")
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def _on_host(xaddr: str, service: str) -> str:
    """Return a service's URL with scheme and host of the device service; "" where it is none."""
    try:
        parts = urlsplit(xaddr)
        _ = parts.port
    except ValueError:
        return ""
    if not parts.path:
        return ""
    known = urlsplit(service)
    return urlunsplit((known.scheme, known.netloc, parts.path, parts.query, ""))
