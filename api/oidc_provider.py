"""The organisation's OpenID Connect provider: where it takes people, what it gives for a code, whether that is true.

What the provider says of itself (its addresses, its keys) is asked for when somebody signs in, not before, and kept for
an hour; keys are asked for again when a token names one that is not known. A provider that does not answer is left
alone for some seconds, so that it does not keep the service's threads. Only configured and discovered addresses are
asked; no redirect is followed. Needs the extra `oidc`.
Source: OpenID Connect Core 1.0, sections 3.1 and 10.1.1; Discovery 1.0; RFC 6749, 7636 (PKCE), 9700.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus, urlencode

import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import Key, KeySet, import_key
from joserfc.jws import JWSRegistry
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers

from api.oidc_settings import OidcSettings, is_secure_url
from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.wording import say

Shape = TypeVar("Shape")
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures with a key that the provider alone has: never none, nor HS256, whose key is what the client knows, too."""
KEY_TYPES: Final = ("RSA", "EC")
CONNECT_SECONDS_MAX: Final = 3
READ_SECONDS_MAX: Final = 5
ANSWER_BYTES_MAX: Final = 1 << 20
KEPT: Final = timedelta(hours=1)
LEFT_ALONE: Final = timedelta(seconds=5)
LEEWAY_SECONDS: Final = 60
_DISCOVERY_PATH = "/.well-known/openid-configuration"
_log = logging.getLogger("orderledger.oidc")


class Discovery(msgspec.Struct, frozen=True):
    """What is used of what a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Keys(msgspec.Struct, frozen=True):
    """The keys that a provider publishes."""

    keys: tuple[dict[str, Any], ...]


class TokenAnswer(msgspec.Struct, frozen=True):
    """What is used of what a provider gives for a code."""

    id_token: str
    access_token: str | None = None


class ProviderError(msgspec.Struct, frozen=True):
    """What a provider gives instead."""

    error: str


@dataclass(frozen=True)
class Attempt:
    """A sign-in under way: what must come back (state, nonce), what proves who began it, and where it comes back to."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


@dataclass(frozen=True)
class _Known:
    discovery: Discovery
    keys: KeySet
    at: datetime


