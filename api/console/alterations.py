"""What a rule change alters, in words; and the same as the compact text that addresses of pages carry."""

from typing import Final, assert_never

import msgspec

from api.bodies import decode_body
from ledger.events import Alteration, DefineOrderType, EndRule, RenameOrderType, RetireOrderType, SetRule, encode
from ledger.wording import Sentence, say
from projections.sentences import orders_of

_ALTERATIONS: Final = msgspec.json.Decoder(tuple[Alteration, ...])


def alterations_text(alterations: tuple[Alteration, ...]) -> str:
    """Write alterations as JSON, for an address."""
    return encode(alterations).decode()


def read_alterations(text: str) -> tuple[Alteration, ...]:
    """Read alterations from an address. Errors: Refusal (malformed_json, and what the types say)."""
    return decode_body(_ALTERATIONS, text)


def told_alteration(made: Alteration) -> Sentence:
    """Say what an alteration does.

    >>> told_alteration(RenameOrderType("sample", "Samples"))
    'Order type sample is called Samples.'
    """
    match made:
        case DefineOrderType(order_type=order_type, share=share, name=None):
            return say(
                "Order type {order_type} is defined; it counts at {share} where no rule says otherwise.",
                order_type=order_type,
                share=share,
            )
        case DefineOrderType(order_type=order_type, share=share, name=name):
            return say(
                "Order type {order_type} ({name}) is defined; it counts at {share} where no rule says otherwise.",
                order_type=order_type,
                name=name,
                share=share,
            )
        case RenameOrderType(order_type=order_type, name=name):
            return say("Order type {order_type} is called {name}.", order_type=order_type, name=name)
        case RetireOrderType(order_type=order_type, effective_from=start):
            return say("Order type {name} takes no new orders from {start} on.", name=order_type, start=start)
        case SetRule():
            return _told_rule(made)
        case EndRule():
            return _told_end(made)
        case _:
            assert_never(made)


def _told_rule(made: SetRule) -> Sentence:
    orders, start, end = orders_of(made.conditions), made.effective_from, made.effective_to
    if end is None:
        return say("From {start} on, {orders} count at {share}.", start=start, orders=orders, share=made.share)
    return say(
        "From {start} to {end} (not included), {orders} count at {share}.",
        start=start,
        end=end,
        orders=orders,
        share=made.share,
    )


def _told_end(made: EndRule) -> Sentence:
    orders, start, end = orders_of(made.conditions), made.effective_from, made.effective_to
    if end is None:
        return say("From {start} on, there is no rule of its own for {orders}.", start=start, orders=orders)
    return say(
        "From {start} to {end} (not included), there is no rule of its own for {orders}.",
        start=start,
        end=end,
        orders=orders,
    )
