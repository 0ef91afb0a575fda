"""Reads one ONVIF device: its name, its profiles, and the address of each stream.

    GetSystemDateAndTime   without login: its clock skew, because digests contain the time
    GetDeviceInformation   manufacturer and model
    GetServices            the address of Media2 (H.265) or Media; older: GetCapabilities
    GetProfiles            codec, size and video source of each profile
    GetStreamUri           the RTSP address of each profile

The calls are made in this order, so that a wrong password is sent once only.
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
from edge_bridge.discovery.xml import DeviceError, find, find_all, number_of, text_of

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_MAX_PROFILES = 64
_ANSWER_S = 5.0
_MAX_URL = 1_000


@dataclass(frozen=True, slots=True)
class Profile:
    """One stream that a device offers."""

    token: str
    name: str
    source: str
    """Token of its video source; empty where the device does not report one."""
    codec: str
    width: int
    height: int
    url: str = ""
    """rtsp://, without a password; empty where the device reported none."""


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """What a device reported; `fault` says what failed, empty where nothing did."""

    host: str
    name: str = ""
    model: str = ""
    profiles: tuple[Profile, ...] = ()
    fault: str = ""


@dataclass(slots=True)
class _MediaService:
    client: SoapClient
    url: str
    namespace: str
    profiles: list[Profile] = field(default_factory=list)


async def read_device(
    found: DiscoveredDevice, login: Login | None, within_s: float
) -> DeviceDescription:
    """Read all that a draft needs; an error of the device is returned in `fault`, not raised."""
    device = DeviceDescription(found.host, found.name)
    if found.fault:
        return replace(device, fault=found.fault)
    try:
        async with (
            asyncio.timeout(within_s),
            session(login, min(_ANSWER_S, within_s / 2)) as http,
        ):
            return await _read(device, found.service, SoapClient(http, login))
    except TimeoutError:
        return replace(device, fault=f"did not answer all calls within {within_s:g} s")
    except DeviceError as error:
        return replace(device, fault=str(error))


async def _read(device: DeviceDescription, service: str, client: SoapClient) -> DeviceDescription:
    client.clock_skew = await _clock_skew(client, service)
    with contextlib.suppress(SoapFaultError):
        answer = await client.call(service, f'<GetDeviceInformation xmlns="{_DEVICE}"/>')
        names = (text_of(find(answer, "Manufacturer")), text_of(find(answer, "Model")))
        device = replace(device, model=" ".join(names).strip()[:100])
    media = await _profiles(client, await _services(client, service), service)
    if not media.profiles:
        raise DeviceError("has no media profile: create one on the device's web page")
    out = []
    fault = ""
    for profile in media.profiles[:_MAX_PROFILES]:
        try:
            out.append(replace(profile, url=await _stream_uri(media, profile, device.host)))
        except NotAuthorizedError:
            raise
        except DeviceError as error:
            out.append(profile)
            fault = f"profile {profile.token}: {error}"
    if not any(one.url for one in out):
        raise DeviceError(fault)
    return replace(device, profiles=tuple(out), fault=fault)


async def _clock_skew(client: SoapClient, service: str) -> timedelta:
    """Return how far the device's clock is ahead; 0 where it does not report the time.

    An answer that is not SOAP raises DeviceError: the device gets no further call.
    """
    try:
        answer = await client.call(
            service, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>', authenticated=False
        )
    except (SoapFaultError, NotAuthorizedError):
        return timedelta()
    utc = find(answer, "UTCDateTime")
    if utc is None:
        return timedelta()
    names = ("Year", "Month", "Day", "Hour", "Minute", "Second")
    with contextlib.suppress(ValueError, OverflowError):
        there = datetime(*(number_of(find(utc, name)) for name in names), tzinfo=UTC)  # type: ignore[misc,arg-type]
        return there - datetime.now(UTC)
    return timedelta()


