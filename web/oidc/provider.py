"""One OpenID provider: its discovery document and keys (cached), its tokens and its user info."""

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

from domain.errors import ConfigError, OidcError
from domain.oidc import (
    ALGORITHMS,
    ExpectedToken,
    Identity,
    LogoutTarget,
    authorization_url,
    check_id_token,
    check_logout_token,
    check_second_factor,
    code_challenge,
    display_name,
    groups_in,
    same,
)
from domain.printable import printable
from web.oidc.config import ProviderConfig, check_url
from web.oidc.http import ProviderHttp
from web.oidc.tokens import (
    PublicKey,
    UnknownKeyError,
    algorithm_of,
    check_access_token_hash,
    read_keys,
    verified_claims,
)

log = logging.getLogger(__name__)

KEEP_MS = 3_600_000
"""How long the discovery document and the keys are used before they are read again."""
STALE_MS = 24 * 3_600_000
"""How long they are used while the provider does not answer."""
REFRESH_KEYS_MS = 60_000
"""Unknown keys make us read the list of keys again, this often at most."""
RETRY_MS = 5_000
"""After a discovery that failed, the next one is not tried before this time."""
ID_TOKEN_TYPES = frozenset({"", "jwt"})
LOGOUT_TOKEN_TYPES = frozenset({"", "jwt", "logout+jwt"})
MAX_TOKEN_TEXT = 16 << 10


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of a discovery document."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    sends_issuer: bool
    """The provider always says who it is in its answer (RFC 9207)."""
    posts_secret: bool
    """It takes the client's secret in the form only."""


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """What this server remembers of a sign-in while the browser is at the provider."""

    provider: str
    state: str
    nonce: str
    verifier: str
    path: str
    """The page that is shown afterwards."""
    until_ms: int


@dataclass(frozen=True, slots=True)
class ProviderStatement:
    """What a provider reports about a person."""

    identity: Identity
    groups: tuple[str, ...]
    refresh_token: str | None
    access_token: str | None
    access_until_ms: int | None
    """When the access token expires; None: unknown."""
    provider_session: str | None
    """The session at the provider (`sid`), which a logout token may name."""


