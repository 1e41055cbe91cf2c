"""The bundle: an engine of its own gives its figures to the last digit, and a whole ledger restored is the same one."""

import contextlib
import io
import json
import runpy
import shutil
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from api.demo import load_demo
from ledger import checkpoints
from ledger import restore as restoring
from ledger.checkpoints import Checkpoint
from ledger.database import Database
from ledger.merkle import leaf_hash, node_hash
from ledger.notes import SigningKey, checkpoint_text
from ledger.refusal import Code, Refusal
from ledger.restore import EVENTS, restore
from ledger.sequencer import Append
from ledger.signing import Signer
from ledger.store import Store
from projections import bundle as bundles
from projections.bundle import CreditLine, Exported, Wanted, export
from projections.parquet import columns_of
from projections.performance import performance
from projections.projector import Projector
from tests.http_client import Service, fresh_database, refused, serving
from tests.life import ALL_TIME, QUARTERS, Life, ways
from tests.strategies import History, histories, play
from tests.test_cli import CommandLine
from tests.test_cli import refused as refused_by_command
from tests.test_sequencer import an_event
from tests.test_verifier import run

_NUMBERS = count(1)
NewStore = Callable[[], Store]
over_histories = settings(
    deadline=None,
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def checkpoint_of(store: Store, folder: Path) -> Checkpoint:
    """Issue a checkpoint, with a new key in this folder where there is none, and project what it is of."""
    if store.signer is None:
        store.signer = Signer(folder / f"key-{next(_NUMBERS)}")
        checkpoints.introduce_key(store, store.signer.create_key("ledger.example"), actor="admin")
    issued = checkpoints.issue(store, actor="auditor")
    Projector(store.database).catch_up()
    return issued


def exported(store: Store, folder: Path, period: str | None = None, *earlier: int) -> Exported:
    """Export into a folder, instead of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    return export(store, checkpoint_of(store, folder.parent), Wanted(period, folder, earlier))


def read(path: Path) -> Any:
    """Read a file of JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def lines_of(path: Path) -> list[Any]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recompute(folder: Path) -> tuple[int, str]:
    """Run the bundle's own recompute.py; give its exit status and what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit) as left:
        runpy.run_path(str(folder / "recompute.py"), run_name="__main__")
    return int(str(left.value.code)), printed.getvalue()


def check_twins(folder: Path) -> None:
    """Hold each table in Parquet against its JSON lines, row by row."""
    with duckdb.connect() as engine:
        for path in folder.rglob("*.parquet"):
            wanted = lines_of(path.with_suffix(".ndjson"))
            found = engine.read_parquet(str(path))
            names = list(wanted[0]) if wanted else found.columns
            rows = [dict(zip(names, row, strict=True)) for row in found.project(", ".join(names)).fetchall()]
            assert [json.loads(json.dumps(row, default=str)) for row in rows] == wanted
            if path.name == "credit_lines.parquet":
                assert dict(zip(found.columns, map(str, found.types), strict=True)) == columns_of(CreditLine)


def check_period(store: Store, folder: Path, name: str) -> None:
    """See that the bundle tells the period's statements and what it comes to now, and that DuckDB agrees."""
    manifest = read(folder / "manifest.json")
    issued = store.closings(manifest["checkpoint_size"]).statements.get(name, ())
    assert manifest["views"] == [*(f"statement-{each.statement.version}" for each in issued), "now"]
    for number, each in enumerate(issued, 1):
        view = read(folder / "views" / f"statement-{number}" / "view.json")
        whole = [{"credited": "0", "gross": "0", "adjustments": "0", **f} for f in view["statement"]["figures"]]
        assert view["figures"] == whole
        assert (view["position"], view["statement_position"]) == (each.statement.position, each.event_position)
        assert view["statement"]["digest"] == each.statement.digest
    status, printed = recompute(folder)
    assert status == 0, printed
    check_twins(folder)
    verified = run(folder, "--key", checkpoints.verifier_keys(store)[0])
    assert (verified.code, verified.failures) == (0, []), verified.out


def lived(new_store: NewStore, seed: int, steps: int) -> Store:
    """Give a ledger that has lived."""
    life = Life(new_store(), seed)
    life.live(steps)
    return life.store


@pytest.mark.parametrize("seed", range(6))
def test_duckdb_over_the_bundle_gives_the_statements_figures(new_store: NewStore, tmp_path: Path, seed: int) -> None:
    """For whole lives with closes, restatements and carry-forwards, in every view of every quarter."""
    with ways(seed):
        store = lived(new_store, seed, 60)
        for name in QUARTERS:
            exported(store, tmp_path / "bundle", name)
            check_period(store, tmp_path / "bundle", name)


@given(history=histories())
@over_histories
def test_duckdb_over_the_bundle_gives_what_the_ledger_says(
    new_store: NewStore, tmp_path: Path, history: History
) -> None:
    """Also where amounts are extreme and names are odd."""
    store = new_store()
    play(store, history)
    exported(store, tmp_path / "bundle", "2026-Q1")
    check_period(store, tmp_path / "bundle", "2026-Q1")


def test_the_calculation_runs_in_postgresql_too(new_store: NewStore, tmp_path: Path) -> None:
    """The same text over the same tables, loaded into PostgreSQL as an auditor would."""
    store = lived(new_store, 3, 60)
    exported(store, tmp_path / "bundle", "2026-Q1")
    for view in read(tmp_path / "bundle" / "manifest.json")["views"]:
        folder = tmp_path / "bundle" / "views" / view
        text = (folder / "calculation.sql").read_text(encoding="utf-8")
        with store.database.transaction() as cursor, duckdb.connect() as engine:
            for table, name in (("credit_line", "credit_lines"), ("rule_interval", "rules")):
                lines = engine.read_parquet(str(folder / f"{name}.parquet"))
                columns = ", ".join(f"{each} {kind}" for each, kind in zip(lines.columns, lines.types, strict=True))
                cursor.execute(f"CREATE TEMPORARY TABLE {table} ({columns}) ON COMMIT DROP")
                for row in lines.fetchall():
                    cursor.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)
                lines.create_view(table)
            cursor.execute(text)
            ours = {row[:2]: [int(value) for value in row[2:]] for row in cursor.fetchall()}
            theirs = {row[:2]: [int(value) for value in row[2:]] for row in engine.execute(text).fetchall()}
        assert ours == theirs
        assert ours


