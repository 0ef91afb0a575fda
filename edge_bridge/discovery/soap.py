"""One question to one ONVIF device: SOAP 1.2 over HTTP, bounded in bytes and time.

A password travels as a digest only: WS-Security's UsernameToken in the message, and HTTP Digest
where the device asks for it. Redirects are not followed and compressed answers are not asked for,
so that a device can neither send us elsewhere nor unfold a small answer into a large one.
"""

import asyncio
import base64
import hashlib
import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import aiohttp
from pydantic import SecretStr

from edge_bridge.discovery.xml import DeviceError, every, first, parse, plain, text

MOST_BYTES = 1 << 20
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_DIGEST = f"{_WSS}-username-token-profile-1.0#PasswordDigest"
_BASE64 = f"{_WSS}-soap-message-security-1.0#Base64Binary"
_REFUSED = "asks for a user and password: give --username and --password-env or --password-file"
_WRONG = "refuses user name or password: mend them; too many tries may lock the account"


class NotAuthorizedError(DeviceError):
    """The device does not know us; asking on could lock the account."""


class SoapFaultError(DeviceError):
    """The device answered in SOAP that it does not answer this question."""


@dataclass(frozen=True, slots=True)
class Login:
    """User and password of the cameras."""

    username: str
    password: SecretStr


@dataclass(slots=True)
class SoapClient:
    """Asks one device; `skew` is how far its clock is ahead of ours."""

    session: aiohttp.ClientSession
    login: Login | None
    skew: timedelta = field(default=timedelta())

    async def ask(self, url: str, body: str, *, signed: bool = True) -> Element:
        """Return the body of the answer; raises DeviceError for everything that goes wrong.

        `body` is XML of ours; what a device said has been escaped in it.
        """
        message = _message(body, self.login if signed else None, datetime.now(UTC) + self.skew)
        try:
            async with self.session.post(
                url,
                data=message,
                headers={
                    "Content-Type": "application/soap+xml; charset=utf-8",
                    "Accept-Encoding": "identity",
                },
                allow_redirects=False,
            ) as response:
                data = await _read(response)
                status = response.status
        except TimeoutError:
            raise DeviceError("does not answer in time") from None
        except aiohttp.ClientConnectorError:
            raise DeviceError("refuses the connection: is ONVIF on?") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise DeviceError(f"does not speak HTTP ({type(error).__name__})") from None
        if status in (401, 403):
            raise NotAuthorizedError(_WRONG if self.login else _REFUSED)
        if 300 <= status < 400:
            raise DeviceError("sends us to another address, which is not followed")
        if status >= 400 and not data.lstrip().startswith(b"<"):
            raise DeviceError(f"answers HTTP {status}: is this its ONVIF address?")
        # A megabyte of XML made to be slow takes a while: other devices are not to wait for it.
        return await asyncio.to_thread(self._body_of, data)

    def _body_of(self, data: bytes) -> Element:
        root = parse(data)
        self._refuse(root)
        found = first(root, "Body")
        if found is None:
            raise DeviceError("answers XML that is no SOAP: is this its ONVIF address?")
        return found

    def _refuse(self, root: Element) -> None:
        fault = first(root, "Fault")
        if fault is None:
            return
        codes = " ".join(text(one) for one in every(fault, "Value"))
        if "NotAuthorized" in codes or "FailedAuthentication" in codes:
            raise NotAuthorizedError(_WRONG if self.login else _REFUSED)
        said = text(first(fault, "Text")) or text(first(fault, "faultstring")) or codes
        raise SoapFaultError(f"refuses the question: {plain(said)[:200] or 'no reason given'}")


def session(login: Login | None, answer_s: float) -> aiohttp.ClientSession:
    """Return a session for one device; cameras' certificates are their own, so none is checked."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    digest = (
        (aiohttp.DigestAuthMiddleware(login.username, login.password.get_secret_value()),)
        if login
        else ()
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=2),
        timeout=aiohttp.ClientTimeout(total=answer_s),
        middlewares=digest,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in response.content.iter_chunked(64 << 10):
        data += part
        if len(data) > MOST_BYTES:
            response.close()
            raise DeviceError("answers without end (more than 1 MiB)")
    return bytes(data)


def _message(body: str, login: Login | None, at: datetime) -> bytes:
    header = "" if login is None else f"<s:Header>{_token(login, at)}</s:Header>"
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}">{header}'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def _token(login: Login, at: datetime) -> str:
    """Return a UsernameToken (WSS UsernameToken Profile 1.0): Base64(SHA-1(nonce+time+password)).

    SHA-1 is the standard's.
    """
    nonce = os.urandom(16)
    created = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    secret = nonce + created.encode() + login.password.get_secret_value().encode()
    digest = base64.b64encode(hashlib.sha1(secret).digest()).decode()  # noqa: S324 - see above
    return (
        f'<w:Security s:mustUnderstand="1" xmlns:w="{_WSS}-wssecurity-secext-1.0.xsd" '
        f'xmlns:u="{_WSS}-wssecurity-utility-1.0.xsd"><w:UsernameToken>'
        f"<w:Username>{escape(login.username)}</w:Username>"
        f'<w:Password Type="{_DIGEST}">{digest}</w:Password>'
        f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
        f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
    )