class Provider:
    """Speaks to one provider. All methods raise OidcError with a text for the person."""

    def __init__(
        self,
        config: ProviderConfig,
        redirect_uri: str,
        clock_ms: Callable[[], int],
        http: ProviderHttp | None = None,
    ) -> None:
        """Raise ConfigError where a file of the configuration cannot be read."""
        self.config = config
        self.redirect_uri = redirect_uri
        self._secret = config.secret()
        self._clock_ms = clock_ms
        self._http = http or ProviderHttp(config)
        self._metadata: Metadata | None = None
        self._metadata_ms = 0
        self._failure: tuple[int, OidcError] | None = None
        self._keys_failure: tuple[int, OidcError] | None = None
        self._keys: tuple[PublicKey, ...] | None = None
        self._keys_ms = 0
        self._metadata_lock = asyncio.Lock()
        self._keys_lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def authorization_url(self, attempt: SignInAttempt) -> str:
        """Return the address at the provider where the person signs in."""
        metadata, wanted = await self.metadata(), self.config.second_factor_acr
        return authorization_url(
            metadata.authorization_endpoint,
            {
                "response_type": "code",
                "client_id": self.config.client_id,
                "redirect_uri": self.redirect_uri,
                "scope": " ".join(self.config.scopes),
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": code_challenge(attempt.verifier),
                "code_challenge_method": "S256",
                **({"acr_values": " ".join(wanted)} if wanted else {}),
            },
        )

    async def check_issuer(self, given: str | None) -> None:
        """Raise OidcError where the answer is of another provider (RFC 9207)."""
        metadata = await self.metadata()
        if given is None and not metadata.sends_issuer:
            return
        if given != self.config.issuer:
            raise OidcError("issuer", "The answer is of another provider.")

    async def sign_in(self, code: str, attempt: SignInAttempt) -> ProviderStatement:
        """Exchange a code for tokens, and return who signed in."""
        answer = await self._tokens(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "code_verifier": attempt.verifier,
            }
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcError("answer", "The provider sent no ID token. Add the scope openid.")
        expected = ExpectedToken(self.config.issuer, self.config.client_id, attempt.nonce)
        return await self._signed_in(answer, token, expected)

    async def renew(self, subject: str, refresh_token: str) -> ProviderStatement:
        """Ask again about a person, with a refresh token; "refused": no longer."""
        answer = await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})
        token = answer.get("id_token")
        expected = ExpectedToken(
            self.config.issuer, self.config.client_id, nonce=None, subject=subject
        )
        if token is None:
            return await self._from_user_info(answer, subject)
        if not isinstance(token, str):
            raise OidcError("answer", "The provider's ID token cannot be read.")
        return await self._signed_in(answer, token, expected)

    async def ask(self, subject: str, access_token: str) -> ProviderStatement:
        """Ask again about a person, with the access token; "refused": no longer."""
        return await self._from_user_info({"access_token": access_token}, subject)

    async def _from_user_info(self, answer: dict[str, Any], subject: str) -> ProviderStatement:
        access_token = _token(answer, "access_token")
        if access_token is None:
            raise OidcError("answer", "The provider sent no access token.")
        info = await self._user_info(access_token, subject)
        groups = groups_in(info, self.config.claim_path) or ()
        return ProviderStatement(
            Identity(self.config.issuer, subject, subject),
            groups,
            _token(answer, "refresh_token"),
            access_token,
            self._expires_ms(answer),
            None,
        )

    async def _signed_in(
        self, answer: dict[str, Any], token: str, expected: ExpectedToken
    ) -> ProviderStatement:
        claims = await self._verified(token, ID_TOKEN_TYPES)
        identity = check_id_token(claims, expected, self._clock_ms())
        if expected.nonce is not None:  # a sign-in: at a renewal no one is present
            config = self.config
            check_second_factor(claims, config.second_factor_amr, config.second_factor_acr)
        access_token = _token(answer, "access_token")
        if access_token is not None:
            check_access_token_hash(claims, access_token, algorithm_of(token))
        groups = groups_in(claims, self.config.claim_path)
        if groups is None and access_token is not None:
            info = await self._user_info(access_token, identity.subject)
            groups = groups_in(info, self.config.claim_path)
            if not display_name(claims):
                identity = replace(identity, name=display_name(info) or identity.subject)
        session = claims.get("sid")
        return ProviderStatement(
            identity,
            groups or (),
            _token(answer, "refresh_token"),
            access_token,
            self._expires_ms(answer),
            session if isinstance(session, str) and 0 < len(session) <= 255 else None,
        )

    async def _user_info(self, access_token: str, subject: str) -> dict[str, Any]:
        metadata = await self.metadata()
        if metadata.userinfo_endpoint is None:
            return {}
        info = await self._http.get_json(metadata.userinfo_endpoint, bearer=access_token)
        if not same(info.get("sub"), subject):
            raise OidcError("subject", "The provider's user info is of another person.")
        return info

    def _expires_ms(self, answer: dict[str, Any]) -> int | None:
        seconds = answer.get("expires_in")
        if isinstance(seconds, bool) or not isinstance(seconds, int):
            return None
        return self._clock_ms() + max(0, min(seconds, 30 * 86_400)) * 1_000

    async def logout_target(self, token: str) -> LogoutTarget:
        """Return whose sessions a logout token of the provider ends."""
        claims = await self._verified(token, LOGOUT_TOKEN_TYPES)
        config = self.config
        return check_logout_token(claims, config.issuer, config.client_id, self._clock_ms())

    async def _tokens(self, form: dict[str, str]) -> dict[str, Any]:
        metadata = await self.metadata()
        authorization = None
        if self._secret is None:
            form = {**form, "client_id": self.config.client_id}
        elif metadata.posts_secret:
            form = {**form, "client_id": self.config.client_id, "client_secret": self._secret}
        else:
            pair = f"{quote_plus(self.config.client_id)}:{quote_plus(self._secret)}"
            authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
        status, answer = await self._http.post_form(
            metadata.token_endpoint, form, authorization=authorization
        )
        if status != 200:
            error = printable(str(answer.get("error", "")), 100)
            log.warning(
                "%s refuses %s: %s %s",
                self.config.id,
                form["grant_type"],
                error,
                printable(str(answer.get("error_description", "")), 300),
            )
            if error in {"temporarily_unavailable", "slow_down"} or status == 429:
                raise OidcError("unreachable", "The provider is busy. Try again in a minute.")
            if error in {"invalid_client", "unauthorized_client"}:
                raise OidcError(
                    "answer", "The provider does not accept this server's own credentials."
                )
            raise OidcError("refused", "The provider does not accept this sign-in any more.")
        return answer

    async def metadata(self) -> Metadata:
        """Return what the discovery document says, read again after KEEP_MS."""
        async with self._metadata_lock:
            now_ms = self._clock_ms()
            known = self._metadata if now_ms < self._metadata_ms + STALE_MS else None
            if known is not None and now_ms < self._metadata_ms + KEEP_MS:
                return known
            if self._failure is not None and now_ms < self._failure[0] + RETRY_MS:
                if known is not None:
                    return known
                raise self._failure[1]
            try:
                self._metadata = await self._discover()
            except OidcError as error:
                self._failure = (self._clock_ms(), error)
                if known is not None and error.reason == "unreachable":
                    return known  # its earlier answer is still true
                raise
            self._metadata_ms, self._failure = now_ms, None
            return self._metadata

    async def _discover(self) -> Metadata:
        base = self.config.issuer.rstrip("/")
        document = await self._http.get_json(f"{base}/.well-known/openid-configuration")
        if document.get("issuer") != self.config.issuer:
            raise OidcError("issuer", "The provider calls itself by another name than configured.")
        for name, needed in (
            ("response_types_supported", {"code"}),
            ("code_challenge_methods_supported", {"S256"}),
            ("id_token_signing_alg_values_supported", ALGORITHMS.keys()),
        ):
            offered = document.get(name)
            if isinstance(offered, list) and not any(each in needed for each in offered):
                raise OidcError("answer", f"The provider does not offer what is needed: {name}.")
        methods = document.get("token_endpoint_auth_methods_supported")
        listed = methods if isinstance(methods, list) else ["client_secret_basic"]
        has_user_info = document.get("userinfo_endpoint") is not None
        return Metadata(
            self._address(document, "authorization_endpoint"),
            self._address(document, "token_endpoint"),
            self._address(document, "jwks_uri"),
            self._address(document, "userinfo_endpoint") if has_user_info else None,
            document.get("authorization_response_iss_parameter_supported") is True,
            "client_secret_basic" not in listed,
        )

    def _address(self, document: dict[str, Any], name: str) -> str:
        url = document.get(name)
        if not isinstance(url, str) or len(url) > 2_000 or not url.isprintable():
            raise OidcError("answer", f"The provider's {name} is not an address.")
        try:
            check_url(self.config, url, name)
        except ConfigError as error:
            raise OidcError("answer", str(error)) from None
        return url

    async def _verified(self, token: str, types: frozenset[str]) -> dict[str, Any]:
        """Return a token's claims; an unknown key makes the list of keys be read again."""
        keys = await self._known_keys(KEEP_MS)
        try:
            return verified_claims(token, keys, types)
        except UnknownKeyError:
            newer = await self._known_keys(REFRESH_KEYS_MS)
            if newer is keys:
                raise
            return verified_claims(token, newer, types)

    async def _known_keys(self, max_age_ms: int) -> tuple[PublicKey, ...]:
        async with self._keys_lock:
            now_ms = self._clock_ms()
            known = self._keys if now_ms < self._keys_ms + STALE_MS else None
            if known is not None and now_ms < self._keys_ms + max_age_ms:
                return known
            if self._keys_failure is not None:
                failed_ms, failure = self._keys_failure
                if known is not None and now_ms < failed_ms + REFRESH_KEYS_MS:
                    return known
                if known is None and now_ms < failed_ms + RETRY_MS:
                    raise failure
            metadata = await self.metadata()
            try:
                self._keys = read_keys(await self._http.get_json(metadata.jwks_uri))
            except OidcError as error:
                # Those who wait for the lock get the same answer: no queue of slow requests.
                self._keys_failure = (self._clock_ms(), error)
                if known is not None and error.reason == "unreachable":
                    return known
                raise
            self._keys_ms, self._keys_failure = now_ms, None
            return self._keys


def _token(answer: dict[str, Any], name: str) -> str | None:
    token = answer.get(name)
    fits = isinstance(token, str) and 0 < len(token) <= MAX_TOKEN_TEXT and token.isprintable()
    return token if fits else None
