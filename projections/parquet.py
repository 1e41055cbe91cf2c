"""Files of JSON lines as they are streamed, and their twins in Parquet, which DuckDB makes of them.

DuckDB is imported where a table is made, and nowhere else: only whoever exports needs it. It reads the JSON lines with
the columns' types given, so that both files hold the same; one thread, bounded memory, nothing left beside the files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from ledger.events import encode

ROW_GROUP_ROWS: Final = 40_000
_SETTINGS: Final = {
    "threads": "1",  # rows stay in order, and memory is one thread's
    "memory_limit": "512MB",
    "temp_directory": "",  # nothing is spilled: rows stream through
    "autoinstall_known_extensions": "false",  # nothing is fetched
}
_OBJECT_BYTES_MIN = 1 << 20
_KINDS: Final[Mapping[Any, str]] = {int: "BIGINT", str: "VARCHAR", date: "DATE"}


@dataclass(frozen=True)
class Lines:
    """A file of JSON lines as it was written; Parquet's maker is told how long the longest line is."""

    path: Path
    count: int
    longest_bytes: int


def write_lines(path: Path, lines: Iterable[object]) -> Lines:
    """Write one JSON object a line, as they come."""
    count, longest = 0, 0
    with path.open("wb") as file:
        for line in lines:
            text = encode(line)
            file.write(text)
            file.write(b"\n")
            count += 1
            longest = max(longest, len(text))
    return Lines(path, count, longest)


def columns_of(line: type[Struct]) -> dict[str, str]:
    """Give the columns of a kind of line, with their types in DuckDB."""
    return {field.encode_name: _kind(field.type) for field in msgspec.structs.fields(line)}


def _kind(annotation: Any) -> str:
    kinds = [each for each in get_args(annotation) or (annotation,) if each is not type(None)]
    return _KINDS[kinds[0]]


def write_parquet(lines: Lines, columns: Mapping[str, str], select: str = "*") -> None:
    """Make the twin of a file of JSON lines, with the same rows in the same order.

    Shape: `select` lists the columns where they are other ones than the lines have.
    Errors: OSError where the disk is full.
    """
    import duckdb  # noqa: PLC0415 - only where a table is made

    with duckdb.connect(config={**_SETTINGS}) as engine:
        try:
            read = engine.read_json(
                str(lines.path),
                columns=dict(columns),
                format="newline_delimited",
                maximum_object_size=max(lines.longest_bytes + 1, _OBJECT_BYTES_MIN),
            )
            target = str(lines.path.with_suffix(".parquet"))
            read.project(select).write_parquet(target, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        except duckdb.IOException as error:
            raise OSError(str(error)) from error
