"""`python -m tests.soak`: live new random lives of ledgers until a million steps are taken, or one fails.

Each process has an embedded server of its own; a life that fails ends the soak and tells its seed.
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import count
from pathlib import Path

from ledger.database import Database, migrate
from ledger.embedded import EmbeddedServer
from ledger.store import Store
from tests.conftest import empty
from tests.life import live

STEPS = 1_000_000
LENGTH = 60
TOGETHER = 20
LEDGERS = 2


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="steps in all (default: %(default)s)")
    parser.add_argument("--length", type=int, default=LENGTH, help="steps of a life (default: %(default)s)")
    parser.add_argument("--lives", type=int, default=TOGETHER, help="lives between two servers (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000, help="the first life (default: now)")
    arguments = parser.parse_args()
    once = arguments.lives == 1
    seeds = count(arguments.seed, arguments.lives)
    taken, lives = 0, 0
    print(f"the first seed is {arguments.seed}", flush=True)
    with ProcessPoolExecutor(arguments.processes) as pool:
        running = {pool.submit(some_lives, next(seeds), arguments.lives, arguments.length)}
        while running:
            while not once and taken < arguments.steps and len(running) < arguments.processes:
                running.add(pool.submit(some_lives, next(seeds), arguments.lives, arguments.length))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            taken += sum(future.result() for future in done)
            lives += len(done) * arguments.lives
            print(f"{taken:,} steps in {lives:,} lives", file=sys.stderr, flush=True)
    print(f"{taken:,} steps in {lives:,} lives, all invariants held")


def some_lives(first_seed: int, lives: int, length: int) -> int:
    """Live some lives on a server of their own; give the steps taken."""
    with (
        tempfile.TemporaryDirectory(prefix="orderledger-soak-") as folder,
        EmbeddedServer(Path(folder) / "postgres", settings={"fsync": "off", "synchronous_commit": "off"}) as server,
    ):
        ledgers = _Ledgers(server)
        steps = sum(live(ledgers.next, seed, steps=length) for seed in range(first_seed, first_seed + lives))
        ledgers.close()
        return steps


class _Ledgers:
    """A few databases in turn, each emptied before it is a ledger again."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._stores = list[Store]()
        self._server = server

    def next(self) -> Store:
        """Give an empty ledger."""
        if len(self._stores) < LEDGERS:
            self._stores.append(Store(self._created()))
            return self._stores[-1]
        oldest = self._stores.pop(0)
        oldest.close()
        empty(oldest.database)
        self._stores.append(Store(oldest.database))
        return self._stores[-1]

    def close(self) -> None:
        """Close the connections."""
        for store in self._stores:
            store.close()

    def _created(self) -> Database:
        name = f"soak_{len(self._stores)}"
        administration = Database(self._server.url("postgres"))
        with administration.administration() as cursor:
            cursor.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        administration.close()
        database = Database(self._server.url(name))
        migrate(database)
        return database


if __name__ == "__main__":
    main()
