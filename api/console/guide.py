"""Help: what each role can do here, what to type, what the words mean, and where files and proofs are."""

from typing import Final

from flask import Blueprint, Response, url_for

from api.access import EVERYONE, allow
from api.console.shell import MENU, page
from ledger.wording import Sentence, say

DUTIES: Final[dict[str, Sentence]] = {
    "ingest": say("records orders and facts, imports files"),
    "sales": say("sees their own figures only; the principal is the salesperson's id"),
    "rules": say("proposes rule changes, reads all figures"),
    "approver": say("approves or rejects rule changes, reads all figures"),
    "finance": say("closes periods and resolves their drift, reads all figures"),
    "auditor": say("reads everything, takes bundles and proofs"),
    "admin": say("makes tokens and webhooks, sees no figures"),
    "monitor": say("reads the service's metrics"),
}
"""What each role is for."""


def add_guide(console: Blueprint) -> None:
    """Add the page."""

    @console.get("/help")
    @allow(*EVERYONE, "monitor")
    def get_help() -> Response:
        duties = [
            (role, duty, [(entry.title, url_for(entry.endpoint)) for entry in MENU if role in entry.roles])
            for role, duty in DUTIES.items()
        ]
        return page("help.html", duties=duties)
