"""Limits of requests: of each token, and of what an address presents in vain (rate_limited); in bounded memory."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from api import rate_limits
from api.rate_limits import Buckets, Known, Limits, RateLimits
from ledger.database import Database
from ledger.refusal import Code, Refusal
from tests.http_client import Service, fresh_database, placed, refused, serving

SECOND = 1_000_000_000
ADDRESS = "203.0.113.7"


class Clock:
    """A clock that the test moves, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 5 * SECOND

    def __call__(self) -> int:
        """Tell the time."""
        return self.now


# ---- buckets


def test_a_bucket_gives_its_quota_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(20, seconds=10, clock=clock)
    taken = [buckets.standing("a") for _ in range(21)]
    assert [each.is_within for each in taken] == [True] * 20 + [False]
    assert [each.left for each in taken] == [*range(19, -1, -1), 0]
    assert (taken[-1].retry_seconds, taken[-1].full_seconds) == (1, 10)
    assert buckets.standing("b").is_within, "another key has a bucket of its own"
    clock.now += SECOND // 2
    assert [buckets.standing("a").is_within for _ in range(2)] == [True, False]
    clock.now += 100 * SECOND
    assert sum(buckets.standing("a").is_within for _ in range(50)) == 20


def test_looking_takes_nothing() -> None:
    buckets = Buckets(1, seconds=60, clock=Clock())
    assert [buckets.standing("a", take=0).is_within for _ in range(3)] == [True] * 3
    assert [buckets.standing("a").is_within for _ in range(2)] == [True, False]
    assert not buckets.standing("a", take=0).is_within


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), st.integers(1, 60), st.lists(st.integers(0, 3 * SECOND), max_size=150))
def test_over_any_time_no_more_is_given_than_the_quota_and_what_filled_up(
    quota: int, seconds: int, pauses: list[int]
) -> None:
    """And whoever waits as long as told is let in."""
    clock = Clock()
    buckets, given_at = Buckets(quota, seconds=seconds, clock=clock), list[int]()
    for pause in pauses:
        clock.now += pause
        standing = buckets.standing("a")
        assert 0 <= standing.left <= quota
        if standing.is_within:
            given_at.append(clock.now)
        else:
            assert standing.retry_seconds >= 1
    for first, begin in enumerate(given_at):
        for count, end in enumerate(given_at[first:], 1):
            assert count <= quota + (end - begin) * quota / (seconds * SECOND) + 1e-6
    clock.now += buckets.standing("a", take=0).retry_seconds * SECOND
    assert buckets.standing("a").is_within


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens or addresses come; those that asked longest ago are forgotten."""
    monkeypatch.setattr(rate_limits, "KEYS_MAX", 100)
    buckets, known = Buckets(2, seconds=10, clock=Clock()), Known()
    for number in range(1_000):
        buckets.standing(str(number))
        known.add(str(number))
    assert (len(buckets._full_at), len(known._hashes)) == (100, 100)
    assert buckets.standing("999").left == 0
    assert "999" in known
    assert "0" not in known
    for number in range(1_000):
        buckets.standing(f"looked-at-{number}", take=0)
    assert "999" in buckets._full_at


class Hesitant(OrderedDict[str, int]):
    """Lets other threads run between looking at a bucket and taking out of it."""

    def get(self, key: str, default: Any = None) -> Any:
        """Look, and wait."""
        found = super().get(key, default)
        time.sleep(0.0001)
        return found


def test_threads_get_no_more_than_one_would() -> None:
    buckets = Buckets(100, seconds=10, clock=Clock())
    buckets._full_at = Hesitant()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: buckets.standing("a").is_within, range(400))) == 100


def test_the_limit_is_divided_among_the_workers() -> None:
    limits = RateLimits(Limits(requests_per_second_max=2_000, workers=2), clock=Clock())
    assert limits.headers(limits.take("a")) == {
        "RateLimit-Policy": '"token";q=10000;w=10',
        "RateLimit": '"token";r=9999;t=1',
    }
    least = RateLimits(Limits(requests_per_second_max=1, failures_per_minute_max=1, workers=64), clock=Clock())
    assert least.take("a").is_within, "nobody is left without any"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        (None, "", True),
        ("unix:", "unix:", True),
    ],
)
def test_what_counts_as_one_address(one: str | None, other: str | None, *, same: bool) -> None:
    """Of IPv6, a network of 64 bits: a single customer has so many addresses."""
    limits = RateLimits(Limits(failures_per_minute_max=1), clock=Clock())
    limits.failed(one)
    refusals = list[Code]()
    try:
        limits.check_address(other, "x")
    except Refusal as refusal:
        refusals.append(refusal.code)
    assert refusals == ([Code.rate_limited] if same else [])


# ---- tokens over HTTP


@pytest.fixture(scope="module")
def shared(server_url: Callable[[str], str], template: str) -> Iterator[Database]:
    """Give a ledger to serve with different limits."""
    with fresh_database(server_url, template) as database:
        yield database


@pytest.fixture
def strict(shared: Database) -> Iterator[Service]:
    """Serve with three requests in ten seconds for each token, and five failures a minute for each address."""
    limits = Limits(requests_per_second_max=3, failures_per_minute_max=50, workers=10)
    with serving(shared, limits=limits) as service:
        yield service


def policy_of(response: TestResponse) -> tuple[str, int]:
    """Give what an answer tells of the limit, and how many requests are left."""
    left = re.fullmatch(r'"token";r=(\d+);t=\d+', response.headers["RateLimit"])
    assert left is not None
    return response.headers["RateLimit-Policy"], int(left[1])


def test_a_token_that_asks_too_often_is_told_when_to_come_again(strict: Service) -> None:
    answers = [strict.ask("GET", "/v1/rules", "auditor") for _ in range(4)]
    assert [response.status_code for response in answers] == [200, 200, 200, 429]
    assert [policy_of(response) for response in answers] == [('"token";q=3;w=10', left) for left in (2, 1, 0, 0)]
    (error,) = refused(answers[-1], Code.rate_limited)
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 4
    assert f"retry in {answers[-1].headers['Retry-After']} s" in error["detail"]
    assert strict.ask("GET", "/v1/rules", "finance").status_code == 200, "another token's requests are its own"


def test_what_is_refused_counts_too_and_nothing_is_done_beyond(strict: Service) -> None:
    statuses = [strict.ask("GET", "/v1/events", "ingest").status_code for _ in range(3)]
    assert statuses == [403, 403, 403]
    before = strict.trace()
    refused(strict.post("/v1/order-events", placed("SO-1")), Code.rate_limited)
    assert strict.trace() == before


def test_what_is_public_has_no_limit(strict: Service) -> None:
    for _ in range(10):
        response = strict.ask("GET", "/healthz", "auditor")
        assert response.status_code == 200
        assert "RateLimit" not in response.headers
        assert strict.ask("GET", "/metrics", None).status_code == 200


# ---- addresses that fail


def guess(service: Service, token: str | None, address: str = ADDRESS, **options: Any) -> int:
    """Give the status that a token is answered with from an address."""
    from_there = {"environ_overrides": {"REMOTE_ADDR": address}}
    return service.ask("GET", "/v1/rules", token, **from_there, **options).status_code


def test_secrets_can_not_be_guessed_quickly(strict: Service) -> None:
    """After some failures nothing from there is looked at: a right guess is told as little as a wrong one."""
    token_id = strict.tokens["finance"].split("_")[1]
    statuses = [guess(strict, f"olk_{token_id}_{number:048x}") for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert guess(strict, strict.tokens["finance"]) == 429, "it was not seen before"
    response = strict.ask("GET", "/v1/rules", "finance", environ_overrides={"REMOTE_ADDR": ADDRESS})
    refused(response, Code.rate_limited)
    assert 1 <= int(response.headers["Retry-After"]) <= 12
    assert "RateLimit" not in response.headers, "nothing tells that the token would be valid"
    assert guess(strict, strict.tokens["finance"], "203.0.113.8") == 200


def test_who_works_behind_the_same_address_goes_on(strict: Service) -> None:
    """Tokens that were valid there or elsewhere are still looked at, each time."""
    assert guess(strict, "rules") == 200
    for number in range(10):
        guess(strict, f"olk_1_{number}")
    assert guess(strict, "olk_1_x") == 429
    assert guess(strict, "rules") == 200


def test_requests_without_a_token_are_no_guesses(strict: Service) -> None:
    for _ in range(20):
        assert guess(strict, None) == 401
        assert guess(strict, None, headers={"Authorization": "Basic eDp5"}) == 401
    assert guess(strict, "approver") == 200


def test_the_access_log_tells_of_guesses_that_were_not_looked_at(strict: Service) -> None:
    for number in range(8):
        guess(strict, f"olk_1_{number}", "203.0.113.99")
    strict.app.access_log.flush()
    with strict.database.cursor() as cursor:
        cursor.execute(
            "SELECT outcome, sum(times)::int FROM access WHERE address = '203.0.113.99' GROUP BY 1 ORDER BY 1"
        )
        assert cursor.fetchall() == [("rate_limited", 3), ("unauthenticated", 5)]
