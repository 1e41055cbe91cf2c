"""The two roles behind every ledger of a PostgreSQL cluster: who owns what is recorded, and who the service acts as.

Neither can log in. A login acts as APPLICATION by being a member of it; nobody acts as OWNER but migrations. What each
may do is in migrations/0006_roles.sql.
"""

import psycopg2.extensions

OWNER = "orderledger_owner"
APPLICATION = "orderledger_app"

_SET_OPTION_SINCE = 160_000


def create_role(cursor: psycopg2.extensions.cursor, name: str, options: str) -> None:
    """Create a role if there is none of that name; others may do the same at the same moment."""
    cursor.execute(
        f"DO $$ BEGIN IF to_regrole('{name}') IS NULL THEN CREATE ROLE {name} {options}; END IF;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )


def create_roles(cursor: psycopg2.extensions.cursor) -> None:
    """Create both roles if this login may; one that is no superuser becomes a member, to hand over what it made."""
    cursor.execute("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
    [(is_superuser, may_create)] = cursor.fetchall()
    if is_superuser or may_create:
        for name in (OWNER, APPLICATION):
            create_role(cursor, name, "NOLOGIN" if is_superuser else "NOLOGIN ROLE CURRENT_USER")


def missing_statements(cursor: psycopg2.extensions.cursor) -> list[str]:
    """List what an administrator must run so that this login can migrate: nothing where it is a member of both."""
    acts_as = "SET" if cursor.connection.server_version >= _SET_OPTION_SINCE else "MEMBER"
    cursor.execute(
        "SELECT format(CASE WHEN to_regrole(name) IS NULL THEN 'CREATE ROLE %%I NOLOGIN ROLE %%I'"
        " ELSE 'GRANT %%I TO %%I' END, name, current_user) FROM unnest(%s) AS name"
        " WHERE to_regrole(name) IS NULL OR NOT pg_has_role(current_user, to_regrole(name), %s)",
        ([OWNER, APPLICATION], acts_as),
    )
    return [statement for (statement,) in cursor.fetchall()]
