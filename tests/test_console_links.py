"""Every figure of the console leads to what it is made of, for every role that sees it; and that page has it too.

The demo's pages are walked from the menu on, of each kind of page some. A figure is what stands in an element of class
num, or in a data element. One that is not nothing stands in a link, or is in THEMSELVES.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
from werkzeug.test import TestResponse

from api.demo import DEMO_SALESPERSON, EXPLAINED_ORDER, load_demo
from api.exports import MEDIA_TYPES
from ledger.events import Conditions, SetRule, encode
from tests.http_client import Service, fresh_database, serving
from tests.test_sessions import Browser

PAGES_MAX: Final = 2
"""So many pages of one kind (its route, and which parameters its address has) are looked at."""
ROLES: Final = ("auditor", "finance", "rules", "sales", "ingest")
THEMSELVES: Final[Mapping[str, set[str]]] = {
    # a line's own quantity and share, a quota as it was set, and what is computed from the two beside it
    "get_salesperson": {"Quantity", "Counts at", "Quota", "Attainment"},
    # an order line's amounts, shares and sentences, in the section of the line; the difference of the two beside it
    "get_order": {"", "Counts at", "Change"},
    # what rules say
    "get_rulebook": {"No.", "Share", "Share as defined", "History"},
    "get_rule_change": {"Share"},
    "get_proposal": {"Share"},
    # the number of a finding
    "get_review": {"No."},
    # what would be is on no page of the order as it is
    "get_impact_orders": {"After", "Change"},
    "get_simulated_orders": {"After", "Change"},
    # the line of a file
    "get_import": {"Line"},
}
"""The figures that are made of nothing else, by page and column ('': in no table)."""
ELSEWHERE: Final = {
    # what would be is on no other page: the orders that make the difference are
    *(("get_simulation", column) for column in ("Simulated", "Simulated orders", "Sum: Simulated")),
    *(("get_proposal", column) for column in ("As it would be", "Sum: As it would be")),
    # of those that differ, where the page has the sum of all
    ("get_period", "Sum: Settled"),
    ("get_period", "Sum: Now"),
    # a point of the ledger's history: it is what the page is known at, or the event itself
    ("get_period", "As known after position"),
    ("get_period", "Recorded at position"),
    ("get_approvals", "Position"),
    ("get_audit", "Position"),
}
"""The figures that are not themselves on the page which they lead to, by page and column."""
NO_DATA: Final = {"get_orders", "get_help"}
"""The pages that are made of nothing: a form, and words."""
NO_TABLES: Final = {"get_event", *NO_DATA}
"""The pages whose data is in no table: an event and its proof are a document each, too."""
_VOID: Final = {"input", "meta", "link", "br", "img", "hr", "rect", "line", "col"}
_NOT_NOTHING: Final = re.compile(r"[1-9]")
_SPECIAL: Final = SetRule(Conditions(order_type="special"), "0.5", date(2026, 1, 1))
DRAFT: Final = {"alterations": f"[{encode(_SPECIAL).decode()}]", "periods": "2026-Q2,2026-Q3"}
FILE: Final = (
    "order no,date,order type,customer no,currency,product no,qty,amount,sales rep no\n"
    "N-1,2026-09-30,standard,C-1,EUR,P-1,1,100.00,S-01\n"
    "N-2,2026-09-30,nothing,C-1,EUR,P-1,1,100.00,S-01\n"
)


class Part(NamedTuple):
    """A part of a figure's text, and the link that it stands in ('': in none)."""

    text: str
    link: str


@dataclass
class Figure:
    """A figure of a page, and the heading of its column."""

    column: str = ""
    parts: list[Part] = field(default_factory=list)


@dataclass
class Table:
    """A table as it is read: the headings of its columns, and of a row the figures by their places."""

    headings: list[str] = field(default_factory=list)
    place: int = 0
    figures: list[tuple[int, Figure]] = field(default_factory=list)
    part: str = ""


