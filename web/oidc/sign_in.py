"""Sign-ins in progress: the cookie that binds one to its browser, and the checks of the answer."""

import asyncio
import base64
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from prometheus_client import Counter

from domain.errors import OidcError
from domain.oidc import SIGN_IN_MS, own_path, same
from domain.printable import printable
from streams.metrics import REGISTRY
from streams.settings import Settings
from web.oidc.config import read_providers
from web.oidc.provider import Provider, ProviderStatement, SignInAttempt
from web.oidc.sealing import SealedBox
from web.oidc.tokens import decode_segment

log = logging.getLogger(__name__)

COOKIE = "vigil_oidc"
HTTPS_COOKIE = f"__Host-{COOKIE}"
MAX_COOKIE = 2_000
MAX_CODE = 4_096
MAX_IN_PROGRESS = 16
"""Answers of one provider that are checked at the same time."""
CALLBACK_PATH = "/api/v1/session/oidc/{provider}/callback"

SIGN_INS = Counter(
    "vigil_oidc_sign_ins",
    "Sign-ins by OpenID providers, by outcome: ok, or why not",
    ("provider", "outcome"),
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What the browser brings back from a provider."""

    state: str
    code: str | None
    issuer: str | None
    error: str | None
    description: str


class OidcProviders:
    """The configured providers, and the sign-ins by them."""

    def __init__(self, settings: Settings, clock_ms: Callable[[], int]) -> None:
        """Raise ConfigError where the file of the providers is wrong."""
        self.public_url = settings.public_url.rstrip("/")
        self._clock_ms = clock_ms
        secret = settings.session_secret.get_secret_value()
        self._cookies = SealedBox(secret, "oidc sign-in")
        self.tokens = SealedBox(secret, "oidc tokens")
        self._providers = {
            config.id: Provider(
                config, self.public_url + CALLBACK_PATH.format(provider=config.id), clock_ms
            )
            for config in read_providers(settings)
        }
        self._in_progress = {each: asyncio.Semaphore(MAX_IN_PROGRESS) for each in self._providers}

    @property
    def is_https(self) -> bool:
        """Return whether browsers reach this server by HTTPS."""
        return self.public_url.startswith("https:")

    @property
    def cookie_name(self) -> str:
        """The name of the cookie of a sign-in in progress."""
        return HTTPS_COOKIE if self.is_https else COOKIE

    def all(self) -> Sequence[Provider]:
        """Return the providers in the order of the file."""
        return tuple(self._providers.values())

    def get(self, provider_id: str) -> Provider | None:
        """Return a provider by its id."""
        return self._providers.get(provider_id)

    async def close(self) -> None:
        """Close all connections."""
        for provider in self._providers.values():
            await provider.close()

    async def begin(self, provider: Provider, path: str) -> tuple[str, str]:
        """Return the address at the provider, and the cookie for the browser; raise OidcError."""
        attempt = SignInAttempt(
            provider.config.id,
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(48),
            own_path(path),
            self._clock_ms() + SIGN_IN_MS,
        )
        url = await provider.authorization_url(attempt)
        sealed = self._cookies.seal(json.dumps(asdict(attempt)))
        return url, base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def attempt_of(self, provider: Provider, cookie: str, state: str) -> SignInAttempt:
        """Return the sign-in that this browser began and that an answer belongs to.

        Raises OidcError: "cookie" where it began none, "state" where the answer is another's.
        """
        attempt = self._read(cookie)
        if attempt is None or self._clock_ms() >= attempt.until_ms:
            raise OidcError(
                "cookie",
                "No sign-in was begun in this browser, or it took longer than "
                f"{SIGN_IN_MS // 60_000} minutes.",
            )
        if attempt.provider != provider.config.id or not same(state, attempt.state):
            raise OidcError("state", "This answer belongs to another sign-in.")
        return attempt

    def _read(self, cookie: str) -> SignInAttempt | None:
        if not cookie or len(cookie) > MAX_COOKIE or not cookie.isascii():
            return None
        try:
            text = self._cookies.open(decode_segment(cookie))
        except ValueError:
            return None
        return None if text is None else SignInAttempt(**json.loads(text))

    async def finish(
        self,
        provider: Provider,
        attempt: SignInAttempt,
        answer: ProviderAnswer,
        use_once: Callable[[str], Awaitable[bool]],
    ) -> ProviderStatement:
        """Return who signed in; raise OidcError. `use_once`: False where the state was used."""
        if not await use_once(attempt.state):
            raise OidcError("reused", "This answer of the provider was used before.")
        await provider.check_issuer(answer.issuer)
        if answer.error is not None:
            raise OidcError("cancelled", f"The provider did not sign you in: {_reported(answer)}")
        if answer.code is None or not 0 < len(answer.code) <= MAX_CODE:
            raise OidcError("request", "The provider's answer has no code.")
        gate = self._in_progress[provider.config.id]
        if gate.locked():
            raise OidcError("busy", "Too many people sign in now. Try again in a minute.")
        async with gate:
            return await provider.sign_in(answer.code, attempt)


def answer_of(query: Mapping[str, Sequence[str]]) -> ProviderAnswer:
    """Return what a callback's query says; raise OidcError where a parameter is twice."""

    def one(name: str) -> str | None:
        values = query.get(name, ())
        if len(values) > 1:
            raise OidcError("request", "The provider's answer says something twice.")
        return values[0] if values else None

    return ProviderAnswer(
        one("state") or "", one("code"), one("iss"), one("error"), one("error_description") or ""
    )


def _reported(answer: ProviderAnswer) -> str:
    """Return the provider's own words, in one line."""
    if answer.error == "access_denied":
        text = answer.description or "it was cancelled there, or you have no access to this program"
    else:
        text = f"{answer.error} {answer.description}"
    return printable(text, 300).rstrip(".") + "."


def count(provider: Provider, outcome: str) -> None:
    """Count a sign-in."""
    SIGN_INS.labels(provider.config.id, outcome).inc()
