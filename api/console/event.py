"""An event: its document, who recorded it and when, what it is about, and the proof that the ledger holds it."""

from typing import Any

import msgspec
from flask import Blueprint, Response, url_for

from api.access import READERS, allow
from api.client import Client
from api.console.audit import last_checkpoint
from api.console.shell import Source, client, page
from api.shapes import RecordedEvent
from api.transport import Refused
from ledger.refusal import Code
from ledger.wording import Sentence, say


def add_event(console: Blueprint) -> None:
    """Add the page."""

    @console.get("/audit/events/<int:position>")
    @allow(*READERS)
    def get_event(position: int) -> Response:
        ledger = client()
        found = ledger.event(position)
        checkpoint = last_checkpoint(ledger)
        is_signed = checkpoint is not None and position <= checkpoint.size
        size = {"size": checkpoint.size} if checkpoint is not None and is_signed else {}
        return page(
            "event.html",
            position=position,
            event=found.event,
            data=msgspec.json.format(msgspec.json.encode(found.event.data), indent=2).decode(),
            recorded=found.recorded.decode(),
            about=_about(found.event),
            proof=ledger.inclusion(position, **size),
            checkpoint=checkpoint if is_signed else None,
            has_next=_is_there(ledger, position + 1),
            sources=[
                Source(say("Event"), f"/v1/events/{position}", files=False),
                Source(say("Proof"), "/v1/audit/proofs/inclusion", {"position": position, **size}, files=False),
            ],
        )


def _about(event: RecordedEvent) -> tuple[Sentence, str, str] | None:
    """Give what the event is about, by which name, and the address of its page; None of what has none."""
    owner, _, name = event.subject.partition("/")
    of_data: dict[str, Any] = event.data
    match owner:
        case "order":
            return say("Order"), name, url_for("console.get_order", order_id=name)
        case "rulebook":
            name = of_data["rule_change_id"]
            return say("Rule change"), name, url_for("console.get_rule_change", rule_change_id=name)
        case "periods":
            name = of_data["period"]
            return say("Period"), name, url_for("console.get_period", period_id=name)
        case "salesperson":
            return say("Salesperson"), name, url_for("console.get_salesperson", salesperson_id=name)
        case _:
            return None


def _is_there(ledger: Client, position: int) -> bool:
    """Say whether the ledger has come so far."""
    try:
        ledger.event(position)
    except Refused as refused:
        if refused.code != Code.not_found.name:
            raise
        return False
    return True
