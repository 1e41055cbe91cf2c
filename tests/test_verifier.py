"""The verifier: bundles of random ledgers pass and come to the ledger's own figures; what is not one never passes."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import events as ledger_events
from ledger.events import FiscalYear, LedgerOpened
from ledger.money import credited_text
from ledger.periods import Period, calendar_of, parse_period
from ledger.store import Store
from projections.performance import performance
from projections.projector import Projector
from tests.bundle_tampering import correct_manifest, is_same, manipulate, meaning
from tests.bundles import ORIGIN, Sealed, Signer, leaf, recorded_figures, root_of, sealed, write_bundle, zipped
from tests.life import Life, ways
from tests.strategies import History, histories, play
from verifier.cli import main
from verifier.documents import TYPES, Event, read_event, read_leaf
from verifier.figures import read_adjustments, read_figures
from verifier.findings import Malformed
from verifier.periods import period_days
from verifier.recomputation import Recomputation

MANIPULATIONS = 50
NewStore = Callable[[], Store]
LIVES = 12
LIVES_TOGETHER = 4
QUARTERS = [parse_period(name) for name in ("2025-Q4", "2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4")]
OPEN = parse_period("2027-Q4")
over_histories = settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class Answer:
    """What the command said."""

    code: int
    out: str
    error: str

    @property
    def failures(self) -> list[str]:
        """Give the lines of what does not hold."""
        return [line for line in self.out.splitlines() if line.startswith("FAILED")]


def run(*arguments: object) -> Answer:
    """Run the command as it is run from a shell, in this process."""
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as stopped:
            code = int(str(stopped.code))
    return Answer(code, out.getvalue(), error.getvalue())


def chance(seed: int) -> Random:
    """Give random choices that are the same again."""
    return Random(seed)  # noqa: S311 - not for secrets


def lived(store: Store, seed: int, steps: int = 60) -> Store:
    """Let a ledger live, projected to its end."""
    life = Life(store, seed)
    with ways(seed):
        life.live(steps)
    life.projector.catch_up()
    return store


def closed_periods(store: Store) -> list[Period]:
    """Give the periods that are closed."""
    return [parse_period(name) for name in store.closings().statements]


# ---- what the events come to


def events_of(store: Store) -> list[Event]:
    """Read a ledger's events as the verifier does."""
    return events_of_states([document.state for document in store.documents(0, 1_000_000)])


def events_of_states(states: list[str]) -> list[Event]:
    """Read stored documents as the verifier does."""
    return [read_event(*read_leaf(at, {"position": at, "state": state})) for at, state in enumerate(states, 1)]


def agrees(store: Store, recomputation: Recomputation, position: int) -> None:
    """Hold the recomputation of every quarter against the ledger's own figures, as known at a position."""
    for period in QUARTERS:
        days = period.start.isoformat(), period.end.isoformat()
        figures = recomputation.figures(period.name, days, position)
        assert figures.rows() == recorded_figures(store, period, position)
        assert recomputation.rulebook_position(position) == store.rulebook_at(position).position


def test_the_verifier_knows_every_event() -> None:
    """What the ledger can record, an auditor can read: a type that is added is added to the verifier too."""
    assert ledger_events.TYPES.keys() <= TYPES.keys()


@given(history=histories(), data=st.data())
@over_histories
def test_figures_follow_from_the_events_alone(new_store: NewStore, history: History, data: st.DataObject) -> None:
    """Whatever happened: at any position, the verifier comes to the ledger's own figures."""
    store = new_store()
    positions = play(store, history)
    Projector(store.database).catch_up()
    recomputation = Recomputation(events_of(store))
    assert not recomputation.problems
    for position in {positions[-1], data.draw(st.integers(1, positions[-1]))}:
        agrees(store, recomputation, position)


@pytest.mark.parametrize("first", range(0, LIVES, LIVES_TOGETHER))
def test_statements_follow_from_the_events_alone(new_store: NewStore, first: int) -> None:
    """In lives with closings, restatements and carry-forwards: figures at any position, statements, drifts."""
    for seed in range(first, first + LIVES_TOGETHER):
        store = lived(new_store(), seed, steps=40)
        recomputation = Recomputation(events_of(store))
        agrees(store, recomputation, chance(seed).randint(1, store.head()))
        for name, issued in store.closings().statements.items():
            days = period_days({}, name)
            for each in issued:
                stated = read_figures(msgspec.to_builtins(each.statement.figures))
                assert recomputation.figures(name, days, each.statement.position) == stated
        for carried in store.closings().carried:
            event = msgspec.to_builtins(carried.event)
            drift = recomputation.drift(event["period"], period_days({}, event["period"]), event["position"])
            assert drift == read_adjustments(event["adjustments"])