class Reader(HTMLParser):
    """Reads a page: its figures, its links, and the ids that links lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.figures, self.links, self.ids = list[Figure](), list[str](), set[str]()
        self._open, self._tables = list[tuple[str, str, Figure | None]](), list[Table]()
        self.feed(text)

    @property
    def texts(self) -> set[str]:
        """Give the figures' texts."""
        return {part.text for figure in self.figures for part in figure.parts}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag in _VOID:
            return
        link = given.get("href", "") if tag == "a" else ""
        if link:
            self.links.append(link)
        if tag == "table":
            self._tables.append(Table())
        elif self._tables:
            self._begin_in(self._tables[-1], tag, int(given.get("colspan", "1")))
        self._open.append((tag, link, self._figure(tag, given.get("class", "").split())))

    def _begin_in(self, table: Table, tag: str, span: int) -> None:
        if tag in ("thead", "tbody", "tfoot"):
            table.part = tag
        elif tag == "tr":
            table.place, table.figures = 0, []
            table.headings = [] if table.part == "thead" else table.headings
        elif tag in ("th", "td"):
            table.place += span
            if table.part == "thead":
                table.headings.append("")

    def _figure(self, tag: str, classes: list[str]) -> Figure | None:
        table = self._tables[-1] if self._tables else None
        is_figure = "num" in classes or tag == "data"
        if not is_figure or (table and table.part == "thead") or any(figure for _, _, figure in self._open):
            return None
        figure = Figure()
        self.figures.append(figure)
        if table:
            table.figures.append((table.place, figure))
        return figure

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag == "table":
            self._tables.pop()
        elif tag == "tr" and self._tables and (table := self._tables[-1]).part != "thead":
            for place, figure in table.figures:
                heading = table.headings[place - 1 - table.place]  # a row within a group is short on the left
                figure.column = f"Sum: {heading}" if table.part == "tfoot" else heading

    def handle_data(self, data: str) -> None:
        """Read text; what stands small in a figure is beside it."""
        if self._tables and self._tables[-1].part == "thead" and self._tables[-1].headings:
            self._tables[-1].headings[-1] += data.strip()
        if _NOT_NOTHING.search(data) and "small" not in [tag for tag, _, _ in self._open]:
            link = next((link for _, link, _ in reversed(self._open) if link), "")
            for figure in [figure for _, _, figure in self._open if figure]:
                figure.parts.append(Part(data.strip(), link))


class Seen(NamedTuple):
    """A page that was looked at: its view, its address, and what it has."""

    view: str
    address: str
    read: Reader


class Walk:
    """The pages of the console that a role comes to from the menu, or by the address of a draft."""

    def __init__(self, service: Service, role: str) -> None:
        self._service, self._browser = service, Browser(service)
        self._browser.sign_in(service.token(role, principal=DEMO_SALESPERSON) if role == "sales" else role)
        self._pages = dict[str, Reader]()
        begins = [self._browser.get("/console/").location]
        if role not in ("sales", "ingest"):
            begins += [f"/console/{page}?{urlencode(DRAFT)}" for page in ("review/simulation", "propose")]
        self.seen = list(self._walked(begins))

    def read(self, address: str) -> Reader:
        """Give a page, which is there for this role."""
        if address not in self._pages:
            answered = self._browser.client.get(address, follow_redirects=True)
            assert answered.status_code == 200, (address, answered.status_code)
            self._pages[address] = Reader(answered.text)
        return self._pages[address]

    def explained(self, language: str) -> str:
        """Give the sentences that explain an order of the demo."""
        self._browser.send("/language", {"language": language})
        page = self._browser.get(f"/console/orders/{EXPLAINED_ORDER}").text
        self._browser.send("/language", {"language": "en"})
        return page.partition('<div class="told">')[2].partition("</div>")[0]

    def handed_out(self, address: str) -> TestResponse:
        """Follow a link to data."""
        return self._browser.client.get(address)

    def view(self, address: str) -> str:
        """Name the view that answers an address."""
        endpoint, _ = self._service.app.url_map.bind("localhost").match(urlsplit(address).path, method="GET")
        return str(endpoint)

    def _walked(self, addresses: list[str]) -> Iterator[Seen]:
        kinds, known = Counter[tuple[str, ...]](), set(addresses)
        for address in addresses:  # which grows meanwhile
            view = self.view(address)
            kind = view, *sorted(parse_qs(urlsplit(address).query))
            kinds[kind] += 1
            if kinds[kind] > PAGES_MAX or not view.startswith("console.") or view == "console.get_home":
                continue
            read = self.read(address)
            yield Seen(view.removeprefix("console."), address, read)
            new = dict.fromkeys(urljoin(address, link).partition("#")[0] for link in read.links)
            addresses += [link for link in new if link.startswith("/") and link not in known]
            known.update(new)


@pytest.fixture(scope="module")
def walks(server_url: Callable[[str], str], template: str) -> Iterator[dict[str, Walk]]:
    """Walk the demo's pages, with a file of orders waiting, as every role."""
    with fresh_database(server_url, template) as database:
        load_demo(database)
        with serving(database) as service:
            service.catch_up()
            staged = service.ask("POST", "/v1/imports", "ingest", data=FILE, content_type="text/csv")
            assert staged.status_code == 201, staged.text
            yield {role: Walk(service, role) for role in ROLES}


@pytest.mark.parametrize("role", ROLES)
def test_every_figure_stands_in_a_link(walks: dict[str, Walk], role: str) -> None:
    """Or is one of those that are made of nothing else."""
    bare = {
        (view, figure.column, part.text, address)
        for view, address, read in walks[role].seen
        for figure in read.figures
        for part in figure.parts
        if not part.link and figure.column not in THEMSELVES.get(view, ())
    }
    assert not bare


def test_what_is_made_of_nothing_else_is_there(walks: dict[str, Walk]) -> None:
    """The list names nothing that no page has."""
    there = {
        (seen.view, figure.column)
        for walk in walks.values()
        for seen in walk.seen
        for figure in seen.read.figures
        if any(not part.link for part in figure.parts)
    }
    assert {(view, column) for view, columns in THEMSELVES.items() for column in columns} <= there


