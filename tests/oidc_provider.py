"""An OpenID Connect provider as an organisation would run one: a real server on this machine, with keys of its own.

    with providing(clock) as provider:
        provider.claims |= {"groups": ["ledger-audit"]}
        … provider.settings, provider.come_back(address)

It holds the client to the protocol: client, redirect address and verifier must fit, and a code is taken once.
"""

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from api.oidc_settings import OidcSettings

CLIENT = "ledger:client"
SECRET = "s+cret /é"  # noqa: S105 - of tests; characters that must be escaped
GROUPS = (("ledger-audit", "auditor"), ("ledger-sales", "sales"), ("ledger-rules", "rules"))
Signing = Callable[["Provider", dict[str, Any]], str]


def signed(provider: "Provider", claims: dict[str, Any]) -> str:
    """Sign with the provider's key."""
    algorithm = "RS256" if isinstance(provider.key, RSAKey) else "ES256"
    return jwt.encode({"alg": algorithm, "kid": provider.key.kid}, claims, provider.key, [algorithm])


def unsigned(provider: "Provider", claims: dict[str, Any]) -> str:
    """Sign with nothing (alg none)."""
    parts = (json.dumps({"alg": "none", "kid": provider.key.kid}).encode(), json.dumps(claims).encode())
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def signed_by_the_public_key(provider: "Provider", claims: dict[str, Any]) -> str:
    """Sign with what everybody knows, as if it were a secret (HS256)."""
    key = OctKey.import_key(base64.urlsafe_b64encode(provider.key.as_der(private=False)).decode())
    return jwt.encode({"alg": "HS256", "kid": provider.key.kid}, claims, key, ["HS256"])


def signed_by_a_stranger(provider: "Provider", claims: dict[str, Any]) -> str:
    """Sign with a key of somebody else's, under the name of the provider's."""
    stranger = RSAKey.generate_key(2048, {"kid": str(provider.key.kid)})
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, stranger, ["RS256"])


@cache
def rsa_key(name: str) -> RSAKey:
    """Give a key of this name, made once: that takes a while."""
    return RSAKey.generate_key(2048, {"kid": name})


class Provider:
    """What it says of whoever signs in (`claims`, None: left out), and what of it is not as it should be."""

    def __init__(self, url: str, clock: Callable[[], datetime]) -> None:
        self.issuer = url
        self.clock = clock
        self.claims: dict[str, Any] = {"sub": "4711", "groups": ["ledger-audit"]}
        self.sign: Signing = signed
        self.key: RSAKey | ECKey = rsa_key("one")
        self.discovered: dict[str, Any] = {}
        self.statuses: dict[str, int] = {}
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def settings(self) -> OidcSettings:
        """Give what an operator configures."""
        return OidcSettings(self.issuer, CLIENT, SECRET, GROUPS)

    def come_back(self, address: str) -> str:
        """Sign in at the address that the service sent to; give the path and query with which one comes back."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert address.startswith(f"{self.issuer}/authorize?")
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert (asked["code_challenge_method"], "openid" in asked["scope"].split()) == ("S256", True)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': asked['state']})}"

    def answer(self, path: str, body: bytes, headers: Any) -> tuple[int, object]:
        """Answer a request."""
        self.asked.append(path)
        if path in self.statuses:
            return self.statuses[path], {"error": "server_error"}
        if path == "/.well-known/openid-configuration":
            told = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            urls = {name: f"{self.issuer}/{tail}" for name, tail in told.items()}
            return 200, {"issuer": self.issuer, **urls, **self.discovered}
        if path == "/keys":
            return 200, {"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}, self.key.as_dict(private=False)]}
        assert path == "/token"
        return self._token({name: values[0] for name, values in parse_qs(body.decode()).items()}, headers)

    def _token(self, form: dict[str, str], headers: Any) -> tuple[int, object]:
        basic = base64.b64decode(headers.get("Authorization", "").removeprefix("Basic ")).decode()
        if basic:
            client = tuple(parse_qs(f"_={part}")["_"][0] for part in basic.split(":"))
        else:
            client = (form.get("client_id", ""), form.get("client_secret", ""))
        if client != (CLIENT, SECRET):
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if asked is None or (asked["code_challenge"], asked["redirect_uri"]) != (challenge, form["redirect_uri"]):
            return 400, {"error": "invalid_grant"}
        now = int(self.clock().timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return 200, {"token_type": "Bearer", "access_token": "unused", "id_token": self.sign(self, claims)}


@contextmanager
def providing(clock: Callable[[], datetime]) -> Iterator[Provider]:
    """Run a provider; its tokens are of the clock's time."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = provider.answer(self.path, body, self.headers)
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_POST = do_GET  # noqa: N815 - the name that the server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_address[1]}", clock)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
