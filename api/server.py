"""The service: gunicorn with threads, the application made in each worker, one projector thread each."""

import gc
from typing import Any

from gunicorn.app.base import BaseApplication

from api.app import Config, Orderledger, create_app

WORKERS = 2
THREADS = 16
TIMEOUT_SECONDS = 60
GRACEFUL_SECONDS = 30


class Server(BaseApplication):
    """Serves one ledger until it is told to stop (SIGTERM, SIGINT)."""

    def __init__(self, config: Config, *, host: str, port: int, workers: int = WORKERS) -> None:
        self._config = config
        self._address = f"{host}:{port}"
        self._workers = workers
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn."""
        settings: dict[str, Any] = {
            "bind": self._address,
            "workers": self._workers,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": TIMEOUT_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "keepalive": 30,
            "loglevel": "warning",
            "post_worker_init": _start_projector,
            "worker_exit": _stop,
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Make the application, in a worker."""
        return create_app(self._config)


def _start_projector(worker: Any) -> None:
    # What requests and folds make has no cycles; looking for some after every 700 objects takes a third of the time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    application: Orderledger = worker.wsgi
    application.is_stopping = lambda: not worker.alive
    application.start_projector()


def _stop(_server: Any, worker: Any) -> None:
    application: Orderledger | None = getattr(worker, "wsgi", None)
    if application is not None:
        application.stop()
