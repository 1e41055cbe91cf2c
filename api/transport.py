"""What a client's requests go through: a pool of connections, patience, and refusals as exceptions.

A request is repeated where that can do no harm: it reads, or what it records has a key of its own. It is repeated
after an answer that did not come (then nobody knows what became of it), and where the service says later: 429, 503, and
409 while a request with the same key is under way. A DELETE that is repeated although it may have been done takes 404
as done. Nothing here knows what is asked for; api/client does.
Source: RFC 9110 (Retry-After, If-Match), RFC 9457; IETF draft-ietf-httpapi-idempotency-key-header.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import msgspec
from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError, SSLError

from api.shapes import ProblemDocument, ProblemError
from ledger import __version__

Answer = TypeVar("Answer")
JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"
ATTEMPTS_MAX: Final = 6
TIMEOUT_SECONDS: Final = 75.0
"""Longer than the service lets a request take (60 s), so that nothing is begun again while it is being done."""
CONNECT_SECONDS_MAX: Final = 10.0
CONNECTIONS_MAX: Final = 16
IN_USE: Final = "idempotency_key_in_use"
_LATER: Final = (429, 502, 503, 504)
"""502 and 504 are a proxy's, behind which nobody knows what became of the request."""
_EVENT = re.compile(r"\A/events/(\d+)", re.ASCII)
_TOKEN = re.compile(r"[!-~]+\Z", re.ASCII)


class Refused(Exception):
    """The service refused a request: what it says in its problem document.

    Shape: `code` is stable, for programs; `detail` is a sentence for people; `errors` are all problems with pointers
    into what was sent and remedies; `facts` are those a program needs to go on, such as the impact that moved.
    """

    def __init__(self, problem: ProblemDocument) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.status = problem.status
        self.code = problem.code
        self.detail = problem.detail
        self.errors: list[ProblemError] = problem.errors
        self.request_id = problem.request_id
        self.facts = problem.facts
        self.problem = problem

    def counted_from(self, first: int) -> "Refused":
        """Let pointers into a batch point into all that is sent: the batch begins with event number `first`."""

        def moved(pointer: str) -> str:
            return _EVENT.sub(lambda match: f"/events/{int(match[1]) + first}", pointer)

        errors = [msgspec.structs.replace(error, pointer=moved(error.pointer)) for error in self.errors]
        return Refused(msgspec.structs.replace(self.problem, errors=errors))


class Unreachable(Exception):
    """No service answered: what it did with the request is not known, unless it can't have come that far."""


@dataclass(frozen=True)
class Patience:
    """How long to wait before a request is repeated: twice as long each time, any part of that, so that clients spread.

    Where the service names a time (Retry-After), it is waited for; longer than `named_seconds_max` is not waited at
    all. Clock, sleep and chance are there for tests to replace.
    """

    first_seconds: float = 0.5
    seconds_max: float = 20.0
    named_seconds_max: float = 120.0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def seconds(self, attempt: int, retry_after: str | None) -> float | None:
        """Give how long to wait after an attempt, from 1; None: longer than anybody should."""
        drawn = self.chance() * min(self.seconds_max, self.first_seconds * 2.0 ** (attempt - 1))
        named = self._named(retry_after)
        return None if named > self.named_seconds_max else named + drawn

    def _named(self, retry_after: str | None) -> float:
        """Read Retry-After: seconds, or a moment; what is neither says nothing."""
        if retry_after is None:
            return 0.0
        if retry_after.strip().isdecimal():
            return float(retry_after)
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return 0.0
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - self.clock()).total_seconds())


@dataclass(frozen=True)
class Request:
    """A request. `repeatable`: twice is the same as once; else it is sent with a key that makes it so."""

    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    body: bytes | None = None
    accept: str = JSON
    if_match: str | None = None
    repeatable: bool = True
    waits_seconds: float = 0.0
    content_type: str = JSON

    def headers(self) -> dict[str, str]:
        """Give its headers; one that is not repeatable gets a new key, so they are made once for all attempts."""
        headers = {"Accept": f"{self.accept}, {PROBLEM_JSON}", "User-Agent": f"orderledger/{__version__}"}
        if self.body is not None:
            headers["Content-Type"] = self.content_type
        if self.if_match is not None:
            headers["If-Match"] = self.if_match
        if not self.repeatable:
            headers["Idempotency-Key"] = f'"{uuid4()}"'
        return headers


class _Again(Exception):
    """An attempt that may be repeated, after how long, and what to raise where it is not."""

    def __init__(self, error: Refused | Unreachable, retry_after: str | None = None) -> None:
        super().__init__()
        self.error = error
        self.retry_after = retry_after

    @property
    def is_unknown(self) -> bool:
        """Say whether the request may have been done all the same; one that came too often was not."""
        return isinstance(self.error, Unreachable) or self.error.status >= 500


