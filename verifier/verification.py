"""Running all the checks over a bundle, and the verdict.

What can still be checked is checked after a failure. A verdict is never better than its worst finding.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verifier.agreement import check_recomputation
from verifier.bundle import FORMAT, MANIFEST, Bundle, read_bundle
from verifier.checks import check_checkpoint, check_consistency, check_events, check_inclusion, check_manifest
from verifier.evidence import Brought, Evidence
from verifier.figures import read_figures
from verifier.findings import Check, Finding, Malformed, shown
from verifier.shapes import parse_json
from verifier.source import Source, open_source, read_small
from verifier.statements import check_statements
from verifier.views import check_figures, totals

CHECKS: tuple[tuple[str, Callable[[Check, Evidence], None]], ...] = (
    ("manifest", check_manifest),
    ("checkpoint", check_checkpoint),
    ("inclusion", check_inclusion),
    ("consistency", check_consistency),
    ("events", check_events),
    ("statements", check_statements),
    ("figures", check_figures),
    ("recomputation", check_recomputation),
)
HASHED_ONLY = (".parquet", ".sql", ".py", ".md")


@dataclass
class Verdict:
    """All findings in order, and what a program may want to know of the bundle."""

    findings: list[Finding] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_self_consistency_only: bool = False

    @property
    def is_verified(self) -> bool:
        """Say whether everything holds, and everything was looked at."""
        passed = {finding.check for finding in self.findings if finding.ok}
        return all(finding.ok for finding in self.findings) and passed >= {name for name, _ in CHECKS}


def verify(path: Path, brought: Brought) -> Verdict:
    """Check a bundle with what the auditor brings."""
    verdict = Verdict(is_self_consistency_only=brought.trusts_bundle_keys)
    try:
        source = open_source(path)
        _check_format(source)
    except Malformed as error:
        verdict.findings.append(Finding("manifest", False, error.what, error.where))
        return verdict
    bundle = read_bundle(source)
    evidence = Evidence(bundle, brought)
    for name, run in CHECKS:
        check = Check(name)
        for finding in bundle.unreadable:
            if finding.check == name:
                check.fail(finding.message, finding.where)
        _run(check, run, evidence)
        verdict.findings += check.told()
    assert {finding.check for finding in bundle.unreadable} <= {name for name, _ in CHECKS}, "no failure is lost"
    verdict.summary = _summary(evidence)
    verdict.notes = list(_notes(bundle))
    return verdict


def _check_format(source: Source) -> None:
    """See that it is a bundle of the format that this verifier knows, as far as a manifest can be read at all."""
    if not {MANIFEST, "checkpoint"} & set(source.sizes):
        raise Malformed("it is no bundle: it has no manifest.json and no checkpoint")
    try:
        manifest = parse_json(read_small(source, MANIFEST))
    except Malformed:
        return
    told = manifest.get("format") if isinstance(manifest, dict) else None
    if told != FORMAT:
        raise Malformed(f"its format is {shown(told)}; this verifier knows {FORMAT}", MANIFEST)


def _run(check: Check, run: Callable[[Check, Evidence], None], evidence: Evidence) -> None:
    """Run a check; whatever happens in it, the others are run, and it is no pass."""
    try:
        run(check, evidence)
    except Malformed as error:
        check.malformed(error, "")
    except Exception as error:  # noqa: BLE001 - a bundle that breaks a check is not verified, and is no traceback
        check.fail(f"this check could not be completed: {type(error).__name__} {shown(str(error))}")


def _summary(evidence: Evidence) -> dict[str, Any]:
    bundle, checkpoint = evidence.bundle, evidence.bundle.checkpoint
    summary: dict[str, Any] = {"format": FORMAT, "events": len(bundle.events)}
    if bundle.manifest:
        summary |= {name: bundle.manifest[name] for name in ("ledger", "scope", "period", "start", "end")}
    if checkpoint:
        summary |= {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
        summary["key"] = _signer(evidence)
    summary["hashed_only"] = len(_hashed(bundle))
    summary["views"] = [
        {"name": view.name, "position": view.position, "totals": totals(read_figures(view.values["figures"]))}
        for view in bundle.views
    ]
    return summary


def _signer(evidence: Evidence) -> str | None:
    """Give the trusted key that signed the checkpoint."""
    try:
        key = evidence.signer(evidence.bundle.checkpoint) if evidence.bundle.checkpoint else None
    except Malformed:
        return None
    return key.text() if key else None


def _hashed(bundle: Bundle) -> list[str]:
    """Name the files of which only the hash was compared."""
    return sorted(name for name in bundle.source.sizes if name.endswith(HASHED_ONLY))


def _notes(bundle: Bundle) -> list[str]:
    """Say what is not proven."""
    notes = list[str]()
    if hashed := _hashed(bundle):
        notes.append(
            "Of these files only the hash was compared, with the manifest, which nothing signs: " + ", ".join(hashed)
        )
    if not bundle.is_whole:
        notes.append(
            "A bundle of a period proves that its events are in the ledger, not that there are no others: an order, or"
            " the last events of a stream (a later statement too), could have been left out. That a statement follows"
            " from the events shows that nothing it counts is missing; that all is there, only a bundle of the whole"
            " ledger shows."
        )
    return notes
