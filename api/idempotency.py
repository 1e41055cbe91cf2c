"""The Idempotency-Key of a request: @keyed beside a route, and a repetition is answered instead of done again.

    @routes.post("/rule-changes")
    @keyed(store, told_again)
    @allow("rules")
    def post_rule_change() -> Response:
        proposed = propose(keyed_store(store), …)

What the view records through `keyed_store` notes the key in the same transaction; `told_again` makes the answer from
the position where that is, for a client whose answer was never made because the process ended. A view that writes
tables of its own calls `note_key` with its answer in its transaction instead. Otherwise the key is noted with the
answer. Refusals note nothing, nor does a dry run; without the header nothing is done here at all.
Source: IETF draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any, Final, TypeVar, cast

from flask import Response, g, request

from api.access import principal
from api.languages import wanted_language
from api.routes import noting
from ledger import idempotency
from ledger.checks import shown
from ledger.database import Cursor
from ledger.idempotency import KEPT_DAYS, KEY_CHARACTERS_MAX, KeptAnswer, Key, KeyTakenError
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"
View = TypeVar("View", bound=Callable[..., Response])
_BARE_CHARACTER: Final = r"[!#-+\--:<-\[\]-~]"  # no quote, comma, semicolon, backslash
_QUOTED_KEY: Final = rf'"(?:[!#-\[\]-~]|\\["\\]){{1,{KEY_CHARACTERS_MAX}}}"'
_BARE = re.compile(rf"{_BARE_CHARACTER}+\Z", re.ASCII)
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])*)"\Z', re.ASCII)
_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": f"^(?:{_BARE_CHARACTER}{{1,{KEY_CHARACTERS_MAX}}}|{_QUOTED_KEY})$"},
    "example": '"6f1c1f0e-7a53-4f0c-9d0b-2f5f4e0e8a11"',
    "description": "A name for this request, such as a new UUID in double quotes. Repeated with it, the request is"
    f" answered as before ({REPLAYED_HEADER}: true) and does nothing; it is kept for {KEPT_DAYS} days or longer.",
}


@contextmanager
def whole_body() -> Iterator[bytes]:
    """Give the request's body, which is kept for the view."""
    yield request.get_data()


def keyed(
    store: Store,
    told_again: Callable[[int], Response] | None = None,
    body: Callable[[], AbstractContextManager[bytes]] = whole_body,
) -> Callable[[View], View]:
    """Let the view's requests carry an Idempotency-Key.

    Shape: `body` gives what tells the request's body from others, for a view whose bodies are too large to be kept: it
    reads the body to where the view finds it, and ends with the view.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def run(*arguments: Any, **named: Any) -> Response:
            text = asked_key()
            if text is None or any(isinstance(each, dict) and each.get("dry_run") for each in arguments):
                return view(*arguments, **named)
            with body() as sent:
                key = Key(principal(), text, _fingerprint(sent))
                return _once(store, key, lambda: view(*arguments, **named), told_again)

        return noting("request_headers", (_PARAMETER,))(cast(View, run))

    return decorate


def asked_key() -> str | None:
    """Read the request's key, quoted (RFC 8941) or bare: both are the same. Errors: Refusal for what is none."""
    header = request.headers.get(HEADER)
    if header is None:
        return None
    quoted = _QUOTED.match(header)
    text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header
    if not 1 <= len(text) <= KEY_CHARACTERS_MAX or not (quoted or _BARE.match(text)):
        raise Refusal.of(
            Code.idempotency_key_malformed,
            say(
                "{header} is {key}: send 1 to {key_characters_max} visible ASCII characters, best a UUID in"
                " double quotes",
                header=HEADER,
                key=shown(header),
                key_characters_max=KEY_CHARACTERS_MAX,
            ),
            f"/{HEADER}",
        )
    return text


def keyed_store(store: Store) -> Store:
    """Give the ledger as the request's view appends to it: with the request's key, if it has one."""
    found: Store = g.get("keyed_store", store)
    return found


def asked_store(store: Store, query: Mapping[str, Any]) -> Store:
    """Give the ledger that the request's view acts on: of a dry run one that records nothing, else as keyed_store."""
    return store.rehearsing() if query["dry_run"] else keyed_store(store)


def note_key(cursor: Cursor, response: Response) -> None:
    """Note the request's key, if it has one, in a transaction of the view's own, with the answer to be given again.

    Errors: UniqueViolation where the key took effect in between.
    """
    key: Key | None = g.get("idempotency_key")
    if key is not None:
        idempotency.note(cursor, key, None, at=g.keyed_store.clock())
        idempotency.keep_answer(cursor, key, _kept(response))
        g.idempotency_key = None


def _once(
    store: Store, key: Key, act: Callable[[], Response], told_again: Callable[[int], Response] | None
) -> Response:
    with idempotency.claimed(store.database, key) as is_ours:
        if not is_ours:
            raise _in_use(key)
        with store.database.cursor() as cursor:
            kept = idempotency.find(cursor, key, now=store.clock())
        if kept is not None:
            return _replayed(key, kept, told_again)
        g.idempotency_key, g.keyed_store = key, store.keyed(key)
        try:
            response = act()
        except KeyTakenError:
            raise _in_use(key) from None
        if response.status_code < 300 and g.idempotency_key is not None:
            _keep(store, key, response, is_noted=g.keyed_store.has_noted_key)
        return response


def _replayed(key: Key, kept: idempotency.Kept, told_again: Callable[[int], Response] | None) -> Response:
    if kept.fingerprint != key.fingerprint:
        raise Refusal.of(
            Code.idempotency_key_reused,
            say(
                "{header} {key_text} of {principal} was used for another request: repeat a request as it was, or"
                " give the new one a key of its own",
                header=HEADER,
                key_text=shown(key.text),
                principal=key.principal,
            ),
            f"/{HEADER}",
        )
    if kept.answer is not None:
        response = Response(kept.answer.body, status=kept.answer.status, mimetype=kept.answer.media_type)
        if kept.answer.etag is not None:
            response.set_etag(kept.answer.etag)
        if kept.answer.language is not None:
            response.content_language.add(kept.answer.language)
    else:
        assert told_again is not None, "a view that appends tells its answer again"
        assert kept.position is not None, "a key without a position is noted with its answer"
        response = told_again(kept.position)
    response.headers[REPLAYED_HEADER] = "true"
    return response


def _keep(store: Store, key: Key, response: Response, *, is_noted: bool) -> None:
    """Keep an answer; the key itself too, where nothing was recorded that could note it."""
    with store.database.transaction() as cursor:
        if not is_noted:
            idempotency.note(cursor, key, None, at=store.clock())
        idempotency.keep_answer(cursor, key, _kept(response))


def _kept(response: Response) -> KeptAnswer:
    return KeptAnswer(
        response.status_code,
        response.get_etag()[0],
        response.mimetype or "",
        response.get_data(as_text=True),
        wanted_language(),
    )


def _in_use(key: Key) -> Refusal:
    return Refusal.of(
        Code.idempotency_key_in_use,
        say(
            "a request of {principal} with {header} {key_text} is under way: repeat it in a moment",
            principal=key.principal,
            header=HEADER,
            key_text=shown(key.text),
        ),
        f"/{HEADER}",
    )


def _fingerprint(body: bytes) -> bytes:
    """Give a hash of what is asked for: method, path, query (in any order) and body."""
    asked = sorted(request.args.items(multi=True))
    head = "\n".join((request.method, request.path, *(f"{name}={value}" for name, value in asked)))
    return hashlib.sha256(head.encode() + b"\n\n" + body).digest()
