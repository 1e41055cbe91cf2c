"""The organisation's sign-in as the environment of `orderledger serve` says it."""

import os
from importlib.util import find_spec

from api.commands import WrongUse
from api.oidc_settings import PRINCIPAL_CLAIM, ROLES_CLAIM, OidcSettings, read_roles
from ledger.wording import say, words_of

NAMES = {
    "issuer": "ORDERLEDGER_OIDC_ISSUER",
    "client_id": "ORDERLEDGER_OIDC_CLIENT_ID",
    "client_secret": "ORDERLEDGER_OIDC_CLIENT_SECRET",
    "roles": "ORDERLEDGER_OIDC_ROLES",
}
PRINCIPAL_NAME = "ORDERLEDGER_OIDC_PRINCIPAL_CLAIM"
ROLES_NAME = "ORDERLEDGER_OIDC_ROLES_CLAIM"


def oidc_settings() -> OidcSettings | None:
    """Read the settings; None where no variable is set.

    Errors: a usage error where only some are there, one can't be used, or Authlib is not installed.
    """
    said = {name: os.environ.get(variable, "") for name, variable in NAMES.items()}
    if not any((*said.values(), os.environ.get(PRINCIPAL_NAME), os.environ.get(ROLES_NAME))):
        return None
    if missing := [NAMES[name] for name, value in said.items() if not value]:
        raise WrongUse(
            say("OpenID Connect is set up in part: set {missing}, too, or none of them", missing=", ".join(missing))
        )
    if find_spec("authlib") is None or find_spec("joserfc") is None:
        raise WrongUse(say("OpenID Connect needs Authlib: pip install 'orderledger[oidc]', or unset its variables"))
    try:
        return OidcSettings(
            issuer=said["issuer"],
            client_id=said["client_id"],
            client_secret=said["client_secret"],
            roles=read_roles(said["roles"]),
            principal_claim=os.environ.get(PRINCIPAL_NAME) or PRINCIPAL_CLAIM,
            roles_claim=os.environ.get(ROLES_NAME) or ROLES_CLAIM,
        )
    except ValueError as error:
        raise WrongUse(say("OpenID Connect: {error}", error=words_of(error))) from None
