"""Wording: sentences for people that remember what they were made of, so that they can be told in another language.

A sentence is its English text, and text to everything that reads it; beside it, it keeps the template and the values.
Which languages there are, and which one is wanted, is not known here: `api/languages` translates at the edge.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

NO_VALUES: Mapping[str, object] = {}


class Sentence(str):
    """A text with its template and the values in it; values that are sentences themselves are told likewise."""

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, values: Mapping[str, object] = NO_VALUES) -> "Sentence":
        """Fill the template, in which `{name}` stands for a value, as `str.format` does."""
        sentence = super().__new__(cls, template.format(**values))
        sentence.template = template
        sentence.values = values
        return sentence

    def __add__(self, further: str) -> "Sentence":
        return joined((self, further))

    def __getnewargs__(self) -> tuple[str, Mapping[str, object]]:  # type: ignore[override]
        return self.template, self.values


def say(template: str, **values: object) -> Sentence:
    """Make a sentence; the template is written out where this is called, because the catalogue is collected there.

    >>> say("order {order} is at version {actual}", order="'SO-7'", actual=7)
    "order 'SO-7' is at version 7"
    """
    told = {name: words_of(value) if isinstance(value, Exception) else value for name, value in values.items()}
    return Sentence(template, told)


def instant_text(at: datetime, *, precision: str = "auto") -> str:
    """Write an instant as it is told everywhere: in UTC, with a Z. Units: precision as of isoformat.

    >>> instant_text(datetime.fromisoformat("2026-05-15T14:00+02:00"))
    '2026-05-15T12:00:00Z'
    """
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def joined(parts: Sequence[str], separator: str = "", last: str | None = None) -> Sentence:
    """Join parts by a text between them, and by another before the last one.

    >>> joined(["a", "b", "c"], say(", "), say(" and "))
    'a, b and c'
    """
    template, values = "", {"separator": separator, "last": separator if last is None else last}
    for number, part in enumerate(parts):
        between = "" if number == 0 else "{last}" if number == len(parts) - 1 else "{separator}"
        template += f"{between}{{part_{number}}}"
        values[f"part_{number}"] = part
    return Sentence(template, values)


def kept(text: str) -> str:
    """Write a text so that it can be kept and told later, in any language: a sentence with its template and values.

    >>> remembered(kept(say("line {line:,}", line=1000))).values
    {'line': 1000}
    """
    return json.dumps(_parts(text))


def _parts(value: object) -> object:
    if isinstance(value, Sentence):
        return {"template": value.template, "values": {name: _parts(each) for name, each in value.values.items()}}
    return value if isinstance(value, str | int) else str(value)


def remembered(text: str) -> str:
    """Give a text that was written by `kept`; a sentence as one."""
    told: str = _whole(json.loads(text))
    return told


def _whole(parts: Any) -> Any:
    if isinstance(parts, dict):
        return Sentence(parts["template"], {name: _whole(each) for name, each in parts["values"].items()})
    return parts


def words_of(error: Exception) -> str:
    """Give what an error says, as the sentence that it was raised with where that is one."""
    said = error.args[0] if len(error.args) == 1 else None
    return said if isinstance(said, Sentence) else str(error)
