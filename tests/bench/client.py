"""The clients of the HTTP part: processes that post prepared requests over plain sockets, so that they cost little.

A client process makes all its requests as bytes beforehand, waits until every client is ready, then does nothing but
send, receive and look at the clock; what it costs all the same is reported by the HTTP part.
"""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from typing import Any

import msgspec

from ledger.intake import SubmitPlaced
from tests.bench.generator import batches, order_events

RECEIVE_BYTES = 65_536


@dataclass(frozen=True)
class Work:
    """What one client process posts: so many orders' events, `together` in a request (1: singly), over connections.

    Shape: `prefix` names the orders, so that no two clients post the same.
    """

    port: int
    token: str
    prefix: str
    orders: int
    together: int
    connections: int


@dataclass(frozen=True)
class Done:
    """What a client process did: events, milliseconds of each request, and when it began and ended (one clock)."""

    events: int
    milliseconds: list[float]
    began: float
    ended: float


def run(work: Work, start: Barrier, pipe: "Pipe[Any, Any]") -> None:
    """Be a client process."""
    requests, events = _requests(work)
    shares = [requests[number :: work.connections] for number in range(work.connections)]
    sockets = [socket.create_connection(("127.0.0.1", work.port)) for _ in shares]
    times = [list[float]() for _ in shares]
    threads = [threading.Thread(target=_post_all, args=each) for each in zip(sockets, shares, times, strict=True)]
    start.wait()
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.monotonic()
    for connection in sockets:
        connection.close()
    if sum(map(len, times)) != len(requests):
        raise RuntimeError("a request was not answered 201: see above")
    pipe.send(Done(events, [one for each in times for one in each], began, ended))
    start.wait()  # stays until its CPU time was read


def _requests(work: Work) -> tuple[list[bytes], int]:
    """Make the requests; single posts only place orders, because they overtake each other."""
    submissions = order_events(work.orders, seed=work.orders, prefix=work.prefix)
    if work.together == 1:
        placed = [submission for submission in submissions if isinstance(submission, SubmitPlaced)]
        return [_request(work, "/v1/order-events", msgspec.json.encode(one)) for one in placed], len(placed)
    bulks = list(batches(submissions, work.together))
    bodies = [msgspec.json.encode({"mode": "atomic", "events": bulk}) for bulk in bulks]
    return [_request(work, "/v1/order-events/bulk", body) for body in bodies], sum(map(len, bulks))


def _request(work: Work, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{work.port}\r\nAuthorization: Bearer {work.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _post_all(connection: socket.socket, requests: Sequence[bytes], milliseconds: list[float]) -> None:
    for request in requests:
        began = time.perf_counter()
        connection.sendall(request)
        status, body = _response(connection)
        milliseconds.append(1000 * (time.perf_counter() - began))
        if status != 201:
            raise RuntimeError(f"the service answered {status}: {body[:500].decode()}")


def _response(connection: socket.socket) -> tuple[int, bytes]:
    """Read one response: its status and body."""
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += _some(connection)
    head = bytes(received[:end])
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(received) < end + 4 + length:
        received += _some(connection)
    return int(head.split(b" ", 2)[1]), bytes(received[end + 4 :])


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(RECEIVE_BYTES)
    if not received:
        raise ConnectionError("the service closed the connection")
    return received
