"""The addresses of webhook endpoints: which are taken, and which hosts may be connected to.

A service that connects wherever somebody says can be made to reach what only it can reach (server-side request
forgery). So a URL is taken apart once, here; the sender connects to addresses that `Reach` lets through and to nothing
else. Nothing here looks a name up or connects.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.wording import say

URL_CHARACTERS_MAX: Final = 2_000
_PORTS: Final = {"https": 443, "http": 80}
_TAKEN = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without spaces and backslashes, which programs read in different ways."""
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_PUBLIC_IPV6 = ip_network("2000::/3")
_TUNNELS = (ip_network("2001::/32"), ip_network("2002::/16"))
"""Teredo and 6to4: an IPv6 address that stands for an IPv4 one, which may be anything."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Target:
    """Where to send to: a URL taken apart; `host` is a name or an address, `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """Give the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class Reach:
    """Which addresses may be connected to beside the public ones.

    `insecure`: this machine itself, also without TLS, for tests and development. `networks`: receivers of one's own.
    """

    insecure: bool = False
    networks: tuple[Network, ...] = ()

    def target(self, url: str) -> Target:
        """Take a URL apart. Errors: Refusal (invalid_url) for one that is not taken."""
        parts = _parts(url)
        if parts is None:
            raise _invalid(
                say(
                    "{url} is not a URL of at most {url_characters_max} ASCII characters with a host",
                    url=shown(url),
                    url_characters_max=URL_CHARACTERS_MAX,
                )
            )
        if parts.scheme != "https" and not (parts.scheme == "http" and self.insecure):
            raise _invalid(
                say(
                    "{scheme} is not taken: what is sent must be encrypted, give a https:// URL",
                    scheme=shown(parts.scheme),
                )
            )
        if "@" in parts.netloc or "#" in url:
            raise _invalid(say("a URL with a user or password in it, or with a fragment, is not taken: leave it out"))
        host = parts.hostname or ""
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        literal = _literal(host)
        if literal is not None and not self.allows(literal, parts.scheme):
            raise _invalid(
                say("{literal} is not a public address: give one that the service may connect to", literal=literal)
            )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.scheme, host, port, path)

    def allows(self, address: IPv4Address | IPv6Address, scheme: str) -> bool:
        """Say whether a connection to an address may be opened."""
        plain = _plain(address)
        if self.insecure and plain.is_loopback:
            return True
        return scheme == "https" and (is_public(plain) or any(plain in network for network in self.networks))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address is one of the public internet's, and of a single host's."""
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in _PUBLIC_IPV6 and not any(address in network for network in _TUNNELS)


def read_networks(text: str) -> tuple[Network, ...]:
    """Read networks such as "10.1.0.0/16, fd00::/8". Errors: ValueError for what is none."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _parts(url: str) -> SplitResult | None:
    if len(url) > URL_CHARACTERS_MAX or _TAKEN.fullmatch(url) is None:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # no such port, or brackets around what is no address
        return None
    known = _literal(host) is not None or _HOST.fullmatch(host) is not None
    return parts if known and port != 0 else None


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Give the IPv4 address that an IPv6 one is only another writing of."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _invalid(sentence: str) -> Refusal:
    return Refusal.of(Code.invalid_url, sentence, "/url")
