"""What a page reads from its address: other parameters are refused there, as everywhere."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar, cast

from flask import request

from ledger.checks import shown
from ledger.refusal import Code, Refusal
from ledger.wording import say

LINES: Final = 200
LINES_MAX: Final = 5_000
View = TypeVar("View", bound=Callable[..., Any])


def reading(*names: str) -> Callable[[View], View]:
    """Let a page read these query parameters, and refuse others."""

    def decorate(view: View) -> View:
        @wraps(view)
        def run(*arguments: Any, **named: Any) -> Any:
            for name in request.args:
                if name not in names:
                    raise Refusal.of(
                        Code.invalid_parameter,
                        say("{name} is not read here: leave it out, see /docs", name=shown(name)),
                        f"/{name[:100]}",
                    )
            return view(*arguments, **named)

        run.reads_query = True  # type: ignore[attr-defined]
        return cast(View, run)

    return decorate


def asked_lines() -> int:
    """Read how many lines of a long list a page is to have. Errors: Refusal (invalid_parameter)."""
    text = request.args.get("lines", str(LINES))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= LINES_MAX):
        raise Refusal.of(
            Code.invalid_parameter,
            say("{text} is no number of lines: write one from 1 to {most}", text=shown(text), most=LINES_MAX),
            "/lines",
        )
    return int(text)