@pytest.mark.parametrize("role", ROLES)
def test_a_figure_s_link_leads_to_it(walks: dict[str, Walk], role: str) -> None:
    """The page is there for the role, so is the part of it that the link names, and the figure is on it."""
    walk, missing = walks[role], set[tuple[str, ...]]()
    for view, column, part, address in _one_of_each(walk):
        target, _, fragment = urljoin(address, part.link).partition("#")
        led = walk.read(target)
        assert not fragment or fragment in led.ids, (address, part)
        if _bare(part.text) not in {_bare(text) for text in led.texts} and (view, column) not in ELSEWHERE:
            missing.add((view, column, part.text, address, target))
    assert not missing


def test_a_part_of_a_page_that_it_links_to_is_there(walks: dict[str, Walk]) -> None:
    """Also where a rule change moves nothing, and has no table of people."""
    auditor = walks["auditor"]
    pages = [(seen.address, seen.read) for walk in walks.values() for seen in walk.seen]
    changes = [f"/console/rule-changes/{each}" for each in ("2026-01-opening", "2026-06-new-customer")]
    pages += [(address, auditor.read(address)) for address in changes]
    for address, read in pages:
        assert {link[1:] for link in read.links if link.startswith("#")} <= read.ids, address


def test_what_an_approved_change_made_of_an_order_is_beside_what_it_was(walks: dict[str, Walk]) -> None:
    """The order as known at the approval, and before it."""
    approved = {
        link
        for _, address, read in walks["auditor"].seen
        if urlsplit(address).path.endswith("/orders")
        for link in read.links
        if "compare=" in link
    }
    assert approved
    for link in approved:
        known, before = (int(parse_qs(urlsplit(link).query)[name][0]) for name in ("known", "compare"))
        assert known == before + 1
        assert "differences" in walks["auditor"].read(link).ids


@pytest.mark.parametrize("role", ROLES)
def test_what_a_page_is_made_of_is_handed_out(walks: dict[str, Walk], role: str) -> None:
    """To whoever sees the page, in the format that the link says; as a table too, unless it is none."""
    walk, formats, asked = walks[role], dict[str, set[str]](), set[tuple[str, ...]]()
    for view, _, read in walk.seen:
        formats.setdefault(view, set())
        for link in (link for link in read.links if link.startswith("/v1/") or "format=" in link):
            form = parse_qs(urlsplit(link).query).get("format", ["json"])[0]
            formats[view].add(form)
            kind = view, walk.view(link), form
            if kind not in asked:
                asked.add(kind)
                answered = walk.handed_out(link)
                assert answered.status_code == 200, (view, link)
                assert MEDIA_TYPES.get(form, answered.mimetype) == answered.mimetype, (view, link)
    assert {view for view, told in formats.items() if "csv" not in told} <= NO_TABLES
    assert {view for view, told in formats.items() if "json" not in told} <= NO_DATA


def test_a_drift_is_handed_out_by_every_page_that_shows_it(walks: dict[str, Walk]) -> None:
    """The list of periods, the board of a closed one, and its own page, which has both ways of resolving it too."""
    files = {
        (view, walks["finance"].view(link))
        for view, _, read in walks["finance"].seen
        for link in read.links
        if "format=csv" in link
    }
    assert {(view, "periods.get_period") for view in ("get_periods", "get_board", "get_period")} <= files
    assert ("get_period", "periods.get_options") in files


@pytest.mark.parametrize(("language", "position"), [("en", "position"), ("zh", "位置")])
def test_what_a_sentence_names_is_linked(walks: dict[str, Walk], language: str, position: str) -> None:
    """The rule change and the positions of an explanation; not for who sells, to whom those pages are closed."""
    told = walks["auditor"].explained(language)
    text = re.sub("<[^>]*>", "", told)
    positions = re.findall(f"{position} ([0-9]+)", text)
    assert len(positions) == 2
    assert {f"/console/audit/events/{each}" for each in positions} | {"/console/rule-changes/2026-01-opening"} == set(
        re.findall('href="([^"]*)"', told)
    )
    assert "<a" not in walks["sales"].explained(language)


def _one_of_each(walk: Walk) -> Iterator[tuple[str, str, Part, str]]:
    """Give a figure of each page's column and of each kind of page that it leads to."""
    kinds = set[tuple[str, ...]]()
    for view, address, read in walk.seen:
        for figure in read.figures:
            for part in (part for part in figure.parts if part.link):
                target, _, fragment = urljoin(address, part.link).partition("#")
                kind = view, figure.column, walk.view(target), fragment
                if kind not in kinds:
                    kinds.add(kind)
                    yield view, figure.column, part, address


def _bare(text: str) -> str:
    """Give a figure without the arrow and sign of a change."""
    return text.lstrip("▲▼ +−")
