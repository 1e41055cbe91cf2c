"""What the checks stand on: the bundle, the keys that are trusted and why, and what the events come to."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from verifier.bundle import Bundle
from verifier.documents import Event
from verifier.findings import Malformed, shown
from verifier.notes import Checkpoint, VerifierKey, endorsed_key, parse_key, signer
from verifier.recomputation import Recomputation


@dataclass(frozen=True)
class Brought:
    """What the auditor brings: keys, earlier bundles or checkpoints, and whether the bundle's own keys will do."""

    keys: tuple[VerifierKey, ...] = ()
    earlier: tuple[Path, ...] = ()
    trusts_bundle_keys: bool = False


@dataclass
class Keys:
    """The trusted keys, and how each came to be trusted."""

    trusted: list[VerifierKey] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    recorded: list[VerifierKey] = field(default_factory=list)
    """The keys that events introduce, whether trusted or not."""
    problems: list[Malformed] = field(default_factory=list)

    def trust(self, key: VerifierKey, reason: str) -> None:
        """Trust a key."""
        if key not in self.trusted:
            self.trusted.append(key)
            self.reasons.append(reason)

    def reason(self, key: VerifierKey) -> str:
        """Say why a key is trusted."""
        return self.reasons[self.trusted.index(key)]


class Evidence:
    """A bundle, with what the auditor brings."""

    def __init__(self, bundle: Bundle, brought: Brought) -> None:
        self.bundle = bundle
        self.brought = brought

    @cached_property
    def keys(self) -> Keys:
        """Give the trusted keys: those brought, and those that they endorse, one after the other."""
        keys = Keys()
        for key in self.brought.keys:
            keys.trust(key, "a key that you gave")
        if self.brought.trusts_bundle_keys:
            for row in self.bundle.keys:
                try:
                    keys.trust(parse_key(row.values["vkey"]), "A KEY OF THE BUNDLE ITSELF")
                except Malformed as error:
                    keys.problems.append(Malformed(error.what, row.where))
        for event in self.events_of("signing_key.introduced"):
            try:
                self._introduce(keys, event)
            except Malformed as error:
                keys.problems.append(Malformed(error.what, event.where))
        return keys

    def _introduce(self, keys: Keys, event: Event) -> None:
        introduced = parse_key(event.data["vkey"])
        endorsement = event.data.get("endorsement")
        if endorsement is not None:
            known = [*keys.trusted, *keys.recorded]
            endorsed = endorsed_key(endorsement.encode(), introduced.name, known)
            if endorsed is None or endorsed[0] != event.data["vkey"]:
                raise Malformed(f"no key before it endorses the key {shown(event.data['vkey'])}")
            if endorsed[1] in keys.trusted:
                by = endorsed[1]
                keys.trust(
                    introduced,
                    f"which the key {by.name}+{by.key_id.hex()}, {keys.reason(by)}, endorses at position"
                    f" {event.position}",
                )
        keys.recorded.append(introduced)

    def signer(self, checkpoint: Checkpoint) -> VerifierKey | None:
        """Give the trusted key that signed a checkpoint; None where none did. Errors: Malformed."""
        return signer(checkpoint.note, [key for key in self.keys.trusted if key.name == checkpoint.origin])

    @cached_property
    def recomputation(self) -> Recomputation:
        """Give what the events come to."""
        return Recomputation(self.bundle.events)

    def events_of(self, *types: str) -> list[Event]:
        """Give the events of these types."""
        return [event for event in self.bundle.events if event.type in types]

    @property
    def settings(self) -> dict[str, Any]:
        """Give the ledger's settings."""
        opened = self.events_of("ledger.opened")
        return opened[0].data if opened else {}

    @property
    def size(self) -> int:
        """Give the size of the checkpoint; 0 where there is none."""
        return self.bundle.checkpoint.size if self.bundle.checkpoint else 0
