"""All pages of the console, under one prefix."""

from flask import Blueprint, redirect
from werkzeug.wrappers import Response as Answer

from api.access import EVERYONE, allow
from api.console import PREFIX
from api.console.approvals import add_approvals
from api.console.audit import add_audit
from api.console.board import add_board
from api.console.comparison import add_comparison
from api.console.event import add_event
from api.console.guide import add_guide
from api.console.imports import add_imports
from api.console.order import add_order
from api.console.periods import add_periods
from api.console.proposal import add_proposal
from api.console.review import add_review
from api.console.rule_change import add_rule_change
from api.console.rulebook import add_rulebook
from api.console.salesperson import add_salesperson
from api.console.shell import add_shell, home
from api.console.simulation import add_simulation
from api.console.tokens import add_tokens
from api.console.touched_orders import add_touched_orders
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
    add_rulebook(console, store)
    add_rule_change(console)
    add_touched_orders(console, store)
    add_approvals(console)
    add_review(console, store)
    add_simulation(console, store)
    add_imports(console)
    add_tokens(console, store)
    add_periods(console, store)
    add_proposal(console)
    add_audit(console)
    add_event(console)
    add_salesperson(console, store)
    add_order(console, store)
    add_comparison(console, store)
    add_guide(console)
    return console
