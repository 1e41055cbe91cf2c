"""A receiver of webhooks as somebody else would run one: a real server on this machine that keeps what it is sent.

    with receiving() as receiver:
        receiver.answers.append(500)       # the next request; behind it 200
        … receiver.url, receiver.positions, receiver.verified(secret)

Signatures are checked by the convention's own library, which shares nothing with what signs here.
"""

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

Answer = int | Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Received:
    """A request: its headers, in small letters, its body, and the status it was answered with."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def id(self) -> str:
        """Give the message's id."""
        return self.headers["webhook-id"]

    @property
    def message(self) -> Any:
        """Give the message."""
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """Give the message, verified by the library. Errors: WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)

    def is_signed(self, secret: str) -> bool:
        """Say whether one of the signatures is the library's, whenever it was sent: `verify` takes the last minutes."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        signature = Webhook(secret).sign(self.id, at, self.body.decode())
        return signature in self.headers["webhook-signature"].split(" ")


class Receiver:
    """What was received; `answers` are those of the next requests, then all are taken."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}/hook?key=k-1"
        self.answers = deque[Answer]()
        self.requests: list[Received] = []
        self.arrived = threading.Condition()

    @property
    def taken(self) -> list[Received]:
        """Give the requests that were answered 2xx."""
        return [each for each in self.requests if 200 <= each.status < 300]

    @property
    def positions(self) -> list[int]:
        """Give the positions that were taken, in the order in which they came."""
        return [each.message["data"]["position"] for each in self.taken]

    def wait_for(self, count: int, seconds: int = 15) -> None:
        """Wait until so many requests have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, seconds), self.requests


@contextmanager
def receiving(port: int = 0, *, certificate: str | None = None) -> Iterator[Receiver]:
    """Run a receiver in a thread, on that port; with a file of key and certificate, over TLS."""
    holder: list[Receiver] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver = holder[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            with receiver.arrived:
                answer = receiver.answers.popleft() if receiver.answers else 200
                status = answer if isinstance(answer, int) else 0
                receiver.requests.append(Received(self.path, headers, body, status))
                receiver.arrived.notify_all()
            if not isinstance(answer, int):
                answer(self)
                return
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = Quiet(("127.0.0.1", port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    holder.append(Receiver(server.server_address[1], "http" if certificate is None else "https"))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield holder[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(ThreadingHTTPServer):
    """A server that says nothing of senders that hang up."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""