def test_the_control_a_changed_table_gives_other_figures(demo: Store, tmp_path: Path) -> None:
    """recompute.py says so, and where, when the Parquet does not give the figures that are stated."""
    exported(demo, tmp_path / "bundle", "2026-Q2")
    path = tmp_path / "bundle" / "views" / "now" / "credit_lines.parquet"
    with duckdb.connect() as engine:
        engine.read_parquet(str(path)).create("lines")
        engine.execute("UPDATE lines SET amount = amount + 1 WHERE salesperson_id = 'S-02' AND order_type = 'standard'")
        engine.table("lines").write_parquet(str(path))
    status, printed = recompute(tmp_path / "bundle")
    assert status == 1
    assert [line.split()[0] for line in printed.splitlines() if "DIFFERS" in line] == ["S-02"]


@pytest.fixture(scope="module")
def demo(server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Give the demo's ledger, to which nothing but checkpoints is added."""
    signer = Signer(tmp_path_factory.mktemp("key") / "signing-key")
    with fresh_database(server_url, template) as database:
        load_demo(database, signer=signer)
        store = Store(database, signer=signer)
        yield store
        store.close()


def test_the_demos_quarters(demo: Store, tmp_path: Path) -> None:
    """A restated, a closed and drifting, and an open quarter: all of their statements and now."""
    views = dict[str, tuple[str, ...]]()
    for name in ("2026-Q1", "2026-Q2", "2026-Q3"):
        views[name] = exported(demo, tmp_path / name, name).views
        check_period(demo, tmp_path / name, name)
    assert views == {
        "2026-Q1": ("statement-1", "statement-2", "now"),
        "2026-Q2": ("statement-1", "now"),
        "2026-Q3": ("now",),
    }
    stated, now = (read(tmp_path / "2026-Q2" / "views" / view / "view.json") for view in views["2026-Q2"])
    assert stated["figures"] == [{"adjustments": "0", **each} for each in stated["statement"]["figures"]]
    assert stated["figures"] != now["figures"]


def test_a_bundle_holds_what_the_period_is_about_and_proves_it(demo: Store, tmp_path: Path) -> None:
    """All events of its orders and all that are not of orders, exact, each in the tree; every file in the manifest."""
    exported(demo, tmp_path / "bundle", "2026-Q1", 100, 200)
    folder = tmp_path / "bundle"
    manifest = read(folder / "manifest.json")
    size = manifest["checkpoint_size"]
    stored = {document.position: document.state for document in demo.documents(0, 10_000)}
    events = {line["position"]: line["state"] for line in lines_of(folder / "events.ndjson")}
    assert list(events) == sorted(events)
    assert events.items() <= stored.items()
    concerned = {line["order_id"] for line in lines_of(folder / "views" / "now" / "credit_lines.ndjson")}
    wanted = {
        position
        for position, state in stored.items()
        for subject in [json.loads(state)["subject"]]
        if position <= size and (not subject.startswith("order/") or subject.removeprefix("order/") in concerned)
    }
    assert events.keys() == wanted
    assert 0 < len(wanted) < size
    root = demo.tree.root_at(size)
    proofs = lines_of(folder / "inclusion.ndjson")
    assert [proof["position"] for proof in proofs] == list(events)
    for proof in proofs:
        leaf = leaf_hash(events[proof["position"]].encode())
        assert root_by_path(proof["position"] - 1, size, leaf, [b64decode(each) for each in proof["hashes"]]) == root
    continued = lines_of(folder / "consistency.ndjson")
    assert {100, 200} <= {line["from"] for line in continued}
    for line in continued:
        assert line["to"] == size
        assert [b64decode(each) for each in line["hashes"]] == demo.tree.consistency_proof(line["from"], size)
    assert (manifest["scope"], manifest["period"], manifest["start"], manifest["end"]) == (
        *("period", "2026-Q1", "2026-01-01", "2026-04-01"),
    )
    check_manifest(folder)


def root_by_path(leaf: int, size: int, node: bytes, path: list[bytes]) -> bytes:
    """Climb an audit path. Source: RFC 9162, section 2.1.3.2."""
    at, last = leaf, size - 1
    for sibling in path:
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    assert last == 0
    return node


def check_manifest(folder: Path) -> None:
    """See that the manifest has every file but itself and the checkpoint."""
    files = {
        path.relative_to(folder).as_posix(): {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"manifest.json", "checkpoint"}
        for data in [path.read_bytes()]
    }
    assert read(folder / "manifest.json")["files"] == files


# ---- the whole ledger


def check_restored(store: Store, folder: Path, other: Store) -> None:
    """Export a whole ledger and restore it: the same bytes, the same root, the same figures, and it goes on."""
    done = exported(store, folder)
    check_twins(folder)
    check_manifest(folder)
    restored = restore(other, folder)
    assert (restored.size, restored.root) == (done.checkpoint_size, store.tree.root_at(done.checkpoint_size))
    assert table(other, done.checkpoint_size) == table(store, done.checkpoint_size)
    Projector(other.database).catch_up()
    for group_by in (("salesperson", "order_type"), ("customer", "product")):
        ours, theirs = (
            performance(each, ALL_TIME, group_by=group_by, position=done.checkpoint_size) for each in (store, other)
        )
        assert ours.view == theirs.view
    assert other.closings() == store.closings(done.checkpoint_size)
    assert other.rulebook() == store.rulebook_at(done.checkpoint_size)


def table(store: Store, size: int) -> list[Any]:
    """Read the ledger's rows, all columns."""
    with store.database.cursor() as cursor:
        cursor.execute("SELECT * FROM event WHERE position <= %s ORDER BY position", (size,))
        return cursor.fetchall()


@pytest.mark.parametrize("seed", range(10, 14))
def test_a_ledger_restored_is_the_same_one(new_store: NewStore, tmp_path: Path, seed: int) -> None:
    """For whole lives: every column of every event, the root, the figures, and what is closed."""
    check_restored(lived(new_store, seed, 60), tmp_path / "whole", new_store())


def test_a_ledger_restored_goes_on_as_the_same_tree(new_store: NewStore, tmp_path: Path) -> None:
    """What is recorded in both afterwards, over more than a block of the tree, gives one root again."""
    store, other = lived(new_store, 14, 40), new_store()
    size, root = store.tree.head()
    Projector(store.database).catch_up()
    note = SigningKey.generate("x").sign(checkpoint_text("x", size, root))
    export(store, Checkpoint(size, root, note, 0), Wanted(None, tmp_path / "whole"))
    restore(other, tmp_path / "whole")
    for each in (store, other):
        each.sequencer._clock = lambda: datetime(2030, 1, 1, tzinfo=UTC)
        each.sequencer.append(Append([an_event(f"later-{number}") for number in range(600)]))
    assert other.tree.head() == store.tree.head() != (size, root)
    assert other.tree.root_at(size + 600) == other.tree.head()[1]
    assert other.tree.consistency_proof(size, size + 600) == store.tree.consistency_proof(size, size + 600)


def test_restoring_takes_more_than_one_chunk(
    demo: Store, new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many events are written at a time, the rows and the tree are the same."""
    monkeypatch.setattr(restoring, "CHUNK_EVENTS", 7)
    check_restored(demo, tmp_path / "whole", new_store())


@pytest.fixture(scope="module")
def whole_of_demo(demo: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the demo's whole bundle, to be left as it is."""
    folder = tmp_path_factory.mktemp("demo") / "whole"
    exported(demo, folder)
    return folder


@pytest.fixture
def whole(whole_of_demo: Path, tmp_path: Path) -> Path:
    """Give the demo's whole bundle, to be spoilt."""
    return shutil.copytree(whole_of_demo, tmp_path / "whole")


def event_lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    """Change the lines of events.ndjson."""

    def apply(folder: Path) -> None:
        path = folder / "events.ndjson"
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return apply


def replaced(old: bytes, new: bytes) -> Callable[[Path], None]:
    """Put something else in the place of the first of these words in the events."""
    return event_lines(lambda lines: b"".join(lines).replace(old, new, 1).splitlines(keepends=True))


def written(name: str, text: str) -> Callable[[Path], None]:
    """Write another file in the place of one."""

    def apply(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return apply


def of_another_ledger(folder: Path) -> None:
    """Put the checkpoint of a ledger that is as long into a bundle."""
    text = checkpoint_text("x", len(lines_of(folder / EVENTS)), bytes(32))
    (folder / "checkpoint").write_text(SigningKey.generate("x").sign(text), encoding="utf-8")


BROKEN: dict[str, tuple[Code, str, Callable[[Path], None]]] = {
    "cut short": (Code.invalid_bundle, "it is not whole", event_lines(lambda lines: lines[:-3])),
    "cut in a line": (Code.invalid_bundle, "is not an event", event_lines(lambda lines: [*lines[:-1], lines[-1][:50]])),
    "empty": (Code.invalid_bundle, "has 0 events", event_lines(lambda _: [])),
    "one removed": (Code.invalid_bundle, "one is missing", event_lines(lambda lines: lines[:9] + lines[10:])),
    "two swapped": (
        *(Code.invalid_bundle, "misplaced"),
        event_lines(lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]]),
    ),
    "one added": (
        *(Code.invalid_bundle, "can't be"),
        event_lines(lambda lines: [*lines, lines[-1].replace(b":%d," % len(lines), b":%d," % (len(lines) + 1))]),
    ),
    "edited": (Code.checkpoint_differs, "an event was altered", replaced(b"mara.finance", b"mara.Finance")),
    "another type": (Code.invalid_bundle, "does not know", replaced(b"order.placed", b"order.planned")),
    "other fields": (Code.invalid_bundle, "is not an event", replaced(b"ordered_on", b"ordered_at")),
    "an earlier moment": (Code.invalid_bundle, "recorded before", replaced(b"2026-03", b"2020-03")),
    "no zone": (Code.invalid_bundle, "recorded before", event_lines(lambda lines: [lines[0].replace(b"Z", b"", 1)])),
    "not UTF-8": (Code.invalid_bundle, "is not an event", replaced(b"mara", b"mar\xff")),
    "a version too great": (Code.invalid_bundle, "no version", replaced(b'version\\":1,', b'version\\":99999999999,')),
    "a name with NUL": (Code.invalid_bundle, "can't be", replaced(b"mara.finance", b"mara\\\\u0000")),
    "no manifest": (Code.invalid_bundle, "can't be read", lambda folder: (folder / "manifest.json").unlink()),
    "no events": (Code.invalid_bundle, "can't be read", lambda folder: (folder / "events.ndjson").unlink()),
    "another manifest": (Code.invalid_bundle, "is not a bundle's", written("manifest.json", "{}")),
    "no JSON": (Code.invalid_bundle, "is not a bundle's", written("manifest.json", "\\")),
    "another format": (
        *(Code.invalid_bundle, "orderledger-bundle/2"),
        written("manifest.json", '{"format":"orderledger-bundle/2","scope":"whole"}'),
    ),
    "of a period": (
        *(Code.invalid_bundle, "--whole"),
        written("manifest.json", '{"format":"orderledger-bundle/1","scope":"period"}'),
    ),
    "no checkpoint": (Code.invalid_bundle, "the checkpoint is not one", written("checkpoint", "hello\n")),
    "another root": (Code.checkpoint_differs, "another ledger's", of_another_ledger),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_is_not_restored(new_store: NewStore, whole: Path, name: str) -> None:
    """Whatever is wrong with it is told, and nothing of it is recorded."""
    code, told, spoil = BROKEN[name]
    spoil(whole)
    other = new_store()
    with pytest.raises(Refusal) as refusal:
        restore(other, whole)
    assert refusal.value.code is code
    assert told in refusal.value.problems[0].detail
    assert (other.head(), table(other, 10**6)) == (0, [])


def test_only_an_empty_ledger_is_restored_into(demo: Store, whole: Path) -> None:
    before = table(demo, 10**6)
    with pytest.raises(Refusal) as refusal:
        restore(demo, whole)
    assert refusal.value.code is Code.ledger_not_empty
    assert table(demo, 10**6) == before


# ---- what is refused


@pytest.mark.parametrize(("period", "code"), [("2026-Q9", Code.invalid_period), ("2026-03", Code.not_a_closing_period)])
def test_there_is_a_bundle_of_closing_periods_only(demo: Store, tmp_path: Path, period: str, code: Code) -> None:
    with pytest.raises(Refusal) as refusal:
        exported(demo, tmp_path / "bundle", period)
    assert refusal.value.code is code
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_holds_something_is_left_alone(demo: Store, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    file = tmp_path / "kept"
    for folder in (tmp_path, file, file / "below"):
        with pytest.raises(Refusal) as refusal:
            export(demo, checkpoint_of(demo, tmp_path), Wanted(None, folder))
        assert refusal.value.code is Code.folder_unusable
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_of_an_export_that_fails_nothing_is_left(demo: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the disk is full half way."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundles, "write_parquet", full)
    for period in ("2026-Q1", None):
        with pytest.raises(Refusal) as refusal:
            exported(demo, tmp_path / "bundle", period)
        assert refusal.value.code is Code.folder_unusable
        assert "No space left" in refusal.value.problems[0].detail
        assert list((tmp_path / "bundle").iterdir()) == []


def test_an_empty_ledger_is_not_exported(new_store: NewStore, tmp_path: Path) -> None:
    store = new_store()
    nothing = Checkpoint(0, bytes(32), "", 0)
    for period in ("2026-Q1", None):
        with pytest.raises(Refusal) as refusal:
            export(store, nothing, Wanted(period, tmp_path / "bundle"))
        assert refusal.value.code is Code.nothing_recorded


def test_without_a_key_nothing_is_exported(cli: CommandLine, demo: Store, tmp_path: Path) -> None:
    """A bundle is worth what signs it: on the command line and over HTTP alike."""
    cli.settings["ORDERLEDGER_SIGNING_KEY"] = str(tmp_path / "nowhere")
    refused_by_command(cli.run("export", "--whole", str(tmp_path / "bundle")), Code.signing_key_missing)
    assert not (tmp_path / "bundle").exists()
    with serving(demo.database) as without:
        refused(without.ask("GET", "/v1/audit/bundle?period=2026-Q1", "auditor"), Code.signing_key_missing)


# ---- over HTTP


@pytest.fixture(scope="module")
def service(demo: Store) -> Iterator[Service]:
    """Serve the demo."""
    assert demo.signer is not None
    with serving(demo.database, demo.signer.path) as service:
        yield service


@pytest.mark.parametrize("role", ["auditor", "finance"])
def test_the_bundle_is_sent_as_a_zip_of_which_nothing_is_left(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """Under a name that says of what and when; the same files as the command writes."""
    service.catch_up()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    response = service.ask("GET", "/v1/audit/bundle?period=2026-Q2", role)
    assert (response.status_code, response.mimetype) == (200, "application/zip"), response.text
    assert list((tmp_path / "temporary").iterdir()) == []
    assert response.content_length == len(response.data)
    with ZipFile(io.BytesIO(response.data)) as archive:
        archive.extractall(tmp_path / "bundle")
    size = read(tmp_path / "bundle" / "manifest.json")["checkpoint_size"]
    assert response.headers["Content-Disposition"] == f"attachment; filename=orderledger-2026-Q2-{size}.zip"
    check_manifest(tmp_path / "bundle")
    check_period(service.app.store, tmp_path / "bundle", "2026-Q2")


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("", Code.invalid_parameter, "/period"),
        ("?period=2026-Q9", Code.invalid_period, "/period"),
        ("?period=2026-03", Code.not_a_closing_period, "/period"),
        ("?period=2026-Q1&whole=true", Code.invalid_parameter, "/whole"),
    ],
)
def test_a_bundle_that_can_not_be_is_refused(service: Service, query: str, code: Code, pointer: str) -> None:
    """And nothing is recorded then: no checkpoint either."""
    before = service.trace()
    errors = refused(service.ask("GET", "/v1/audit/bundle" + query, "auditor"), code)
    assert [error["pointer"] for error in errors] == [pointer]
    assert service.trace() == before


# ---- on the command line


@pytest.fixture
def cli(demo: Store, tmp_path: Path) -> CommandLine:
    """Give the command line on the demo."""
    cli = CommandLine(demo.database.url, tmp_path)
    assert demo.signer is not None
    cli.settings["ORDERLEDGER_SIGNING_KEY"] = str(demo.signer.path)
    return cli


def test_a_period_is_exported_and_recomputed(cli: CommandLine, demo: Store, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    told = cli.done("export", "--period", "2026-Q2", str(folder))
    size = read(folder / "manifest.json")["checkpoint_size"]
    assert f"as known at position {size}" in told
    check_period(demo, folder, "2026-Q2")
    refused_by_command(cli.run("export", "--period", "2026-Q2", str(folder)), Code.folder_unusable)


def test_a_whole_ledger_is_exported_and_restored(
    cli: CommandLine, demo: Store, database: Database, tmp_path: Path
) -> None:
    """From one database into another, which then tells the same figures."""
    folder = tmp_path / "whole"
    cli.done("export", "--whole", str(folder))
    other = CommandLine(database.url, tmp_path / "other")
    told = other.done("restore", str(folder))
    size = read(folder / "manifest.json")["checkpoint_size"]
    assert told == f"{size} events restored; the root is {demo.tree.root_at(size).hex()}\n"
    figures = ("performance", "2026-Q2", "--group-by", "order_type", "--position", str(size))
    assert other.done(*figures) == cli.done(*figures)
    refused_by_command(other.run("restore", str(folder)), Code.ledger_not_empty)


def test_an_earlier_checkpoint_is_continued_or_refused(cli: CommandLine, demo: Store, tmp_path: Path) -> None:
    """A proof from its size is in the bundle; of a history that is another one, or a longer one, there is none."""
    key = SigningKey.generate("elsewhere")
    tree = demo.tree
    for name, size, root in (
        *(("held", 77, tree.root_at(77)), ("other", 77, tree.root_at(78)), ("longer", 10**6, bytes(32))),
    ):
        (tmp_path / name).write_text(key.sign(checkpoint_text("demo", size, root)), encoding="utf-8")
    (tmp_path / "none").write_text("hello", encoding="utf-8")
    held = ("--checkpoint", str(tmp_path / "held"))
    cli.done("export", "--whole", *held, str(tmp_path / "bundle"))
    assert 77 in {line["from"] for line in lines_of(tmp_path / "bundle" / "consistency.ndjson")}
    for name, code in (
        ("other", Code.checkpoint_differs),
        ("longer", Code.checkpoint_differs),
        ("none", Code.invalid_bundle),
    ):
        words = ("export", "--whole", *held, "--checkpoint", str(tmp_path / name), str(tmp_path / "again"))
        refused_by_command(cli.run(*words), code)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("words", [(), ("--whole", "--period", "2026-Q1")])
def test_it_is_a_period_or_the_whole(cli: CommandLine, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert cli.run("export", *words, str(tmp_path / "bundle")).exit_code == 2
