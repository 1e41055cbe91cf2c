"""What the console's pages share: who looks, as known when, how a page is made, and what becomes of a refusal."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import wraps
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from markupsafe import Markup
from msgspec import to_builtins
from msgspec.structs import replace
from werkzeug.wrappers import Response as Answer

from api.access import EVERYONE, READERS, caller
from api.client import Client
from api.console import PREFIX
from api.console.amounts import FILTERS
from api.console.remedies import NO_DETAILS, for_page
from api.in_process import InProcess
from api.languages import translated, wanted_language, worded
from api.problems import problem_document, problem_response
from api.shapes import ProblemDocument, ProblemError, ViewAnswer
from api.transport import Refused, query_text
from api.values import UNASSIGNED
from api.words import PHRASES
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import Sentence, say

View = TypeVar("View", bound=Callable[..., Any])
REASON_MAX: Final = 60
FORMATS: Final = ("csv", "xlsx")
"""What a page's figures are handed out as, beside JSON; the API has more."""
_FIELDS: Final = {
    "/actor": "/who",
    **dict.fromkeys(("/position", "/known_at"), "/known"),
    **{f"/{end}_{name}": f"/{end}" for end in ("from", "to") for name in ("position", "known_at", "statement")},
}
"""The fields of pages that say what parameters of the API do."""
NOWHERE: Final = {
    Code.not_found: say("Maybe a letter of it is missing, or it was of another version of this service."),
    Code.method_not_allowed: say("Only the form of a page is sent there."),
}
"""What is said of addresses that no page has."""
KEY: Final = "idempotency_key"
"""The form field with the key of what the form records."""


_NAMES_CHANGE: Final = "rule change {rule_change_id}"
_NAMES_POSITION: Final = "position {position}"
"""How sentences name what there is a page of."""


@dataclass(frozen=True)
class Entry:
    """An entry of the console's menu, for some roles."""

    endpoint: str
    title: Sentence
    roles: tuple[str, ...]


RULEBOOK: Final = "console.get_rulebook"
MENU: Final = (
    Entry("console.get_board", say("Board"), ("sales", *READERS)),
    Entry("console.get_orders", say("Orders"), ("sales", *READERS)),
    Entry(RULEBOOK, say("Rulebook"), ("ingest", *READERS, "admin")),
    Entry("console.get_approvals", say("Approvals"), READERS),
    Entry("console.get_periods", say("Periods"), READERS),
    Entry("console.get_comparison", say("Comparison"), READERS),
    Entry("console.get_audit", say("Audit"), READERS),
    Entry("console.get_review", say("Review"), READERS),
    Entry("console.get_imports", say("Imports"), ("ingest", "finance")),
    Entry("console.get_tokens", say("Tokens"), ("admin",)),
    Entry("console.get_help", say("Help"), (*EVERYONE, "monitor")),
)


@dataclass(frozen=True)
class Known:
    """The point of the ledger's history that a page looks from: as it was typed, and what the API is asked for."""

    text: str = ""
    point: int | datetime | None = None

    @property
    def query(self) -> dict[str, object]:
        """Give it as the API's parameters."""
        if self.point is None:
            return {}
        return {"known_at" if isinstance(self.point, datetime) else "position": self.point}

    @property
    def link(self) -> dict[str, str]:
        """Give it as the parameters of a page's address."""
        return {"known": self.text} if self.text else {}


@dataclass(frozen=True)
class Source:
    """What a page, or a part of it, is made of: an address of the API, which also hands it out as files."""

    title: Sentence
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    files: bool = True

    @property
    def links(self) -> list[tuple[str, str]]:
        """Give the formats and their addresses."""
        formats = (("JSON", {}), *((name.upper(), {"format": name}) for name in FORMATS if self.files))
        return [(name, self.path + query_text({**self.query, **form})) for name, form in formats]


