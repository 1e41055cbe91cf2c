"""orderledger database: PostgreSQL's own programs on the ledger's database, as for a backup and its restore."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from psycopg2.extensions import parse_dsn

from api.commands import data_folder, refuse_remote
from ledger.database import Database, transaction
from ledger.embedded import EmbeddedServer, find_binaries
from ledger.refusal import Code, Refusal
from ledger.roles import create_roles
from ledger.wording import say

# libpq's variables for what an address names
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


@click.command("database", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def database_command(program: str, arguments: tuple[str, ...]) -> None:
    """Run PROGRAM (pg_dump, pg_restore, psql …) on the ledger's database, and exit with its status.

    It finds the database without being told (pg_restore wants --dbname=orderledger), as the login that may migrate, and
    an embedded server's own programs before others. The ledger's roles are there, the schema is left as it is.
    """
    refuse_remote()
    with _environment() as environment:
        try:
            status = subprocess.run([program, *arguments], env=environment, check=False).returncode
        except OSError as error:
            raise Refusal.of(
                Code.not_found,
                say("{program} can't be run: {error_strerror}", program=program, error_strerror=error.strerror),
            ) from None
    sys.exit(status)


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Give the environment of a program, with the server running for as long if it is the embedded one."""
    if url := os.environ.get("ORDERLEDGER_ADMIN_URL") or os.environ.get("ORDERLEDGER_DATABASE_URL"):
        yield _environment_of(url, os.environ["PATH"])
        return
    folder = data_folder() / "postgres"
    with EmbeddedServer(folder) as server:
        yield _environment_of(server.url(), f"{find_binaries(folder)}{os.pathsep}{os.environ['PATH']}")


def _environment_of(url: str, path: str) -> dict[str, str]:
    with Database(url).administration() as cursor, transaction(cursor):
        create_roles(cursor)
    named = {_VARIABLES[name]: value for name, value in parse_dsn(url).items() if name in _VARIABLES}
    return {**os.environ, **named, "PATH": path}
