"""What processes cost, read from Linux's /proc: CPU seconds, and the peak of resident memory.

Errors: on other systems, and for processes of another machine, nothing is found and the figures are empty.
Source: proc(5), /proc/[pid]/stat and /proc/[pid]/status.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ledger.database import Database, one

_PAUSE_SECONDS = 0.05
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def parent(pid: int) -> int | None:
    """Give a process's parent, None where the process is not to be seen."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def tree(root: int) -> list[int]:
    """List a process and everything below it."""
    children = dict[int, list[int]]()
    for entry in Path("/proc").glob("[0-9]*"):
        above = parent(int(entry.name))
        if above is not None:
            children.setdefault(above, []).append(int(entry.name))
    found = [root] if _stat(root) else []
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Sum the CPU time of a process and everything below it, ended children that were waited for included."""
    ticks = 0
    for pid in tree(root):
        fields = _stat(pid)
        ticks += sum(map(int, fields[11:15])) if fields else 0
    return ticks / _TICKS_PER_SECOND


def postmaster(database: Database) -> int | None:
    """Find the server's first process, where it runs on this machine."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend: int = one(cursor)[0]
        if "postgres" not in _command(backend):
            return None
        return parent(backend)


class Peaks:
    """The peak of resident memory of each process of a tree that was seen, in MB."""

    def __init__(self) -> None:
        self.megabytes = dict[int, int]()

    @property
    def total(self) -> int:
        """The sum of the peaks, which is no less than the peak of the sum."""
        return sum(self.megabytes.values())

    def look(self, root: int) -> None:
        """Note the peaks so far. The kernel keeps them, so only what comes after the last look is missed."""
        for pid in tree(root):
            if (kilobytes := _peak_kilobytes(pid)) is not None:
                self.megabytes[pid] = kilobytes // 1024

    def __str__(self) -> str:
        each = " + ".join(str(megabytes) for megabytes in sorted(self.megabytes.values(), reverse=True))
        return f"{self.total:,} MB ({each})" if len(self.megabytes) > 1 else f"{self.total:,} MB"


@contextmanager
def watched(root: int) -> Iterator[Peaks]:
    """Keep looking at a tree of processes while the block runs."""
    peaks = Peaks()
    stopped = threading.Event()

    def look() -> None:
        while not stopped.wait(_PAUSE_SECONDS):
            peaks.look(root)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
        peaks.look(root)
    finally:
        stopped.set()
        thread.join()


def _stat(pid: int) -> list[str]:
    """Read the fields of /proc/[pid]/stat behind the command's name: state, parent, … (field 3 on)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def _peak_kilobytes(pid: int) -> int | None:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return None
