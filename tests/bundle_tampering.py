"""Manipulations of a bundle's files, chosen at random from a seed, by somebody who may also correct the manifest.

`manipulate` changes one thing; `meaning` tells what a bundle says, so that a manipulation that leaves all as it was (a
blank between two values; a rule for days on which no line is ordered) is not taken for one that went unseen.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.bundles import described

DATA = (".ndjson", ".json", "checkpoint")


def manipulate(random: Random, original: Path, folder: Path) -> str:
    """Copy a bundle and change something in it; say what."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(original, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    corrects = random.random() < 0.7
    path = random.choice([each for each in files if each.name.endswith(DATA)] if corrects else files)
    how = random.choice(_WAYS)
    how(random, path, files)
    if corrects:
        correct_manifest(folder)
    corrected = ", manifest corrected" if corrects else ""
    return f"{how.__name__[1:]} {path.relative_to(folder)}{corrected}"


def correct_manifest(folder: Path) -> None:
    """Make the manifest's hashes and sizes those of the files that are there."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
        manifest["files"] = {
            name: described(each.read_bytes())
            for each in sorted(folder.rglob("*"))
            if each.is_file() and (name := each.relative_to(folder).as_posix()) not in ("manifest.json", "checkpoint")
        }
    except (ValueError, TypeError, KeyError, OSError):
        return
    path.write_text(json.dumps(manifest), encoding="utf-8")


def is_same(folder: Path, original: Path) -> bool:
    """Say whether all files are the same, byte for byte."""
    ours, theirs = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (folder, original)
    )
    return ours == theirs


def meaning(folder: Path) -> Any:
    """Give what a bundle says, or anything else where it can't be read."""
    try:
        return _meaning(folder)
    except (ValueError, TypeError, KeyError, OSError, AttributeError) as error:
        return str(error)


def _meaning(folder: Path) -> dict[str, Any]:
    said = dict[str, Any]()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name.endswith(DATA) and not name.endswith("rules.ndjson"):
            said[name] = _content(path)
    for lines in folder.glob("views/*/credit_lines.ndjson"):
        said[lines.relative_to(folder).as_posix()] = _lines_with_rules(lines)
    return said


def _content(path: Path) -> Any:
    if path.name == "checkpoint":
        return path.read_bytes()
    if path.suffix == ".json":
        said = json.loads(path.read_bytes())
        return _typed({name: value for name, value in said.items() if name != "files"})
    data = path.read_bytes()
    rows = [_typed(json.loads(line)) for line in data.split(b"\n") if line]
    return [data[-1:], sorted(rows) if path.name == "consistency.ndjson" else rows]


def _typed(value: Any) -> str:
    """Tell 1 from true and from 1.0."""
    return json.dumps(value, sort_keys=True)


def _lines_with_rules(path: Path) -> Any:
    """Give the credit lines in order, each with the rule that is resolved for it, without numbers that only join."""
    rules = [json.loads(line) for line in (path.parent / "rules.ndjson").read_bytes().split(b"\n") if line]
    joined = []
    for line in path.read_bytes().split(b"\n"):
        if line:
            told = json.loads(line)
            found = [
                {name: value for name, value in rule.items() if name not in ("profile", "valid_from", "valid_to")}
                for rule in rules
                if rule["profile"] == told["profile"] and rule["valid_from"] <= told["ordered_on"] < rule["valid_to"]
            ]
            del told["profile"], told["seq"]
            joined.append(_typed([told, found]))
    return joined


# ---- ways


def _flip(random: Random, path: Path, _files: list[Path]) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def _insert_bytes(random: Random, path: Path, _files: list[Path]) -> None:
    data = path.read_bytes()
    at = random.randrange(len(data) + 1)
    path.write_bytes(data[:at] + random.randbytes(random.randint(1, 4)) + data[at:])


def _delete_bytes(random: Random, path: Path, _files: list[Path]) -> None:
    data = path.read_bytes()
    at = random.randrange(len(data) + 1)
    path.write_bytes(data[:at] + data[at + random.randint(1, 4) :])


def _truncate(random: Random, path: Path, _files: list[Path]) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: random.randrange(len(data) + 1)])


def _delete_line(random: Random, path: Path, _files: list[Path]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        del lines[random.randrange(len(lines))]
    path.write_bytes(b"".join(lines))


def _repeat_line(random: Random, path: Path, _files: list[Path]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    path.write_bytes(b"".join(lines))


def _swap_lines(random: Random, path: Path, _files: list[Path]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) > 1:
        one, other = random.sample(range(len(lines)), 2)
        lines[one], lines[other] = lines[other], lines[one]
    path.write_bytes(b"".join(lines))


def _delete_file(_random: Random, path: Path, _files: list[Path]) -> None:
    path.unlink()


def _add_file(random: Random, path: Path, _files: list[Path]) -> None:
    path.with_name(f"more-{random.randrange(10)}.json").write_bytes(path.read_bytes())


def _exchange_files(random: Random, path: Path, files: list[Path]) -> None:
    other = random.choice(files)
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(ours)


def _change_value(random: Random, path: Path, _files: list[Path]) -> None:
    """Change a value somewhere in a JSON document, or in one line of several; also inside a stored document."""
    if path.suffix == ".ndjson":
        lines = path.read_bytes().split(b"\n")
        at = random.randrange(len(lines))
        lines[at] = _changed_json(random, lines[at]) if lines[at] else b"{}"
        path.write_bytes(b"\n".join(lines))
    else:
        path.write_bytes(_changed_json(random, path.read_bytes()))


def _changed_json(random: Random, data: bytes) -> bytes:
    try:
        document = json.loads(data)
    except ValueError:
        return data[::-1]
    return json.dumps(_changed(random, document), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _changed(random: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = random.choice(sorted(value))
        if name == "state" and random.random() < 0.8:
            return value | {name: _changed_json(random, value[name].encode()).decode()}
        if random.random() < 0.1:
            return {other: kept for other, kept in value.items() if other != name}
        if random.random() < 0.05:
            return value | {name + "_too": value[name]}
        return value | {name: _changed(random, value[name])}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        if random.random() < 0.2:
            return [*value[:at], *value[at + 1 :]]
        return [*value[:at], _changed(random, value[at]), *value[at + 1 :]]
    return random.choice(
        [other for other in _others(random, value) if other != value or type(other) is not type(value)]
    )


def _others(random: Random, value: Any) -> list[Any]:
    """Give values that might be mistaken for this one, and such as no reader should stumble over."""
    others: list[Any] = [None, True, "", "x", 0, -1, 10**30, 10**5000 % (10**400), [], {}, 1.5, [[]] * 3, "\ud800"]
    if isinstance(value, str):
        others += [value + "0", value[:-1], value.upper(), "0", "1", "2026-05-05", "9999-12-31", "EUR", "1e5", "-0"] * 2
    if isinstance(value, int):
        others += [value + 1, value - 1, -value, value * 2, value + random.randint(1, 9)] * 4
    return others


_WAYS: tuple[Callable[[Random, Path, list[Path]], None], ...] = (
    _flip,
    _insert_bytes,
    _delete_bytes,
    _truncate,
    _delete_line,
    _repeat_line,
    _swap_lines,
    _delete_file,
    _add_file,
    _exchange_files,
    *(_change_value,) * 8,
)
