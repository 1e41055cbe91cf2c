"""All pages of the console, under one prefix."""

from flask import Blueprint, redirect
from werkzeug.wrappers import Response as Answer

from api.access import EVERYONE, allow
from api.console.audit import add_audit
from api.console.board import add_board
from api.console.event import add_event
from api.console.guide import add_guide
from api.console.shell import PREFIX, add_shell, home
from ledger.store import Store


def blueprint(store: Store) -> Blueprint:
    """Make the pages over a ledger."""
    console = Blueprint("console", __name__, url_prefix=PREFIX)
    add_shell(console)

    @console.get("/")
    @allow(*EVERYONE, "monitor")
    def get_home() -> Answer:
        return redirect(home(), 303)

    add_board(console, store)
    add_audit(console)
    add_event(console)
    add_guide(console)
    return console
