"""The service: gunicorn with threads, the application made in each worker, one projector thread each.

Told to stop (SIGTERM, SIGINT), it takes no new connection, answers what it has begun (at most GRACEFUL_SECONDS), lets
the projectors end their batch, and ends. A client that sends or reads nothing for STALL_SECONDS is dropped; a statement
in the database ends after Config.statement_seconds_max; a worker that does not breathe for TIMEOUT_SECONDS is replaced.
"""

import gc
import logging
import socket
import struct
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker
from prometheus_client.multiprocess import mark_process_dead

from api.app import Config, Orderledger, create_app
from api.request_log import lines

WORKERS: Final = 2
TIMEOUT_SECONDS: Final = 60
GRACEFUL_SECONDS: Final = 30
STALL_SECONDS: Final = 30


class Server(BaseApplication):
    """Serves one ledger until it is told to stop (SIGTERM, SIGINT)."""

    def __init__(
        self, config: Config, *, address: tuple[str, int], workers: int = WORKERS, log_format: str = "text"
    ) -> None:
        self._config = config
        self._address = "{}:{}".format(*address)
        self._workers = workers
        self._log_format = log_format
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn."""
        settings: dict[str, Any] = {
            "bind": self._address,
            "workers": self._workers,
            "worker_class": Worker,
            "threads": self._config.threads,
            "timeout": TIMEOUT_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "keepalive": 30,
            "loglevel": "warning",
            "logger_class": _service_log(self._log_format),
            "post_worker_init": _start_projector,
            "worker_exit": _stop,
            "child_exit": _forget,
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Make the application, in a worker."""
        return create_app(self._config)


class Worker(ThreadWorker):
    """A worker whose threads do not wait for a client that stalls."""

    def handle(self, conn: TConn) -> Any:
        """Handle a connection; what it waits for ends as an error of the socket."""
        limit = struct.pack("ll", STALL_SECONDS, 0)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, option, limit)
        return super().handle(conn)


class Discreet(logging.Filter):
    """Keeps out of gunicorn's log what it quotes of requests, and the traces of clients that stalled."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, some without their details."""
        told = str(record.msg)
        if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
            record.msg, record.args, record.exc_info = (
                f"a client stalled for {STALL_SECONDS} s and was dropped",
                (),
                None,
            )
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        elif told.startswith("Invalid request from ip="):
            record.msg = told.partition(": ")[0]  # what follows quotes a line of it
        elif told.startswith("Error handling request"):
            record.msg, record.args = "a request failed outside the application", ()
        return True


def _service_log(form: str) -> type[Logger]:
    """Make the log of gunicorn itself, in the format of the service's."""

    class ServiceLog(Logger):
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            for handler in self.error_log.handlers:
                handler.setFormatter(lines(form))
                handler.addFilter(Discreet())

    return ServiceLog


def _start_projector(worker: Any) -> None:
    # What requests and folds make has no cycles; looking for some after every 700 objects takes a third of the time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    application: Orderledger = worker.wsgi
    application.is_stopping = lambda: not worker.alive
    application.start_projector()
    application.start_webhooks()
    application.take_over_imports()


def _stop(_server: Any, worker: Any) -> None:
    application: Orderledger | None = getattr(worker, "wsgi", None)
    if application is not None:
        application.stop()


def _forget(_server: Any, worker: Any) -> None:
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # its connections are nobody's
