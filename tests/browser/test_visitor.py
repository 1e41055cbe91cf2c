"""The controls of these tests: what a visitor complains of, and what axe finds, where there is something."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import Visitor


def test_a_visitor_complains_of_what_the_policy_forbids_of_errors_and_of_what_is_not_there(
    visit: Callable[..., Visitor],
) -> None:
    visitor = visit("finance")
    visitor.open("/help")
    wrong = {
        "Content Security Policy": "document.body.setAttribute('style', 'color: red')",
        "planted": "setTimeout(() => { throw new Error('planted') })",
        "404": "fetch('/static/nothing.js')",
    }
    for told, script in wrong.items():
        visitor.page.evaluate(f"() => {{ {script} }}")
        visitor.page.wait_for_timeout(300)
        assert any(told in complaint for complaint in visitor.complaints), (told, visitor.complaints)
        visitor.complaints.clear()


def test_axe_and_the_width_are_looked_at(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    visitor.see("/help")
    visitor.page.evaluate("() => document.querySelector('main').append(document.createElement('input'))")
    with pytest.raises(AssertionError, match="label"):
        visitor.look()
    visitor.see("/help")
    visitor.page.evaluate("() => { document.querySelector('main').append('x'.repeat(2000)) }")
    with pytest.raises(AssertionError, match="wider"):
        visitor.look()
