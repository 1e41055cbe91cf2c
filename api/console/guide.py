"""Help: what the console's words mean, and where a question is answered."""

from flask import Blueprint, Response

from api.access import EVERYONE, allow
from api.console.shell import page


def add_guide(console: Blueprint) -> None:
    """Add the page."""

    @console.get("/help")
    @allow(*EVERYONE, "monitor")
    def get_help() -> Response:
        return page("help.html")