class Provider:
    """A provider, asked as its client; threads may share it."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._pool = PoolManager(
            retries=False, timeout=Timeout(connect=CONNECT_SECONDS_MAX, read=READ_SECONDS_MAX), maxsize=4
        )
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._failed_at: datetime | None = None

    def address(self, attempt: Attempt, *, now: datetime) -> str:
        """Give the provider's address to which a browser goes to sign in. Errors: Refusal (sign_in_unavailable)."""
        endpoint = self._current(now).discovery.authorization_endpoint
        asked = {
            "response_type": "code",
            "scope": "openid email profile",
            "client_id": self._settings.client_id,
            "redirect_uri": attempt.redirect_uri,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def claims(self, code: str, attempt: Attempt, *, now: datetime) -> Mapping[str, Any]:
        """Give what the provider says of whoever came back with a code, once its signature and all else hold.

        Errors: Refusal (sign_in_unavailable; sign_in_refused for a code that it does not take, or a token that is not
        for this sign-in).
        """
        answer = self._redeemed(code, attempt, self._current(now).discovery)
        try:
            token = self._decoded(answer.id_token, now)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self._settings.issuer},
                    "aud": {"essential": True, "value": self._settings.client_id},
                },
                {
                    "nonce": attempt.nonce,
                    "client_id": self._settings.client_id,
                    "access_token": answer.access_token,
                },
            )
            claims.validate(now=int(now.timestamp()), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            _log.warning("an id token is not accepted: %s", error)
            raise Refusal.of(
                Code.sign_in_refused,
                say(
                    "what your organisation's sign-in sent does not hold (its signature, for whom it is, or its time):"
                    " begin again at /sign-in, and tell an operator if it happens again"
                ),
            ) from None
        return dict(claims)

    def _decoded(self, text: str, now: datetime) -> jwt.Token:
        """Read a token that is signed by a key of the provider's. Errors: JoseError, ValueError."""
        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        try:
            return jwt.decode(text, self._current(now).keys, list(ALGORITHMS), registry)
        except InvalidKeyIdError:
            return jwt.decode(text, self._current(now, is_outdated=True).keys, list(ALGORITHMS), registry)

    def _current(self, now: datetime, *, is_outdated: bool = False) -> _Known:
        """Give what the provider says of itself, asked for anew where it was long ago, or is known to be outdated."""
        with self._lock:
            known = self._known
            if known is not None and not is_outdated and now - known.at < KEPT:
                return known
            if self._failed_at is not None and now - self._failed_at < LEFT_ALONE:
                raise _unavailable()
            try:
                self._known = self._asked(now)
            except Refusal:
                self._failed_at = now
                raise
            self._failed_at = None
            return self._known

    def _asked(self, now: datetime) -> _Known:
        issuer = self._settings.issuer
        discovery = _read(self._get(issuer.rstrip("/") + _DISCOVERY_PATH), Discovery)
        if discovery.issuer != issuer:
            raise _unavailable(f"it calls itself {shown(discovery.issuer)}, which is not the issuer that is configured")
        for url in (discovery.authorization_endpoint, discovery.token_endpoint, discovery.jwks_uri):
            if not is_secure_url(url):
                raise _unavailable(f"its address {shown(url)} is not https://")
        published = _read(self._get(discovery.jwks_uri), Keys).keys
        usable = [key for key in map(_usable, published) if key is not None]
        return _Known(discovery, KeySet(usable), now)

    def _redeemed(self, code: str, attempt: Attempt, discovery: Discovery) -> TokenAnswer:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        client = (self._settings.client_id, self._settings.client_secret)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if "client_secret_basic" in discovery.token_endpoint_auth_methods_supported:
            headers |= make_headers(basic_auth=":".join(map(quote_plus, client)))
        else:
            form |= {"client_id": client[0], "client_secret": client[1]}
        status, body = self._sent("POST", discovery.token_endpoint, headers, urlencode(form).encode())
        if status == 200:
            return _read(body, TokenAnswer)
        if status == 400 and _read(body, ProviderError).error == "invalid_grant":
            raise Refusal.of(
                Code.sign_in_refused,
                say(
                    "your organisation's sign-in does not take the code that the browser brought (it was used, or is"
                    " over): begin again at /sign-in"
                ),
            )
        raise _unavailable(f"it answers a code with status {status}")

    def _get(self, url: str) -> bytes:
        status, body = self._sent("GET", url, {}, None)
        if status != 200:
            raise _unavailable(f"{url} answers with status {status}")
        return body

    def _sent(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
        try:
            answer = self._pool.request(
                *(method, url),
                headers={"Accept": "application/json", **headers},
                body=body,
                redirect=False,
                preload_content=False,
            )
            try:
                read = answer.read(ANSWER_BYTES_MAX + 1, decode_content=True)
            finally:
                answer.close()
        except (HTTPError, OSError, ValueError) as error:
            raise _unavailable(f"{url}: {error}") from None
        if len(read) > ANSWER_BYTES_MAX:
            raise _unavailable(f"{url} answers with more than {ANSWER_BYTES_MAX} bytes")
        return answer.status, read


def _usable(published: dict[str, Any]) -> Key | None:
    """Give a key for signatures; None for one of another kind: a symmetric one has no place among public keys."""
    if published.get("kty") not in KEY_TYPES or published.get("use") == "enc":
        return None
    try:
        return import_key(published)
    except (JoseError, ValueError, TypeError) as error:
        _log.warning("a key of the OpenID Connect provider can't be read, and is left out: %s", error)
        return None


def _read(body: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unavailable(f"it answers something else than is expected: {error}") from None


def _unavailable(why: str = "") -> Refusal:
    """Make the refusal while the provider can't be used; why is for operators, in the log."""
    if why:
        _log.warning("the OpenID Connect provider can't be used: %s", why)
    return Refusal.of(
        Code.sign_in_unavailable,
        say("your organisation's sign-in does not answer as it should: try again in a moment, or sign in with a token"),
    )
