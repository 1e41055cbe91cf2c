"""Languages: which one is wanted, and what a sentence is in it.

The ledger says everything in English, by templates and values (`ledger/wording`). Here, at the edge, the template is
looked up in the catalogue of the wanted language and filled with the same values: codes, ids, dates and amounts stay
as they are. The catalogues are GNU gettext's .po files under locale/, read once, at the first sentence that needs one.
"""

import gettext
import os
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask, Response, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from ledger.wording import Sentence

ENGLISH: Final = "en"
CHINESE: Final = "zh"
LANGUAGES: Final = (ENGLISH, CHINESE)
LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
_FOLDER: Final = Path(__file__).parent / "locale"
LANGUAGE_COOKIE: Final = "orderledger_language"
"""The language that somebody chose on a page; programs choose theirs by Accept-Language alone."""
_PROGRAMS: Final = "/v1/"
_wanted: ContextVar[str] = ContextVar("language", default=ENGLISH)


def catalogue_path(language: str, whose: str = "orderledger") -> Path:
    """Name the file with the sentences of a language: ours, or what click says."""
    return _FOLDER / language / "LC_MESSAGES" / f"{whose}.po"


@cache
def _catalogue(language: str) -> Mapping[str, str]:
    if language == ENGLISH:
        return {}
    with catalogue_path(language).open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id and message.string}


def choose_language(language: str) -> None:
    """Tell everything from here on, in this thread, in a language."""
    _wanted.set(language)


def wanted_language() -> str:
    """Give the language that is wanted."""
    return _wanted.get()


def translated(text: str, language: str | None = None) -> str:
    """Tell a sentence in the wanted language, or in the one named; a text that is no sentence stays as it is."""
    if not isinstance(text, Sentence):
        return text
    language = language or wanted_language()
    if language == ENGLISH:
        return str(text)
    values = {
        name: translated(value, language) if isinstance(value, str) else value for name, value in text.values.items()
    }
    return _catalogue(language).get(text.template, text.template).format(**values)


def worded(text: str) -> str:
    """Give a fixed text, such as a heading or a command's help, in the wanted language."""
    return _catalogue(wanted_language()).get(text, text)


@lru_cache(maxsize=256)
def accepted_language(header: str | None) -> str:
    """Choose a language by an Accept-Language header (RFC 9110, 12.5.4); English where it wants none of ours.

    >>> accepted_language("fr, zh-CN;q=0.8, en;q=0.5")
    'zh'
    """
    return parse_accept_header(header, LanguageAccept).best_match(LANGUAGES, default=ENGLISH) or ENGLISH


def environment_language() -> str:
    """Choose a language as POSIX programs do, by the environment's locale."""
    locale = next((value for name in LOCALE_VARIABLES if (value := os.environ.get(name))), "")
    return CHINESE if locale.lower().startswith(CHINESE) else ENGLISH


@cache
def translate_click() -> TemporaryDirectory[str]:
    """Let click find its words: it asks gettext, which reads compiled catalogues of the environment's locale only."""
    folder = TemporaryDirectory(prefix="orderledger-locale-")
    for language in LANGUAGES:
        source = catalogue_path(language, "click")
        if source.exists():
            compiled = Path(folder.name, language, "LC_MESSAGES", "messages.mo")
            compiled.parent.mkdir(parents=True)
            with source.open("rb") as words, compiled.open("wb") as file:
                write_mo(file, read_po(words))
    gettext.bindtextdomain("messages", folder.name)
    return folder


def register_languages(app: Flask) -> None:
    """Answer each request in the language that it accepts, and say in which one it is answered."""

    @app.before_request
    def _choose() -> None:
        chosen = request.cookies.get(LANGUAGE_COOKIE) if not request.path.startswith(_PROGRAMS) else None
        choose_language(chosen if chosen in LANGUAGES else accepted_language(request.headers.get("Accept-Language")))

    @app.after_request
    def _tell(response: Response) -> Response:
        response.headers.setdefault("Content-Language", wanted_language())  # an answer given again has its own
        if not request.path.startswith(_PROGRAMS):
            response.vary.update(("Accept-Language", "Cookie"))
        elif "Vary" in response.headers:
            response.vary.add("Accept-Language")
        else:
            response.headers["Vary"] = "Accept-Language"  # several times as fast, and the usual case
        return response

    app.jinja_env.globals.update(_=worded, language=wanted_language)
