"""The command `orderledger-verify`: verify a bundle and say what was found.

Exit: 0 verified, 1 something does not hold, 2 usage.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from verifier.evidence import Brought
from verifier.findings import Malformed
from verifier.notes import VerifierKey, parse_key
from verifier.verification import Verdict, verify

KEY_FILE_BYTES_MAX = 100_000
SELF_CONSISTENCY = (
    "ONLY SELF-CONSISTENCY WAS CHECKED: the bundle's own keys were trusted, so whoever made the bundle could have made"
    " all of it up. Bring the ledger's key and verify again with --key."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not asked.key and not asked.trust_bundle_key:
        parser.error(
            "give the ledger's verifier key with --key: an auditor brings the key, from somewhere else than the bundle."
            " With --trust-bundle-key only self-consistency is checked."
        )
    if asked.key and asked.trust_bundle_key:
        parser.error("give either --key or --trust-bundle-key")
    for path in (asked.bundle, *asked.earlier):
        if not os.path.exists(path):
            parser.error(f"there is no {str(path)!r}")
    try:
        keys = tuple(key for given in asked.key for key in _keys(given))
    except Malformed as error:
        parser.error(f"--key: {error.what}")
    verdict = verify(asked.bundle, Brought(keys, tuple(asked.earlier), asked.trust_bundle_key))
    print(as_json(verdict) if asked.format == "json" else as_text(verdict))
    return 0 if verdict.is_verified else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orderledger-verify",
        description="Verify an exported bundle of a ledger: signature, inclusion, consistency, events, and all figures"
        " again from the events. No network, no database.",
        epilog="Exit: 0 verified, 1 something does not hold, 2 usage.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle: a folder or a zip archive")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="VKEY_OR_FILE",
        help="the ledger's verifier key, or a file of such keys, one a line; may be given several times. Keys that it"
        " endorses in the ledger are followed.",
    )
    parser.add_argument(
        "--earlier",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="an earlier bundle, or a checkpoint that you kept: the ledger must begin with it; may be given several"
        " times",
    )
    parser.add_argument(
        "--trust-bundle-key",
        action="store_true",
        help="trust the keys in the bundle: checks only that it is consistent in itself",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people, or for programs")
    return parser


def _keys(given: str) -> list[VerifierKey]:
    """Read a key, or a file of keys. Errors: Malformed."""
    try:
        return [parse_key(given)]
    except Malformed:
        if not os.path.isfile(given):
            raise
    try:
        text = Path(given).read_bytes()[:KEY_FILE_BYTES_MAX].decode("utf-8")
    except (OSError, UnicodeError) as error:
        raise Malformed(f"{given!r} can't be read as a file of keys") from error
    keys = [parse_key(line.strip()) for line in text.splitlines() if line.strip()]
    if not keys:
        raise Malformed(f"there is no key in the file {given!r}")
    return keys


def as_text(verdict: Verdict) -> str:
    """Write a verdict for people."""
    lines = [finding.line() for finding in verdict.findings]
    lines += [f"note: {note}" for note in verdict.notes]
    summary = verdict.summary
    failures = sum(not finding.ok for finding in verdict.findings)
    if verdict.is_verified:
        hashed = summary["hashed_only"]
        for view in summary["views"]:
            lines.append(f"view {view['name']}: known at position {view['position']}: {view['totals']}")
        about = f"period {summary['period']}" if summary["period"] else "the whole ledger"
        lines.append(
            f"{'self-consistent' if verdict.is_self_consistency_only else 'verified'}: {about} of {summary['ledger']},"
            f" {summary['events']} events, checkpoint of size {summary['size']}, root {summary['root']},"
            f" key {summary['key']}" + (f"; but for {hashed} files, see the note" if hashed else "")
        )
    else:
        lines.append(f"NOT VERIFIED: {failures} failures")
    if verdict.is_self_consistency_only:
        lines.append(SELF_CONSISTENCY)
    return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """Escape what could do harm to a terminal: names are the bundle's."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def as_json(verdict: Verdict) -> str:
    """Write a verdict for programs."""
    document = {
        "verified": verdict.is_verified and not verdict.is_self_consistency_only,
        "self_consistent": verdict.is_verified,
        "self_consistency_only": verdict.is_self_consistency_only,
        "summary": verdict.summary,
        "findings": [
            {"check": each.check, "ok": each.ok, "where": each.where, "message": each.message}
            for each in verdict.findings
        ],
        "notes": verdict.notes,
    }
    return json.dumps(document, indent=2, ensure_ascii=True)


if __name__ == "__main__":
    sys.exit(main())