async def _services(client: SoapClient, service: str) -> dict[str, str]:
    """Return service URLs by namespace, all of them on the device's own host."""
    with contextlib.suppress(SoapFaultError):
        answer = await client.call(
            service,
            f'<GetServices xmlns="{_DEVICE}"><IncludeCapability>false</IncludeCapability>'
            "</GetServices>",
        )
        out = {
            text_of(find(one, "Namespace")): _on_host(text_of(find(one, "XAddr")), service)
            for one in find_all(answer, "Service")
        }
        if _MEDIA in out or _MEDIA2 in out:
            return out
    answer = await client.call(
        service,
        f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>',
    )
    xaddr = text_of(find(answer, "Media", "XAddr"))
    if not xaddr:
        raise DeviceError("has no ONVIF media service: check that it is a camera")
    return {_MEDIA: _on_host(xaddr, service)}


async def _profiles(client: SoapClient, services: dict[str, str], service: str) -> _MediaService:
    """Return the profiles from Media2, which knows H.265, or else from Media."""
    fault: SoapFaultError | None = None
    for namespace, body in (
        (_MEDIA2, "<Type>VideoSource</Type><Type>VideoEncoder</Type>"),
        (_MEDIA, ""),
    ):
        if namespace not in services:
            continue
        url = services[namespace] or service
        try:
            answer = await client.call(
                url, f'<GetProfiles xmlns="{namespace}">{body}</GetProfiles>'
            )
        except SoapFaultError as error:
            fault = error
            continue
        profiles = [_profile(one) for one in find_all(answer, "Profiles")]
        if profiles:
            return _MediaService(client, url, namespace, profiles)
    if fault is not None:
        raise fault
    raise DeviceError("has no media profile: create one on the device's web page")


def _profile(one: Element) -> Profile:
    encoder = _find_either(one, "VideoEncoderConfiguration", "VideoEncoder")
    source = _find_either(one, "VideoSourceConfiguration", "VideoSource")
    size = find(encoder, "Resolution") if encoder is not None else None
    return Profile(
        token=one.get("token", "")[:100],
        name=text_of(find(one, "Name"))[:100],
        source=text_of(find(source, "SourceToken"))[:100] if source is not None else "",
        codec=text_of(find(encoder, "Encoding"))[:20] if encoder is not None else "",
        width=number_of(find(size, "Width")) if size is not None else 0,
        height=number_of(find(size, "Height")) if size is not None else 0,
    )


def _find_either(one: Element, media: str, media2: str) -> Element | None:
    found = find(one, media)
    return found if found is not None else find(one, media2)


async def _stream_uri(media: _MediaService, profile: Profile, host: str) -> str:
    token = escape(profile.token)
    if media.namespace == _MEDIA2:
        body = f"<Protocol>RTSP</Protocol><ProfileToken>{token}</ProfileToken>"
    else:
        body = (
            f'<StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
            f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
            f"<ProfileToken>{token}</ProfileToken>"
        )
    answer = await media.client.call(
        media.url, f'<GetStreamUri xmlns="{media.namespace}">{body}</GetStreamUri>'
    )
    return stream_url(text_of(find(answer, "Uri")), host)


def stream_url(uri: str, host: str) -> str:
    """Return a stream's URL on `host` without user or password; raises DeviceError.

    A camera behind NAT reports its internal address. A malicious one could report the address of
    another host, which would then get the password.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("rtsp", "rtsps") or not parts.hostname or len(uri) >= _MAX_URL:
        raise DeviceError("reports no RTSP address")
    netloc = f"[{host}]" if ":" in host else host  # IPv6
    if port is not None:
        netloc += f":{port}"
    if any(letter.isspace() for letter in uri):
        raise DeviceError("reports an RTSP address that contains a space")
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def _on_host(xaddr: str, service: str) -> str:
    """Return a service's URL with scheme and host of the device service; "" where invalid."""
    try:
        parts = urlsplit(xaddr)
        _ = parts.port
    except ValueError:
        return ""
    if not parts.path:
        return ""
    known = urlsplit(service)
    return urlunsplit((known.scheme, known.netloc, parts.path, parts.query, ""))