def client() -> Client:
    """Ask the service for who looks; what a form records is recorded once, however often it is sent."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return Client.over(InProcess(app, caller(), wanted_language(), request.form.get(KEY)))


def asked_known(store: Store, name: str = "known") -> Known:
    """Read the point of the ledger's history that the address names: a position, a day (its end), or an instant.

    Errors: Refusal (invalid_parameter).
    """
    text = request.args.get(name, "").strip()
    if not text:
        return Known()
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return Known(text, int(text))
    try:
        if len(text) == 10:
            instant = store.begin_of(date.fromisoformat(text) + timedelta(1)) - timedelta(microseconds=1)
        else:
            instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Refusal.of(
            Code.invalid_parameter,
            say(
                "{text} is no point of the ledger's history: write a position, a day such as 2026-05-15, or an instant"
                " such as 2026-05-15T12:00:00Z",
                text=text[:100],
            ),
            f"/{name}",
        )
    if instant > store.clock():
        told = say("{text} is not over yet: leave the field empty to look at now", text=text)
        raise Refusal.of(Code.invalid_parameter, told, f"/{name}")
    return Known(text, instant)


def page(
    template: str,
    *,
    known: Known | None = None,
    view: ViewAnswer | None = None,
    sources: Sequence[Source] = (),
    status: int = 200,
    **shown: Any,
) -> Response:
    """Make a page.

    Shape: `known` is the point that the page can be turned back to, None where it has no history; `view` what it was
    computed from; `sources` what it is made of.
    """
    given = {
        "known": known,
        "view": view,
        "sources": sources,
        "form": Form(request.args.to_dict()),
        "done": None,
        **shown,
    }
    return Response(render_template(f"console/{template}", **_shared(known), **given), status, mimetype="text/html")


@dataclass
class Form:
    """A form as it was sent: what was typed, and what the API said about it, at the field.

    Shape: problems by the pointers of the API's body; what points nowhere in the form is told above it.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    refused: ProblemDocument | None = None

    def value(self, name: str, default: str = "") -> str:
        """Give what was typed into a field."""
        return self.values.get(name, default)

    def problems(self, pointer: str) -> list[ProblemError]:
        """Give what is wrong at a field, by the pointer to it in what the API was sent, or below it."""
        errors = self.refused.errors if self.refused else []
        return [error for error in errors if error.pointer == pointer or error.pointer.startswith(f"{pointer}/")]

    @property
    def status(self) -> int:
        """Give the status of the page that shows the form."""
        return self.refused.status if self.refused else 200


def told_done(**words: Sentence) -> Sentence | None:
    """Tell what was just done, which the address names after a form was sent: with one of these words, if it is so."""
    return words.get(request.args.get("done", ""))


def sent_form(refused: Refused | Refusal | None = None) -> Form:
    """Give the form of the request, with why it was refused."""
    problem = _problem(refused) if refused else None
    if problem is not None:
        g.refused_as = problem.code
    return Form(request.form.to_dict(), problem)


def asked_form(refused: Refused | Refusal, *fields: str) -> Form:
    """Give the form that asks for a page, of these fields, with why it was refused.

    Errors: what was refused, where it is about none of them.
    """
    problem = _problem(refused)
    errors = [replace(each, pointer=_FIELDS.get(each.pointer, each.pointer)) for each in problem.errors]
    if not {each.pointer.split("/")[1] for each in errors if each.pointer} & set(fields):
        raise refused
    return Form(request.args.to_dict(), replace(problem, errors=errors))


def _problem(refused: Refused | Refusal) -> ProblemDocument:
    return for_page(problem_document(refused)) if isinstance(refused, Refusal) else refused.problem


def asking(template: str, *fields: str) -> Callable[[View], View]:
    """Show a page's form again, with what was typed and what is wrong with it, where the address asks for what is not.

    Shape: `fields` are those of the form; the template has no `view` then, nor anything else of the page's.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def asked(**path: Any) -> Response:
            try:
                shown: Response = view(**path)
            except (Refused, Refusal) as refused:
                form = asked_form(refused, *fields)
                return page(template, form=form, status=form.status, **path)
            return shown

        return asked  # type: ignore[return-value]

    return decorate


def seen_roles() -> set[str]:
    """Give the roles of who looks."""
    return set(caller().roles)


def home() -> str:
    """Give the address of the first page that who looks works with: the rulebook is for others to look things up."""
    seen = [entry.endpoint for entry in MENU if seen_roles() & set(entry.roles)]
    return url_for(next((endpoint for endpoint in seen if endpoint != RULEBOOK), RULEBOOK))


def person_address(salesperson_id: str | None, query: Mapping[str, str] | None = None) -> str:
    """Give the address of a salesperson's page; a page may have thousands of them, and url_for takes its time."""
    path = f"{PREFIX}/salespeople/{UNASSIGNED if salesperson_id is None else quote(salesperson_id, safe='')}"
    return f"{path}?{urlencode(query)}" if query else path


