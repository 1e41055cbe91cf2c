"""What an operator says of the organisation's OpenID Connect provider: where it is, and what its claims mean here.

Nothing here connects, and nothing needs Authlib: the command line reads settings before the service is made.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ledger.checks import shown
from ledger.tokens import ROLES
from ledger.wording import say

PRINCIPAL_CLAIM: Final = "sub"
"""The one claim that a provider never gives to two people, nor another value to the same one."""
ROLES_CLAIM: Final = "groups"


@dataclass(frozen=True)
class OidcSettings:
    """A provider, this service as its client, and the claims that say who somebody is and in which roles.

    Shape: `roles` are pairs of a group, which is a value of the roles claim, and the role that it has here.
    Errors: ValueError, with a sentence, for what can't be.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    roles: tuple[tuple[str, str], ...]
    principal_claim: str = PRINCIPAL_CLAIM
    roles_claim: str = ROLES_CLAIM

    def __post_init__(self) -> None:
        if not is_secure_url(self.issuer) or urlsplit(self.issuer).query:
            raise ValueError(
                say(
                    "the issuer {issuer} is not a https:// URL (http:// for this machine only)",
                    issuer=shown(self.issuer),
                )
            )
        for name in ("client_id", "client_secret", "principal_claim", "roles_claim"):
            if not getattr(self, name):
                raise ValueError(say("the {setting} is empty", setting=name.replace("_", " ")))
        if not self.roles:
            raise ValueError(say("no group has a role: nobody could sign in"))
        for group, role in self.roles:
            if not group or role not in ROLES:
                raise ValueError(
                    say(
                        "{pair} is not GROUP=ROLE with a role of {roles}",
                        pair=shown(f"{group}={role}"),
                        roles=", ".join(ROLES),
                    )
                )


def is_secure_url(url: str) -> bool:
    """Say whether a URL may be used for signing in: https, or http to this machine; no user, no fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc and "#" not in url
    return bool(host) and is_plain and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


def read_roles(text: str) -> tuple[tuple[str, str], ...]:
    """Read GROUP=ROLE pairs, separated by commas; a group may be there several times, and have '=' in its name."""
    pairs = (part.strip().rpartition("=") for part in text.split(",") if part.strip())
    return tuple((group.strip(), role.strip()) for group, _, role in pairs)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
