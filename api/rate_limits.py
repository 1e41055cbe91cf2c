"""How often somebody may ask: buckets of requests that fill again with time, in the memory of each process.

A token may make so many requests in a second, on average over WINDOW_SECONDS; the service's limit is divided among its
workers. An address may present so many secrets in a minute that are wrong or no longer valid; then nothing that it
presents is looked at, other than tokens and sessions that this process has seen to be valid: secrets can't be guessed
quickly, and whoever guesses does not shut out those who work behind the same address.

Answers tell the limit (RateLimit-Policy) and what is left of it (RateLimit), a refusal also when to come again.
Source: draft-ietf-httpapi-ratelimit-headers-09 (structured fields: `"token";q=20000;w=10`, `"token";r=19999;t=1`).
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from ledger.refusal import Code, Refusal
from ledger.wording import say

WINDOW_SECONDS: Final = 10
FAILURES_WINDOW_SECONDS: Final = 60
KEYS_MAX: Final = 10_000
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True)
class Limits:
    """How often one process lets somebody ask."""

    requests_per_second_max: int = 2_000
    failures_per_minute_max: int = 60
    workers: int = 1


@dataclass(frozen=True)
class Standing:
    """How somebody stands with a limit: whether they may ask, what is left, and seconds until more is, and all is."""

    is_within: bool
    left: int
    retry_seconds: int
    full_seconds: int


class Buckets:
    """A bucket of `quota` requests for each key, empty ones full again after `seconds`; of KEYS_MAX keys at most.

    Of more keys it forgets those that asked longest ago: their buckets are full then, or nearly.
    """

    def __init__(self, quota: int, *, seconds: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.quota, self.seconds = quota, seconds
        self._clock = clock
        self._each = max(1, seconds * _NANOSECONDS // quota)
        self._lock = threading.Lock()
        self._full_at = OrderedDict[str, int]()
        """When each bucket is full again, in the clock's nanoseconds: all that a bucket needs to keep."""

    def standing(self, key: str, *, take: int = 1) -> Standing:
        """Take a request out of a key's bucket if there is one left; of take=0, only look."""
        with self._lock:
            now = self._clock()
            full_at = max(self._full_at.get(key, now), now)
            within = full_at - now + max(take, 1) * self._each <= self.quota * self._each
            if within and take:
                full_at += take * self._each
                self._full_at[key] = full_at
                self._full_at.move_to_end(key)
                if len(self._full_at) > KEYS_MAX:
                    self._full_at.popitem(last=False)
        missing = full_at - now
        lacking = missing + self._each - self.quota * self._each
        return Standing(within, self.quota - -(-missing // self._each), max(1, _seconds(lacking)), _seconds(missing))


def _seconds(nanoseconds: int) -> int:
    """Give whole seconds, rounded up."""
    return max(0, -(-nanoseconds // _NANOSECONDS))


class Known:
    """Which secrets this process has seen to be valid, as hashes: the last KEYS_MAX of them, used or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hashes = OrderedDict[bytes, None]()

    def add(self, secret: str) -> None:
        """Remember a secret that was valid."""
        key = _hash(secret)
        with self._lock:
            self._hashes[key] = None
            self._hashes.move_to_end(key)
            if len(self._hashes) > KEYS_MAX:
                self._hashes.popitem(last=False)

    def __contains__(self, secret: str) -> bool:
        return _hash(secret) in self._hashes


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class RateLimits:
    """The limits of one process: of requests for each token, and of failures for each address."""

    def __init__(self, limits: Limits, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        quota = max(1, limits.requests_per_second_max * WINDOW_SECONDS // limits.workers)
        failures = max(1, limits.failures_per_minute_max // limits.workers)
        self._requests = Buckets(quota, seconds=WINDOW_SECONDS, clock=clock)
        self._failures = Buckets(failures, seconds=FAILURES_WINDOW_SECONDS, clock=clock)
        self._known = Known()

    def check_address(self, address: str | None, secret: str) -> None:
        """Refuse to look at what is presented as a secret from an address that has failed too often.

        Errors: Refusal (rate_limited).
        """
        standing = self._failures.standing(_network(address), take=0)
        if not standing.is_within and secret not in self._known:
            raise Refusal.of(
                Code.rate_limited,
                say(
                    "too many requests without a valid token came from this address: retry in {retry_seconds} s",
                    retry_seconds=standing.retry_seconds,
                ),
                limit="address",
                retry_after_seconds=standing.retry_seconds,
            )

    def passed(self, secret: str) -> None:
        """Take it that a secret was valid."""
        self._known.add(secret)

    def failed(self, address: str | None) -> None:
        """Take it that what was presented as a secret was not valid."""
        self._failures.standing(_network(address))

    def take(self, key: str) -> Standing:
        """Take a request of a token out of its bucket, if one is left."""
        return self._requests.standing(key)

    def headers(self, standing: Standing) -> dict[str, str]:
        """Give the headers that tell how a token stands."""
        return {
            "RateLimit-Policy": f'"token";q={self._requests.quota};w={self._requests.seconds}',
            "RateLimit": f'"token";r={standing.left};t={standing.full_seconds}',
        }


def too_many(standing: Standing) -> Refusal:
    """Make the refusal of a request of a token that made too many."""
    return Refusal.of(
        Code.rate_limited,
        say(
            "the token made too many requests in the last seconds: retry in {retry_seconds} s",
            retry_seconds=standing.retry_seconds,
        ),
        limit="token",
        retry_after_seconds=standing.retry_seconds,
    )


@lru_cache(maxsize=KEYS_MAX)
def _network(address: str | None) -> str:
    """Give what counts as one address: of IPv6 the network of 64 bits, which is one customer's."""
    try:
        number = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    return str(IPv6Address(int(number) >> 64 << 64)) if number.version == 6 and not number.ipv4_mapped else str(number)
