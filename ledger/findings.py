"""What verifying tells: findings, what to know besides, and the checkpoints that are held against a ledger."""

from dataclasses import dataclass, field

from ledger.notes import Note
from ledger.wording import Sentence, say

FINDINGS_MAX = 20
"""So many findings of one part are told; of further ones only that there are more."""


def span(first: int, last: int | None = None) -> Sentence:
    """Say where in the ledger something is: at a position, or at those from one to another."""
    if last is None or first == last:
        return say("position {position}", position=first)
    return say("positions {first} to {last}", first=first, last=last)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was recorded: of which part, where, and what."""

    part: str
    where: str
    what: str

    @property
    def sentence(self) -> Sentence:
        """Tell the finding."""
        return say("{part}, {where}: {what}", part=Sentence(self.part), where=self.where, what=self.what)

    def __str__(self) -> str:
        return str(self.sentence)


@dataclass(frozen=True)
class KeptCheckpoint:
    """A checkpoint that somebody keeps outside the database: what it is called, its size and root.

    Shape: its `note`, where it came as one, must be signed by a key of the ledger.
    """

    name: str
    size: int
    root: bytes
    note: Note | None = None


@dataclass
class Verified:
    """What was verified: so many events with this root, checkpoints and keys; what was found, and what to know.

    Shape: where the tables of the ledger are not there, it was not read.
    """

    is_read: bool = True
    size: int = 0
    root: bytes = b""
    checkpoints: int = 0
    keys: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def note(self, part: str, where: str, what: str) -> None:
        """Note a finding; of many in one part, the first ones."""
        of_part = sum(finding.part == part for finding in self.findings)
        if of_part < FINDINGS_MAX:
            self.findings.append(Finding(part, where, what))
        elif of_part == FINDINGS_MAX:
            self.findings.append(Finding(part, say("further on"), say("there are more, which are not told one by one")))
