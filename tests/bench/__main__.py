"""`python -m tests.bench [--orders N] [--only NAME,...]`: measure, and print the table; a missed goal is no failure."""

import argparse
import sys
import time
from collections.abc import Iterator

from ledger.database import Database
from tests.bench import changes, http, pages, performance, proof, rebuild, recorder, threads
from tests.bench.loading import load
from tests.bench.report import Row, note, table
from tests.bench.server import Server, ledger_database, machine, running

ORDERS = 1_000_000
PARTS = ("recorder", "threads", "intake", "rebuild", "performance", "pages", "proof", "changes", "http")
_LOADED = {"intake", "rebuild", "performance", "pages", "proof"}


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--orders", type=int, default=ORDERS, help="orders of three lines (default: %(default)s)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run (default: %(default)s)")
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    if unknown := set(only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    started = time.monotonic()
    with running() as server:
        where = machine(server)
        rows = list(_measured(server, arguments.orders, only))
    print(f"\n{arguments.orders:,} orders of three lines on {where}; {time.monotonic() - started:,.0f} s in all\n")
    print(table(rows))


def _measured(server: Server, orders: int, only: list[str]) -> Iterator[Row]:
    if "recorder" in only:
        yield from recorder.run(server, orders, _progress)
    if "threads" in only:
        yield from threads.run(server, orders, _progress)
    if _LOADED & set(only):
        with ledger_database(server) as database:
            yield from _over_ledger(server, database, orders, only)
    if "changes" in only:
        yield from changes.run(server, orders, _progress)
    if "http" in only:
        yield from http.run(server, orders, _progress)


def _over_ledger(server: Server, database: Database, orders: int, only: list[str]) -> Iterator[Row]:
    """Run the parts that read a loaded ledger."""
    intake = load(database, orders, _progress)
    yield note("intake in process: judged and appended, batches of 500", f"{intake.rate:,.0f} events/s")
    if "rebuild" in only:
        yield from rebuild.run(server, database, _progress)
    elif {"performance", "pages", "proof"} & set(only):
        rebuild.rebuild_apart(database.url)
    if "performance" in only:
        yield from performance.run(database, _progress)
    if "pages" in only:
        yield from pages.run(database, _progress)
    if "proof" in only:
        yield from proof.run(database, _progress)


def _progress(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