class Way(Protocol):
    """A way to a service; Transport is the one over a network."""

    url: str
    language: str

    def ask(self, request: Request, read: Callable[[BaseHTTPResponse], Answer]) -> Answer:
        """Make a request; give what `read` makes of the good answer."""

    def pause(self, seconds: float) -> None:
        """Wait, as between attempts."""

    def close(self) -> None:
        """Close the connections."""


class Transport:
    """The way to one service with one token; threads may share it."""

    def __init__(self, url: str, token: str, *, timeout_seconds: float, attempts_max: int, patience: Patience) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("the service's address is like https://orders.example.com, without a name or a query")
        if not _TOKEN.match(token):
            raise ValueError("the token is not one: it is printed as olk_… when it is made, without spaces")
        self.url = url.rstrip("/")
        self._authorization = f"Bearer {token}"
        self._timeout_seconds = timeout_seconds
        self._attempts_max = attempts_max
        self._patience = patience
        self.language = ""
        self._pool = PoolManager(num_pools=1, maxsize=CONNECTIONS_MAX, block=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def pause(self, seconds: float) -> None:
        """Wait, as between attempts."""
        self._patience.sleep(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def ask(self, request: Request, read: Callable[[BaseHTTPResponse], Answer]) -> Answer:
        """Make a request, again where it may be; give what `read` makes of the good answer, which it may meet again.

        Shape: what reads the answer to a DELETE takes also that there is nothing, where an attempt before may have
        deleted it.
        Errors: Refused; Unreachable where nobody answers, or none of ours.
        """
        headers = {**request.headers(), "Authorization": self._authorization}
        if self.language:
            headers["Accept-Language"] = self.language
        may_be_gone = False
        for attempt in range(1, self._attempts_max + 1):
            try:
                return self._attempt(request, headers, read, may_be_gone=may_be_gone)
            except _Again as again:
                may_be_gone |= request.method == "DELETE" and again.is_unknown
                seconds = self._patience.seconds(attempt, again.retry_after)
                if seconds is None or attempt == self._attempts_max:
                    raise again.error from None
            self._patience.sleep(seconds)
        raise AssertionError("there is a last attempt")

    def _attempt(
        self,
        request: Request,
        headers: Mapping[str, str],
        read: Callable[[BaseHTTPResponse], Answer],
        *,
        may_be_gone: bool,
    ) -> Answer:
        try:
            with self._answered(request, headers) as response:
                if not (_is_good(response) or (may_be_gone and _is_not_there(response))):
                    raise self._failure(response)
                return read(response)
        except SSLError as error:
            raise Unreachable(f"{self.url} can't be trusted: {error}") from None
        except HTTPError as error:
            raise _Again(Unreachable(f"{self.url} does not answer: {error}")) from None
        except msgspec.MsgspecError as error:
            raise Unreachable(f"{self.url} answers what this client does not know: {error}") from None

    @contextmanager
    def _answered(self, request: Request, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:
        response = self._pool.request(
            request.method,
            self.url + request.path + query_text(request.query),
            body=request.body,
            headers=headers,
            timeout=self._timeout(request.waits_seconds),
            preload_content=False,
            redirect=False,
            retries=False,
        )
        try:
            yield response
            response.drain_conn()
        except BaseException:
            response.close()
            raise
        finally:
            response.release_conn()

    def _timeout(self, waits_seconds: float) -> Timeout:
        connect = min(self._timeout_seconds, CONNECT_SECONDS_MAX)
        return Timeout(connect=connect, read=self._timeout_seconds + waits_seconds)

    def _failure(self, response: BaseHTTPResponse) -> Exception:
        """Tell why an answer is none, and whether the same request may be answered later."""
        retry_after, later = response.headers.get("Retry-After"), response.status in _LATER
        try:
            problem = msgspec.json.decode(response.data, type=ProblemDocument)
        except msgspec.MsgspecError:
            unknown = Unreachable(f"{self.url} answers {response.status}, and not as the service does")
            return _Again(unknown, retry_after) if later else unknown
        refused = Refused(problem)
        return _Again(refused, retry_after) if later or problem.code == IN_USE else refused


def _is_good(response: BaseHTTPResponse) -> bool:
    """Say whether it is an answer; a batch of which every event was refused is one, too."""
    return response.status < 300 or (response.status == 422 and response.headers.get("Content-Type") == JSON)


def _is_not_there(response: BaseHTTPResponse) -> bool:
    """Say whether the service, and no proxy, says that there is nothing."""
    return response.status == 404 and response.headers.get("Content-Type") == PROBLEM_JSON


def query_text(given: Mapping[str, object]) -> str:
    """Write a query; what is None is left out."""
    pairs = [(name, _text(value)) for name, value in given.items() if value is not None]
    return "?" + urlencode(pairs) if pairs else ""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no zone: an instant is like datetime(2026, 5, 15, 12, tzinfo=UTC)")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
