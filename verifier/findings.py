"""What a check finds: one line each, that something holds, or what does not hold and where."""

import reprlib
from dataclasses import dataclass

SHOWN_CHARACTERS_MAX = 80
FAILURES_TOLD_MAX = 20


@dataclass(frozen=True)
class Finding:
    """One statement of a check. `where` names the file, and the line and the position in it where there are such."""

    check: str
    ok: bool
    message: str
    where: str = ""

    def line(self) -> str:
        """Write it for people.

        >>> Finding("events", False, "version 3 follows version 1", "events.ndjson:7 (position 12)").line()
        'FAILED events: events.ndjson:7 (position 12): version 3 follows version 1'
        """
        parts = [f"{'ok' if self.ok else 'FAILED'} {self.check}", self.where, self.message]
        return ": ".join(part for part in parts if part)


class Malformed(Exception):
    """Something is not what the format says. `where` is completed by whoever knows the file."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where


def shown(value: object) -> str:
    """Write a value of the bundle so that it can do no harm to a terminal, nor fill it."""
    text = repr(value) if isinstance(value, str) else reprlib.repr(value)  # of lists in lists only the outermost
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"


class Check:
    """A check at work: what it found so far. Beyond FAILURES_TOLD_MAX failures are only counted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings = list[Finding]()
        self.failures = 0

    def ok(self, message: str, where: str = "") -> None:
        """Note that something holds."""
        self.findings.append(Finding(self.name, True, message, where))

    def fail(self, message: str, where: str = "") -> None:
        """Note what does not hold."""
        self.failures += 1
        if self.failures <= FAILURES_TOLD_MAX:
            self.findings.append(Finding(self.name, False, message, where))

    def malformed(self, error: Malformed, where: str) -> None:
        """Note what is not as the format says."""
        self.fail(error.what, error.where or where)

    def require(self, holds: bool, message: str, where: str = "") -> None:
        """Note the message unless it holds."""
        if not holds:
            self.fail(message, where)

    def told(self) -> list[Finding]:
        """Give the findings, and how many more failures there are."""
        if self.failures <= FAILURES_TOLD_MAX:
            return self.findings
        return [*self.findings, Finding(self.name, False, f"and {self.failures - FAILURES_TOLD_MAX} more like these")]