@pytest.mark.parametrize(
    "calendar",
    [
        LedgerOpened("a year from April", fiscal_year_starts_in=4, closes="month"),
        LedgerOpened("a year from October", fiscal_year_starts_in=10, closes="year"),
        LedgerOpened(
            "4-4-5",
            closes="quarter",
            calendar=tuple(
                FiscalYear(
                    f"FY{year}",
                    tuple(start + timedelta(weeks=weeks) for weeks in (0, 4, 8, 13, 17, 21, 26, 30, 34, 39, 43, 47)),
                    start + timedelta(weeks=52),
                )
                for year, start in ((2026, date(2026, 1, 5)), (2027, date(2027, 1, 4)))
            ),
        ),
    ],
    ids=lambda calendar: calendar.name,
)
def test_periods_have_the_days_of_the_ledgers_calendar(calendar: LedgerOpened) -> None:
    """Start months, what is closed, and tables with the years beside them."""
    told = msgspec.to_builtins(calendar)
    for period in calendar_of(calendar).closing_periods(date(2024, 1, 1), date(2029, 12, 31)):
        assert period_days(told, period.name) == (period.start.isoformat(), period.end.isoformat())
    for name in ("2026-05", "2026-Q5", "FY26", "2026-01-01..2026-04-01", "", "２０２６-Q1"):
        with pytest.raises(Malformed):
            period_days(told, name)


# ---- bundles that pass


@pytest.mark.parametrize("seed", range(4))
def test_a_bundle_of_a_life_passes(new_store: NewStore, tmp_path: Path, seed: int) -> None:
    """Of every closed period, of an open one, and of the whole ledger; in a folder and in an archive."""
    store = lived(new_store(), seed)
    ledger = sealed(store, rotated=seed % 2 == 1)
    for number, period in enumerate([*closed_periods(store), OPEN, None]):
        bundle = write_bundle(ledger, tmp_path / str(number), period)
        answer = run(bundle, "--key", Signer(1).vkey)
        assert (answer.code, answer.failures, answer.error) == (0, [], ""), answer.out
        last = answer.out.splitlines()[-1]
        assert last.startswith(f"verified: {f'period {period.name}' if period else 'the whole ledger'} of life")
        assert f"checkpoint of size {len(ledger.states)}, root {root_of(ledger.leaves).hex()}" in last
        archived = run(zipped(bundle), "--key", Signer(1).vkey)
        assert (archived.code, archived.out) == (0, answer.out)


@pytest.fixture
def ledger(new_store: NewStore) -> Sealed:
    """Give a ledger with closed periods, carry-forwards and restatements, whose key was followed by another one."""
    return sealed(lived(new_store(), 3), rotated=True)


