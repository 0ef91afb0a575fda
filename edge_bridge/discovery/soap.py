"""A SOAP 1.2 call to one ONVIF device over HTTP, bounded in bytes and time.

A password is sent as a digest only: WS-Security's UsernameToken in the message, and HTTP Digest
where the device requires it. Redirects are not followed, so that a device cannot send us to
another host. Compressed answers are not accepted: a small one could decompress to a huge one.
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

from domain.printable import printable
from edge_bridge.discovery.xml import DeviceError, find, find_all, parse, text_of

MAX_BYTES = 1 << 20
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_DIGEST = f"{_WSS}-username-token-profile-1.0#PasswordDigest"
_BASE64 = f"{_WSS}-soap-message-security-1.0#Base64Binary"
_NO_LOGIN = "requires a login: set --username and --password-env or --password-file"
_WRONG_LOGIN = (
    "rejects the user name or password: correct them; too many tries may lock the account"
)


class NotAuthorizedError(DeviceError):
    """The device rejects the login; further calls could lock the account."""


class SoapFaultError(DeviceError):
    """The device answered with a SOAP fault."""


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password of the cameras."""

    username: str
    password: SecretStr


@dataclass(slots=True)
class SoapClient:
    """Calls one device; `clock_skew` is how far its clock is ahead of ours."""

    session: aiohttp.ClientSession
    login: Login | None
    clock_skew: timedelta = field(default=timedelta())

    async def call(self, url: str, body: str, *, authenticated: bool = True) -> Element:
        """Return the body of the answer; raises DeviceError for every failure.

        `body` is our own XML; values that came from a device are escaped in it.
        """
        message = _message(
            body, self.login if authenticated else None, datetime.now(UTC) + self.clock_skew
        )
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
            raise DeviceError(
                "does not answer in time: check that it is on and reachable"
            ) from None
        except aiohttp.ClientConnectorError:
            raise DeviceError("refuses the connection: enable ONVIF in its settings") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise DeviceError(f"does not speak HTTP ({type(error).__name__})") from None
        if status in (401, 403):
            raise NotAuthorizedError(_WRONG_LOGIN if self.login else _NO_LOGIN)
        if 300 <= status < 400:
            raise DeviceError(
                "redirects to another address, which is not followed: use that address"
            )
        if status >= 400 and not data.lstrip().startswith(b"<"):
            raise DeviceError(f"answers HTTP {status}: check its ONVIF address")
        # In a thread: malicious XML of 1 MiB is slow to parse, and other devices must not wait.
        return await asyncio.to_thread(self._body_of, data)

    def _body_of(self, data: bytes) -> Element:
        root = parse(data)
        self._raise_fault(root)
        found = find(root, "Body")
        if found is None:
            raise DeviceError("answers XML that is not SOAP: check its ONVIF address")
        return found

    def _raise_fault(self, root: Element) -> None:
        fault = find(root, "Fault")
        if fault is None:
            return
        codes = " ".join(text_of(one) for one in find_all(fault, "Value"))
        if "NotAuthorized" in codes or "FailedAuthentication" in codes:
            raise NotAuthorizedError(_WRONG_LOGIN if self.login else _NO_LOGIN)
        reason = text_of(find(fault, "Text")) or text_of(find(fault, "faultstring")) or codes
        raise SoapFaultError(f"rejects the call: {printable(reason)[:200] or 'no reason given'}")


def session(login: Login | None, answer_s: float) -> aiohttp.ClientSession:
    """Return a session for one device. Certificates are not checked: cameras sign their own."""
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
        if len(data) > MAX_BYTES:
            response.close()
            raise DeviceError("answers more than 1 MiB: check its ONVIF address")
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
    return "".join(
        (
            f'<w:Security s:mustUnderstand="1" xmlns:w="{_WSS}-wssecurity-secext-1.0.xsd" ',
            f'xmlns:u="{_WSS}-wssecurity-utility-1.0.xsd"><w:UsernameToken>',
            f"<w:Username>{escape(login.username)}</w:Username>",
            f'<w:Password Type="{_DIGEST}">{digest}</w:Password>',
            f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>',
            f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>",
        )
    )