def linked(text: str, rule_changes: Iterable[str]) -> Markup:
    """Write a sentence with links to the rule changes among these that it names, and to the events at its positions."""
    change, position = (re.escape(worded(each).partition("{")[0]) for each in (_NAMES_CHANGE, _NAMES_POSITION))
    ids = "|".join(re.escape(each) for each in sorted(rule_changes, key=len, reverse=True)) or "(?!)"
    written, end = Markup(""), 0
    for found in re.finditer(rf"(?<={change})(?P<change>{ids})(?!\w)|(?<={position})[0-9]+", text):
        if found["change"]:
            address = url_for("console.get_rule_change", rule_change_id=found["change"])
        else:
            address = url_for("console.get_event", position=int(found[0]))
        written += text[end : found.start()] + Markup('<a href="{}">{}</a>').format(address, found[0])
        end = found.end()
    return written + text[end:]


def _here(**changed: str | None) -> str:
    """Give this page's address with some parameters changed, or left out (None)."""
    query = {**request.args.to_dict(), "done": None, **changed}
    kept = {name: value for name, value in query.items() if value is not None}
    return request.path + ("?" + urlencode(kept) if kept else "")


def add_shell(console: Blueprint) -> None:
    """Let every page of the console have what the templates use, and let refusals be pages."""

    console.record_once(
        lambda state: state.app.jinja_env.filters.update(
            FILTERS, told=translated, worded=_phrased, called=called, given=to_builtins, linked=linked
        )
    )

    @console.errorhandler(Refused)
    def _refused(error: Refused) -> Answer:
        g.refused_as = error.code
        return page("refused.html", status=error.status, problem=error.problem)


def refusal_page(refusal: Refusal) -> Answer | None:
    """Give the page that says why a page is refused; None where none was asked for."""
    if not (request.path.startswith(f"{PREFIX}/") or _is_lost()):
        return None
    if refusal.code is Code.unauthenticated and request.method == "GET":
        return redirect(url_for("sign_in.get_sign_in", next=request.full_path.rstrip("?")), 303)
    answer = problem_response(refusal)
    nowhere = NOWHERE if request.url_rule is None else NO_DETAILS
    shown = page("refused.html", problem=for_page(problem_document(refusal), nowhere))
    answer.set_data(shown.get_data())
    answer.mimetype = "text/html"
    return answer


def _is_lost() -> bool:
    """Say whether somebody with a browser is at an address that there is nothing at."""
    is_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    return is_page and request.url_rule is None and request.method == "GET" and not request.path.startswith("/v1/")


def _phrased(text: str) -> str:
    """Give a word of ours in the wanted language; of an attribute with its value, such as order_type=sample, too."""
    name, equals, value = text.partition("=")
    word = translated(PHRASES[name]) if name in PHRASES else worded(name)
    return f"{word} = {value}" if equals else word


def called(rule_change_id: str, reason: str) -> str:
    """Give what people call a rule change: its identifier, or its reason where that was made by the service."""
    try:
        UUID(rule_change_id)
    except ValueError:
        return rule_change_id
    return reason if len(reason) <= REASON_MAX else f"{reason[:REASON_MAX]}…"


def _menu_address(endpoint: str, known: Known | None) -> str:
    """Give the address of a page of the menu, turned back in time as this page is, where that one can be."""
    reads = getattr(current_app.view_functions[endpoint], "reads_query", ())
    query: dict[str, Any] = {**known.link} if known and "known" in reads else {}
    return url_for(endpoint, **query)


def _shared(known: Known | None) -> dict[str, Any]:
    """Give what the templates of all pages use."""
    seen = [entry for entry in MENU if seen_roles() & set(entry.roles)]
    return {
        "menu": [(url_for(entry.endpoint), _menu_address(entry.endpoint, known), entry.title) for entry in seen],
        "caller": caller(),
        "roles": seen_roles(),
        "here": _here,
        "person_address": person_address,
        "form_key": lambda: str(uuid4()),
        "may": lambda *roles: bool(seen_roles() & set(roles)),
    }