@pytest.fixture
def bundle(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle of the first closed period of such a ledger; it is made once and copied."""
    original = tmp_path_factory.getbasetemp() / "original-bundle"
    if not original.exists():
        ledger: Sealed = request.getfixturevalue("ledger")
        write_bundle(ledger, original, closed_periods(ledger.store)[0])
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def test_totals_of_the_views_are_told(ledger: Sealed, bundle: Path) -> None:
    """The summary has the views with their totals by currency, for people and for programs."""
    answer = run(bundle, "--key", Signer(1).vkey, "--format", "json")
    told = json.loads(answer.out)
    assert (answer.code, told["verified"], told["self_consistent"]) == (0, True, True)
    assert all(finding["ok"] for finding in told["findings"])
    period = closed_periods(ledger.store)[0]
    summed = dict[str, int]()
    for figure in performance(ledger.store, period).figures:
        summed[figure.currency] = summed.get(figure.currency, 0) + figure.gross
    now = told["summary"]["views"][-1]
    assert now["name"] == "now"
    for currency, gross in summed.items():
        if gross:
            assert f"{currency} " in now["totals"]
            assert f"{credited_text(gross * 10_000)} gross" in now["totals"]


_ALONE = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} must not be needed")

FORBIDDEN = {"ledger", "projections", "api", "flask", "click", "msgspec", "psycopg2", "marshmallow", "eventsourcing"}
FORBIDDEN |= {"duckdb", "pymerkle", "iso4217", "socket"}
sys.meta_path.insert(0, Refusing())
from verifier.cli import main
code = main(sys.argv[1:])
assert not FORBIDDEN & set(sys.modules)
sys.exit(code)
"""


def test_it_runs_where_the_service_is_not(bundle: Path) -> None:
    """In a process in which nothing of the service can be imported, nor a socket."""
    command = [sys.executable, "-c", _ALONE, str(bundle), "--key", Signer(1).vkey]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\nverified: " in ran.stdout


def test_its_output_fits_any_terminal(bundle: Path) -> None:
    """Where a terminal can't write Chinese, what is told is escaped."""
    (bundle / "注.txt").write_bytes(b"")
    command = [sys.executable, "-m", "verifier.cli", str(bundle), "--key", Signer(1).vkey]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": os.environ["PATH"]}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "the manifest does not name it" in ran.stdout


# ---- keys


def test_the_auditor_brings_the_key(bundle: Path) -> None:
    """Without a key it is a question of usage; the bundle's own shows self-consistency only, and says so loudly."""
    without = run(bundle)
    assert (without.code, without.out) == (2, "")
    assert "an auditor brings the key" in without.error
    trusting = run(bundle, "--trust-bundle-key")
    assert trusting.code == 0
    assert "ONLY SELF-CONSISTENCY WAS CHECKED" in trusting.out
    assert "verified:" not in trusting.out
    told = json.loads(run(bundle, "--trust-bundle-key", "--format", "json").out)
    assert (told["verified"], told["self_consistent"]) == (False, True)
    assert run(bundle, "--trust-bundle-key", "--key", Signer(1).vkey).code == 2


def test_a_key_that_a_known_key_endorses_is_followed(bundle: Path, tmp_path: Path) -> None:
    """Old key or new one, in a file or not; the output says how the key came to be trusted."""
    old = run(bundle, "--key", Signer(1).vkey)
    assert old.code == 0
    assert "a key that you gave, endorses at position" in old.out
    new = run(bundle, "--key", Signer(2).vkey)
    assert new.code == 0
    assert "endorses at position" not in new.out
    (tmp_path / "keys").write_text(f"{Signer(9).vkey}\n\n{Signer(2).vkey}\n", encoding="utf-8")
    assert run(bundle, "--key", tmp_path / "keys").code == 0


def test_another_key_verifies_nothing(bundle: Path) -> None:
    """A key of the same name, and one of another name."""
    for signer in (Signer(3), Signer(1, "ledger.example/other")):
        answer = run(bundle, "--key", signer.vkey)
        assert answer.code == 1
        assert "no trusted key signed it" in answer.out
        assert "NOT VERIFIED: 1 failures" in answer.out


@pytest.mark.parametrize(
    "given_key", ["", "x", "a+00000000+AAAA", Signer(1).vkey[:-3] + "AA=", "/", "/dev/null", "k" * 5_000]
)
def test_what_is_no_key_is_a_question_of_usage(bundle: Path, given_key: str) -> None:
    """Damaged keys, folders, empty files."""
    answer = run(bundle, "--key", given_key)
    assert (answer.code, answer.out) == (2, "")


def test_an_endorsement_by_nobody_is_found(ledger: Sealed, tmp_path: Path) -> None:
    """A key that follows another one without being endorsed by it."""
    text = f"{ORIGIN}\nnext key\n{Signer(5).vkey}\n"
    data = {"vkey": Signer(5).vkey, "endorsement": Signer(4).note(text)}
    ledger.record("signing_key.introduced", "signing_keys", data)
    ledger.signer = Signer(5)
    answer = run(write_bundle(ledger, tmp_path / "bundle", None), "--key", Signer(1).vkey)
    assert answer.code == 1
    assert any("no key before it endorses" in line for line in answer.failures)
    assert any("no trusted key signed it" in line for line in answer.failures)


# ---- earlier bundles and checkpoints


@pytest.mark.parametrize("whole", [False, True])
def test_a_ledger_begins_with_its_earlier_bundles(ledger: Sealed, tmp_path: Path, whole: bool) -> None:
    """An earlier checkpoint, bundle or archive; as old as wanted, and of the same size."""
    period = None if whole else closed_periods(ledger.store)[0]
    earlier = write_bundle(ledger, tmp_path / "earlier", closed_periods(ledger.store)[-1])
    size = len(ledger.states)
    kept = tmp_path / "kept"
    kept.write_text(ledger.issue(), encoding="utf-8")
    for _ in range(3):
        ledger.issue()
    bundle = write_bundle(ledger, tmp_path / "bundle", period, proofs_from=[size])
    for path in (earlier, zipped(earlier), earlier / "checkpoint", kept, bundle):
        answer = run(bundle, "--key", Signer(1).vkey, "--earlier", path)
        assert answer.code == 0, answer.out
        assert "the ledger begins with the" in answer.out


def test_what_an_earlier_checkpoint_disproves_is_found(ledger: Sealed, bundle: Path, tmp_path: Path) -> None:
    """Another history, events cut off, another ledger, another key; and a proof that was not exported."""
    key, size = Signer(1).vkey, len(ledger.states)
    notes = {
        "the ledger was changed": ledger.signer.checkpoint(ledger.checkpoints[0], leaf(b"another")),
        "events were cut off": ledger.signer.checkpoint(size + 1, leaf(b"longer")),
        "its root of": ledger.signer.checkpoint(size, leaf(b"as long")),
        "no trusted key signed it": Signer(7).checkpoint(1, ledger.leaves[0]),
        "it is of another ledger": Signer(1, "ledger.example/other").checkpoint(1, ledger.leaves[0]),
        "export the bundle again with that checkpoint named": ledger.signer.checkpoint(1, ledger.leaves[0]),
        "is no signed note": "hello\n",
    }
    for said, note in notes.items():
        path = tmp_path / "note"
        path.write_text(note, encoding="utf-8")
        answer = run(bundle, "--key", key, "--earlier", path)
        assert answer.code == 1
        assert [said in line for line in answer.failures] == [True], answer.out
    assert run(bundle, "--key", key, "--earlier", tmp_path / "nothing").code == 2
    with_events = run(write_bundle(ledger, tmp_path / "whole", None), "--key", key, "--earlier", tmp_path / "note")
    assert with_events.code == 1


# ---- manipulations


@pytest.mark.parametrize("seed", range(6))
def test_every_manipulation_is_detected(new_store: NewStore, tmp_path: Path, seed: int) -> None:
    """Whatever is changed in a bundle, and though its manifest is made to fit: never verified, never a traceback."""
    random = chance(seed)
    store = lived(new_store(), seed)
    ledger = sealed(store, rotated=seed % 2 == 1)
    period = None if seed == 0 else random.choice(closed_periods(store))
    original = write_bundle(ledger, tmp_path / "original", period)
    key = Signer(1).vkey
    control = run(original, "--key", key)
    assert control.code == 0, control.out
    said = meaning(original)
    for number in range(MANIPULATIONS):
        what = manipulate(random, original, tmp_path / "changed")
        answer = run(tmp_path / "changed", "--key", key)
        if answer.code == 0:
            assert "corrected" in what or is_same(tmp_path / "changed", original), what
            assert meaning(tmp_path / "changed") == said, f"manipulation {number} of seed {seed} was not seen: {what}"
        else:
            assert (answer.code, bool(answer.failures)) == (1, True), what
            assert "could not be completed" not in answer.out, f"{what}: {answer.out}"


def test_what_a_forger_would_do_is_detected(ledger: Sealed, tmp_path: Path) -> None:
    """Left out with its proof and with what shows it: an event, an order that counts, a statement of the period."""
    period = closed_periods(ledger.store)[0]
    original = write_bundle(ledger, tmp_path / "original", period)
    events = [event for event in events_of_states(ledger.states) if event.position in positions_in(original)]
    left_out = [{event.position} for event in events if any(_follows(event, other) for other in events)]
    left_out += [
        {event.position} for event in events if event.data.get("statement") and event.data["period"] == period.name
    ]
    counting = {
        json.loads(line)["order_id"] for line in (original / "views/now/credit_lines.ndjson").read_bytes().splitlines()
    }
    left_out += [{event.position for event in events if event.subject == f"order/{name}"} for name in counting]
    assert len(left_out) > len(counting) > 0
    for positions in left_out:
        forged = tmp_path / "forged"
        shutil.rmtree(forged, ignore_errors=True)
        shutil.copytree(original, forged)
        gone = {event.owner_id for event in events if event.position in positions}
        for name in ("events.ndjson", "inclusion.ndjson"):
            keep_lines(forged / name, "position", positions)
        for lines in forged.glob("views/*/credit_lines.ndjson"):
            keep_lines(lines, "order_id", gone)
        correct_manifest(forged)
        answer = run(forged, "--key", Signer(1).vkey)
        assert (answer.code, bool(answer.failures)) == (1, True), answer.out


def _follows(event: Event, other: Event) -> bool:
    return other.subject == event.subject and other.version > event.version


def positions_in(folder: Path) -> set[int]:
    """Give the positions of a bundle's events."""
    return {json.loads(line)["position"] for line in (folder / "events.ndjson").read_bytes().splitlines()}


def keep_lines(path: Path, name: str, others_than: set[Any]) -> None:
    """Leave out the lines of a file whose value of this name is one of these."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if json.loads(line)[name] not in others_than))


# ---- what is no bundle


def test_a_path_that_is_nothing_is_a_question_of_usage(tmp_path: Path) -> None:
    """It does not exist."""
    for name in ("nothing", "n" * 5_000):
        answer = run(tmp_path / name, "--key", Signer(1).vkey)
        assert (answer.code, answer.out) == (2, "")


def test_a_pipe_is_not_waited_for(bundle: Path, tmp_path: Path) -> None:
    """What is neither a folder nor a file is refused, as a bundle and as an earlier one."""
    os.mkfifo(tmp_path / "pipe")
    for arguments in ((tmp_path / "pipe",), (bundle, "--earlier", tmp_path / "pipe")):
        answer = run(*arguments, "--key", Signer(1).vkey)
        assert answer.code == 1
        assert "neither a folder nor a file" in answer.failures[0]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"hello", bytes(1000)])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, cut short, empty archive, text."""
    (tmp_path / "bundle.zip").write_bytes(content)
    answer = run(tmp_path / "bundle.zip", "--key", Signer(1).vkey)
    assert (answer.code, len(answer.failures)) == (1, 1)


Spoiling = Callable[[Path], object]


def _replaced(name: str, content: bytes) -> Spoiling:
    return lambda folder: (folder / name).write_bytes(content)


def _as_folder(name: str) -> Spoiling:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return spoil


def _as_link(name: str, target: str) -> Spoiling:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return spoil


def _as_pipe(name: str) -> Spoiling:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return spoil


def _manifest(**changed: Any) -> Spoiling:
    def spoil(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        (folder / "manifest.json").write_text(json.dumps(manifest | changed), encoding="utf-8")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_manifest(format="orderledger-bundle/2"), "this verifier knows orderledger-bundle/1"),
        (_manifest(format=None), "this verifier knows orderledger-bundle/1"),
        (_manifest(files={"../secret": {"sha256": "0" * 64, "bytes": 1}}), "'../secret', which is no file of a bundle"),
        (_manifest(files={"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}), "which is no file of a bundle"),
        (_manifest(files=[]), "/files is [], which is no object"),
        (_manifest(checkpoint_size=10**40), "no integer in range"),
        (_manifest(checkpoint_size=True), "no integer in range"),
        (_manifest(start="2026-02-30"), "which is no day"),
        (_manifest(end="0001-01-01"), "by the ledger's calendar"),
        (_manifest(ledger=[[[[[[[[[[[[1]]]]]]]]]]]]), "which is no text"),
        (_manifest(period="2025-Q4", start="2025-10-01", end="2026-01-01"), "its views should be"),
        (_manifest(period=None), "it names no period"),
        (_manifest(scope="whole"), "a bundle of the whole ledger has no proofs"),
        (_manifest(views=["now", "now"]), "its views should be"),
        (_manifest(ledger="another"), "the ledger is 'life', the manifest says 'another'"),
        (_replaced("manifest.json", b"[" * 100_000), "it is not JSON"),
        (_replaced("manifest.json", b'{"format": ' + b"9" * 10_000 + b"}"), "it is not JSON"),
        (_replaced("manifest.json", b'{"format": 1, "format": 1}'), "a name twice"),
        (_replaced("manifest.json", b"\xff\xfe{}"), "not text in UTF-8"),
        (_replaced("manifest.json", b'{"format": "\\ud800"}'), "not text in UTF-8"),
        (_replaced("manifest.json", b"null"), "its format is None"),
        (_replaced("checkpoint", b""), "it is no signed note"),
        (_replaced("checkpoint", "a\n1\nAAAA\n\n— a AAAAAAAA\n".encode()), "the root is of 3 bytes"),
        (_replaced("checkpoint", "a\n01\nAAAA\n\n— a AAAAAAAA\n".encode()), "it is no checkpoint"),
        (_replaced("checkpoint", b"\0" * 2_000_000), "too long"),
        (_replaced("events.ndjson", b"{}\n"), "/position is missing"),
        (_replaced("events.ndjson", b'{"position": 1, "state": "\\ud800"}\n'), "not text in UTF-8"),
        (_replaced("events.ndjson", b'{"position": 1e9, "state": "{}"}\n'), "'1e9' is not an integer"),
        (_replaced("events.ndjson", b'{"position": 1, "state": NaN}\n'), "'NaN' is not an integer"),
        (_replaced("events.ndjson", b'{"position": -1, "state": "{}"}\r\n\n'), "below 1"),
        (_replaced("inclusion.ndjson", b'{"position": 1, "hashes": ["x"]}\n'), "is not base64"),
        (_replaced("inclusion.ndjson", b'{"position": 1, "hashes": 7}\n'), "which is no list"),
        (_replaced("views/now/view.json", b"{}"), "/name is missing"),
        (_replaced("views/now/credit_lines.ndjson", b"{}\n"), "/position is missing"),
        (_replaced("stowaway", b""), "the manifest does not name it"),
        (_as_folder("events.ndjson"), "missing"),
        (_as_folder("checkpoint"), "missing"),
        (_as_link("events.ndjson", "/etc/passwd"), "it is a symbolic link"),
        (_as_link("checkpoint", "/dev/zero"), "it is a symbolic link"),
        (_replaced("\x1b[2J.md", b""), "\\x1b[2J.md"),
        (_as_pipe("manifest.json"), "it is a symbolic link, or no file"),
        (lambda folder: (folder / "more").symlink_to("/"), "it is a symbolic link"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json: it is missing"),
        (lambda folder: shutil.rmtree(folder / "views"), "is missing"),
        (lambda folder: [each.unlink() for each in folder.iterdir() if each.is_file()], "it is no bundle"),
    ],
)
def test_what_is_broken_has_a_clear_verdict(bundle: Path, spoil: Spoiling, said: str) -> None:
    """Exit 1, the reason, no traceback, and no word of verified."""
    spoil(bundle)
    answer = run(bundle, "--key", Signer(1).vkey)
    assert (answer.code, answer.error) == (1, "")
    assert any(said in line for line in answer.failures), answer.out
    assert "verified:" not in answer.out
    assert "could not be completed" not in answer.out
    assert "\x1b" not in answer.out
    told = json.loads(run(bundle, "--key", Signer(1).vkey, "--format", "json").out)
    assert told["verified"] is told["self_consistent"] is False


def _added(name: str, content: bytes = b"x", mode: int = 0o100644) -> Callable[[zipfile.ZipFile], None]:
    def spoil(archive: zipfile.ZipFile) -> None:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, content, zipfile.ZIP_DEFLATED)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_added("../outside"), "its name leaves the folder"),
        (_added("/etc/outside"), "its name leaves the folder"),
        (_added("C:\\outside"), "its name leaves the folder"),
        (_added("link", b"/etc/passwd", 0o120777), "it is a symbolic link"),
        (_added("bomb", bytes(100 * 2**20)), "that is a zip bomb"),
        (_added("checkpoint"), "it is in the archive twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_means_harm_is_refused(
    bundle: Path, spoil: Callable[[zipfile.ZipFile], None], said: str
) -> None:
    """Names that leave the folder, links, bombs, two files of one name: none is read, and it is not verified."""
    path = zipped(bundle)
    with zipfile.ZipFile(path, "a") as archive:
        spoil(archive)
    answer = run(path, "--key", Signer(1).vkey)
    assert answer.code == 1
    assert any(said in line for line in answer.failures), answer.out


def test_a_damaged_archive_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Bytes changed or cut off anywhere, in what is compressed or in what describes it."""
    random, data = chance(1), zipped(bundle).read_bytes()
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        path.write_bytes(damaged[: len(damaged) if random.random() < 0.8 else random.randrange(len(damaged))])
        answer = run(path, "--key", Signer(1).vkey)
        if answer.code == 0:  # what was changed says nothing: a time, an attribute
            with zipfile.ZipFile(path) as archive:
                assert {name: archive.read(name) for name in archive.namelist()} == content
        else:
            assert (answer.code, bool(answer.failures)) == (1, True)
            assert "could not be completed" not in answer.out
