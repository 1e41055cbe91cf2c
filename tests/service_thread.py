"""The real application behind a real socket, in a thread; and a server between that can lose answers.

with listening(app) as url, losing(url, repeat(True, 1)) as lossy:
    Client(lossy, token).record(event)      # recorded; its answer is lost, so it is sent again
"""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from api.client import Client
from api.demo import DemoSummary, load_demo
from ledger.signing import Signer
from tests.http_client import Service, fresh_database, serving

SECONDS_MAX = 60
POLL_SECONDS = 0.02


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def listening(app: Flask) -> Iterator[str]:
    """Serve an application on the machine; give its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Answering(BaseHTTPRequestHandler):
    """Reads a request whole, and leaves what becomes of it to `handle_request`."""

    protocol_version = "HTTP/1.1"

    def handle_request(self, body: bytes) -> None:
        """Answer, or not."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Handle a request."""
        self.handle_request(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - named by the library

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def vanish(self) -> None:
        """Answer nothing, and close the connection."""
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def answering(handler: type[Answering]) -> Iterator[str]:
    """Serve with a handler; give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def losing(url: str, lost: Iterator[bool], *, without: str = "") -> Iterator[str]:
    """Hand requests on to a service, and lose the answers that are to be: what was asked for has been done by then.

    Shape: `without` names a header that does not come through.
    """
    host = urlsplit(url).netloc

    class Losing(Answering):
        def handle_request(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(host, timeout=SECONDS_MAX)
            try:
                handed = {name: value for name, value in self.headers.items() if name != without}
                connection.request(self.command, self.path, body, handed)
                answered = connection.getresponse()
                text = answered.read()
            finally:
                connection.close()
            if next(lost, False):
                self.vanish()
                return
            kept = {name: answered.headers[name] for name in ("Content-Type", "ETag") if name in answered.headers}
            self.answer(answered.status, text, **{name.replace("-", "_"): value for name, value in kept.items()})

    with answering(Losing) as lossy:
        yield lossy


@dataclass(frozen=True)
class Demo:
    """The demo ledger behind a socket."""

    service: Service
    url: str
    summary: DemoSummary
    signing_key: Path

    def client(self, *roles: str) -> Client:
        """Make a client with a token of these roles."""
        return Client(self.url, self.service.token(*roles))


@contextmanager
def serving_demo(server_url: Callable[[str], str], template: str, signing_key: Path) -> Iterator[Demo]:
    """Serve a demo ledger of its own, projected by the service."""
    with fresh_database(server_url, template) as database:
        summary = load_demo(database, signer=Signer(signing_key))
        with serving(database, signing_key) as service:
            service.app.start_projector()
            with listening(service.app) as url:
                yield Demo(service, url, summary, signing_key)
