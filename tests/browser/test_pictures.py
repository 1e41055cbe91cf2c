"""The pictures in README: `make pictures` keeps them; otherwise that the pages in them come up."""

from collections.abc import Callable

from playwright.sync_api import Page

from tests.browser.conftest import Visitor

SMALL = {"viewport": {"width": 1100, "height": 760}}


def test_the_board(visit: Callable[..., Visitor], picture: Callable[[Page, str], None]) -> None:
    visitor = visit("finance", **SMALL)
    visitor.open("/board?period=2026-Q2")
    picture(visitor.page, "console-board")


def test_an_order_that_is_on_nobody_s_statement(
    visit: Callable[..., Visitor], picture: Callable[[Page, str], None]
) -> None:
    visitor = visit("auditor", **SMALL)
    visitor.open("/orders/SO-4711")
    picture(visitor.page, "console-order")
