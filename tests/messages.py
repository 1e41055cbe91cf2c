"""The catalogue of sentences: what the code says, collected, and written into each language's file (`make messages`).

Sentences are collected from `say(…)` and its like, and by Babel from the templates; beside them the table of codes, the
help of the command line, what the libraries say, and the words that sentences are filled with.
"""

import ast
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from api.cli import main
from api.languages import CHINESE, catalogue_path
from api.library_words import TEMPLATES
from api.words import HEADINGS, WORDS
from ledger.refusal import Code

ROOT = Path(__file__).parent.parent
HEADER = """\
# What Orderledger says, in another language: `make messages` brings this file up to what the code says, and
# tests/test_languages.py wants every sentence translated. Terms: docs/languages.md.
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
KEYWORDS = {"say", "Checks", "note", "progress_bar", "worded"}
"""The functions whose first argument is a sentence, or a word that is told in one."""


def collected() -> dict[str, set[str]]:
    """Give every message with the files that it is in."""
    found = dict[str, set[str]]()
    for message, where in (*_in_files(), *_in_tables(), *_helps(main)):
        found.setdefault(message, set()).add(where)
    return found


def _in_files() -> Iterator[tuple[str, str]]:
    for folder in ("ledger", "projections", "api"):
        for path in sorted((ROOT / folder).rglob("*.py")) + sorted((ROOT / folder).rglob("*.html")):
            where = path.relative_to(ROOT).as_posix()
            messages = _in_python(path) if path.suffix == ".py" else _in_template(path)
            yield from ((message, where) for message in messages)


def _in_python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name), [ast.Constant(str(message)), *_]):
                if name in KEYWORDS and message:
                    yield message
            case _:
                pass


def _in_template(path: Path) -> Iterator[str]:
    for _, message, _, _ in extract_from_file("jinja2", path, keywords={"_": None}):
        assert isinstance(message, str), "a message of a template is one text"
        yield message


def _in_tables() -> Iterator[tuple[str, str]]:
    for code in Code:
        yield str(code.title), "ledger/refusal.py"
        yield str(code.remedy), "ledger/refusal.py"
    yield from ((message, "api/library_words.py") for message in TEMPLATES)
    yield from ((message, "api/words.py") for message in (*WORDS, *HEADINGS))


def _helps(command: click.Command) -> Iterator[tuple[str, str]]:
    if command.help:
        yield cleandoc(command.help), "help"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            yield parameter.help, "help"
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _helps(each)


def template() -> Catalog:
    """Give a catalogue without translations."""
    catalogue = Catalog(project="orderledger")
    for message, places in sorted(collected().items(), key=lambda item: (min(item[1]), item[0])):
        catalogue.add(message, locations=[(place, 0) for place in sorted(places)])
    return catalogue


def known(language: str) -> Catalog:
    """Read the catalogue of a language."""
    with catalogue_path(language).open("rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> None:
    """Bring a language's file up to what the code says: new sentences without translation, none that are gone."""
    catalogue = known(language)
    catalogue.update(template(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    with catalogue_path(language).open("wb") as file:
        file.write(HEADER.format(language=language).encode())
        write_po(file, catalogue, width=110, omit_header=True, include_lineno=False, ignore_obsolete=True)


if __name__ == "__main__":
    update(CHINESE)
