"""Recompute the figures of this bundle from its Parquet files: `pip install duckdb`, then `python recompute.py`.

Each view's calculation.sql runs over credit_lines.parquet and rules.parquet. What carry-forwards, which are events,
took out of the period is taken off, and what they booked into it are its adjustments. Exit status 1: a figure differs.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

FOLDER = Path(__file__).parent
Figures = dict[tuple[str | None, str], tuple[int, int, int]]


def main() -> int:
    """Recompute each view; print and compare its figures."""
    manifest = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    told = [_compare(name, manifest) for name in manifest["views"]]
    return 0 if all(told) else 1


def _compare(name: str, manifest: dict[str, Any]) -> bool:
    folder = FOLDER / "views" / name
    view = json.loads((folder / "view.json").read_text(encoding="utf-8"))
    found = _recomputed(folder, manifest, view["position"])
    stated = {
        (figure["salesperson_id"], figure["currency"]): (
            *(_units(figure["gross"]), _units(figure["credited"]), _units(figure["adjustments"])),
        )
        for figure in view["figures"]
    }
    print(f"\n{manifest['period']}, view {name}, as known at position {view['position']}")
    print(f"{'salesperson':20} {'currency':8} {'gross':>26} {'credited':>26} {'adjustments':>26}")
    for key in sorted(found.keys() | stated.keys(), key=lambda key: (key[0] or "", key[1])):
        amounts = " ".join(f"{_text(amount):>26}" for amount in found.get(key, (0, 0, 0)))
        same = "" if found.get(key) == stated.get(key) else f"  DIFFERS from view.json: {stated.get(key)}"
        print(f"{key[0] or '(nobody)':20} {key[1]:8} {amounts}{same}")
    print("the same as view.json" if found == stated else "NOT the same as view.json")
    return found == stated


def _recomputed(folder: Path, manifest: dict[str, Any], position: int) -> Figures:
    """Give gross, credited and adjustments in 10^-10, by salesperson and currency."""
    gross, credited = Counter[tuple[str | None, str]](), Counter[tuple[str | None, str]]()
    with duckdb.connect() as engine:
        engine.read_parquet(str(folder / "credit_lines.parquet")).create_view("credit_line")
        engine.read_parquet(str(folder / "rules.parquet")).create_view("rule_interval")
        engine.read_parquet(str(FOLDER / "events.parquet")).create_view("event")
        engine.execute((folder / "calculation.sql").read_text(encoding="utf-8"))
        for person, currency, of_all, of_counting in engine.fetchall():
            gross[person, currency], credited[person, currency] = int(of_all) * 10_000, int(of_counting)
        engine.execute("SELECT state FROM event WHERE type = 'period.carried_forward' AND position <= ?", [position])
        carried = [json.loads(state)["data"] for (state,) in engine.fetchall()]
    adjustments = Counter[tuple[str | None, str]]()
    for each in carried:
        for part in each["adjustments"]:
            key = part["salesperson_id"], part["currency"]
            if each["period"] == manifest["period"]:
                credited[key] -= _units(part["credited"])
            if manifest["start"] <= each["booked_on"] < manifest["end"]:
                adjustments[key] += _units(part["credited"])
    figures = {key: (gross[key], credited[key], adjustments[key]) for key in {*gross, *credited, *adjustments}}
    return {key: amounts for key, amounts in figures.items() if any(amounts)}


def _units(text: str) -> int:
    """Read an exact decimal into 10^-10."""
    whole, _, decimals = text.partition(".")
    return int(whole + decimals.ljust(10, "0"))


def _text(units: int) -> str:
    """Write 10^-10 as a decimal."""
    digits = str(abs(units)).rjust(11, "0")
    return f"{'-' if units < 0 else ''}{digits[:-10]}.{digits[-10:].rstrip('0').ljust(2, '0')}"


if __name__ == "__main__":
    sys.exit(main())
