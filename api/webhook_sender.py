"""Sending a webhook: one POST to an address that was checked, within a time limit, of whose answer the status counts.

The name is looked up once, every address it has is judged, and the connection goes to one of those addresses, so that
no second look-up can lead elsewhere; the certificate is still that of the name. Nothing else is followed: no redirect,
no proxy of the environment, no retry. Of the answer only the head is read; what a receiver streams is left unread.
The look-up counts towards the time limit but can't be cut short: the system's resolver has limits of its own.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from ssl import SSLCertVerificationError, SSLError
from typing import Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.response import HTTPResponse
from urllib3.util.ssl_match_hostname import CertificateError

from ledger.refusal import Refusal
from ledger.webhook_urls import Reach, Target
from ledger.webhooks import DELIVERED, FORBIDDEN_ADDRESS, GONE, REFUSED, TIMEOUT, UNREACHABLE

SECONDS_MAX: Final = 15
CONNECT_SECONDS_MAX: Final = 5
ADDRESSES_MAX: Final = 3
RETRY_AFTER_SECONDS_MAX: Final = 24 * 3600
USER_AGENT: Final = "orderledger-webhooks"


@dataclass(frozen=True)
class Attempt:
    """What became of sending: an outcome of ledger/webhooks.py, the status if there was one, and a sentence.

    `retry_after_seconds` is what the receiver asks for.
    """

    outcome: str
    status: int | None
    detail: str
    milliseconds: int
    retry_after_seconds: int | None = None


def look_up(host: str, port: int) -> list[str]:
    """Give the addresses of a host, in the order in which to try them. Errors: OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Sender:
    """Sends to what `reach` lets it connect to. `certificates`: a file of authorities instead of the system's."""

    def __init__(
        self,
        reach: Reach,
        *,
        look_up: Callable[[str, int], list[str]] = look_up,
        seconds_max: int = SECONDS_MAX,
        certificates: str | None = None,
    ) -> None:
        self.reach = reach
        self.look_up = look_up
        self._seconds_max = seconds_max
        self._certificates = certificates

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """POST a body; whatever goes wrong is told, nothing is raised."""
        began = time.monotonic_ns()
        sending = _Sending(began + self._seconds_max * 1_000_000_000)
        try:
            found = self._sent(sending, url, headers, body)
        except Refusal as refusal:
            found = _failed(FORBIDDEN_ADDRESS, str(refusal.problems[0].detail))
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            found = self._failure(error, is_late=sending.is_over())
        finally:
            sending.end()
        milliseconds = (time.monotonic_ns() - began) // 1_000_000
        return Attempt(found.outcome, found.status, found.detail, milliseconds, found.retry_after_seconds)

    def _sent(self, sending: "_Sending", url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        target = self.reach.target(url)
        addresses = self.look_up(target.host, target.port)
        forbidden = [found for found in addresses if not self.reach.allows(ip_address(found), target.scheme)]
        if forbidden or not addresses:
            said = f"{target.host} is {forbidden[0]}, which is no public address" if forbidden else "it has no address"
            return _failed(FORBIDDEN_ADDRESS if forbidden else UNREACHABLE, said)
        connection = self._connected(sending, target, addresses[:ADDRESSES_MAX])
        connection.timeout = sending.seconds_left()
        told = {"host": target.host_header, "user-agent": USER_AGENT, "connection": "close", **headers}
        connection.request("POST", target.path, body=body, headers=told, preload_content=False)
        return _answered(connection.getresponse())

    def _failure(self, error: Exception, *, is_late: bool) -> Attempt:
        refused = isinstance(error, NewConnectionError)  # which is a ConnectTimeoutError, and none
        if is_late or (isinstance(error, TimeoutError | ConnectTimeoutError) and not refused):
            return _failed(TIMEOUT, f"no answer within {self._seconds_max} s")
        return _failed(UNREACHABLE, _sentence(error))

    def _connected(self, sending: "_Sending", target: Target, addresses: list[str]) -> HTTPConnection:
        """Connect to the first address that takes a connection. Errors: that of the last one."""
        for address in addresses[:-1]:
            try:
                return self._connect(sending, target, address)
            except (OSError, HTTPError):
                sending.check()
        return self._connect(sending, target, addresses[-1])

    def _connect(self, sending: "_Sending", target: Target, address: str) -> HTTPConnection:
        seconds = min(CONNECT_SECONDS_MAX, sending.seconds_left())
        connection: HTTPConnection
        if target.scheme == "https":
            connection = HTTPSConnection(
                address,
                target.port,
                timeout=seconds,
                server_hostname=target.host,
                assert_hostname=target.host,
                ca_certs=self._certificates,
            )
        else:
            connection = HTTPConnection(address, target.port, timeout=seconds)
        sending.take(connection)
        connection.connect()
        return connection


class _Sending:
    """The time limit of one attempt: what is still open at its end is shut, however slowly it drips."""

    def __init__(self, deadline: int) -> None:
        self._deadline = deadline
        self._connection: HTTPConnection | None = None
        self._timer = threading.Timer(max(0, deadline - time.monotonic_ns()) / 1e9, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def take(self, connection: HTTPConnection) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = connection

    def is_over(self) -> bool:
        return time.monotonic_ns() >= self._deadline

    def check(self) -> None:
        if self.is_over():
            raise TimeoutError

    def seconds_left(self) -> float:
        self.check()
        return max(0.001, (self._deadline - time.monotonic_ns()) / 1e9)

    def end(self) -> None:
        self._timer.cancel()
        if self._connection is not None:
            self._connection.close()

    def _shut(self) -> None:
        connection = self._connection
        opened = connection.sock if connection is not None else None
        if opened is not None:
            with suppress(OSError):  # it is not connected yet, or not any more
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not the TLS one's, whose state a reader is using


def _answered(response: HTTPResponse) -> Attempt:
    status = response.status
    asked = response.headers.get("retry-after", "")
    response.close()
    if 200 <= status < 300:
        return Attempt(DELIVERED, status, "", 0)
    if status == 410:
        return Attempt(GONE, status, "the receiver answered 410: it wants no more of these", 0)
    said = "a redirect is not followed: give the new URL" if 300 <= status < 400 else f"the receiver answered {status}"
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 9
    return Attempt(REFUSED, status, said, 0, min(int(asked), RETRY_AFTER_SECONDS_MAX) if is_number else None)


def _failed(outcome: str, detail: str) -> Attempt:
    return Attempt(outcome, None, detail, 0)


def _sentence(error: Exception) -> str:
    """Say what kind of failure it is, in words that hold nothing of the URL or of what the receiver sent."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    match cause:
        case SSLCertVerificationError():
            return f"the receiver's certificate is not trusted: {cause.verify_message}"
        case CertificateError():
            return "the receiver's certificate is not of that name"
        case SSLError():
            return "no TLS connection could be made"
        case socket.gaierror():
            return "the host's name can't be looked up"
        case OSError(strerror=str(told)):
            return f"no connection: {told}"
    return f"no answer that is one of HTTP ({type(cause).__name__})"
