"""The encoding of a text file: which ones its bytes can be read in, and whether the text decides for one of them.

Bytes rarely say how they are meant. What decides, in this order: a byte order mark; that only one encoding can read
them; the headers; how the characters outside ASCII stand (letters inside Latin words; the few thousand Chinese
characters in daily use). Where that leaves two, nothing is guessed.
Source: design, section 7.
"""

import codecs
import re
from dataclasses import dataclass
from typing import BinaryIO, Final, get_args

from api.import_profiles import is_known
from api.shapes import Decision, Encoding
from ledger.refusal import Code, Refusal
from ledger.wording import say

ENCODINGS: Final[tuple[Encoding, ...]] = get_args(Encoding)
_MARKS: Final[tuple[tuple[bytes, Encoding], ...]] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHUNK_BYTES = 1024 * 1024
_HEADER_CHARACTERS = 20_000
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffe\uffff]")
_OUTSIDE_ASCII = re.compile("[^\x00-\x7f]")
_IN_A_WORD = re.compile("(?<=[A-Za-z])[^\x00-\x7f]|[^\x00-\x7f](?=[A-Za-z])")
_USUAL = 0.85
_IN_WORDS = 0.5


@dataclass
class _Reading:
    """What a file is in one encoding: how many characters are outside ASCII, and how many of them stand as usual."""

    encoding: Encoding
    characters: int = 0
    outside: int = 0
    usual: int = 0
    in_words: int = 0
    beyond_two_bytes: int = 0
    header: str = ""
    has_lines: bool = False

    def see(self, text: str) -> None:
        """Take a part of the text into account."""
        if len(self.header) < _HEADER_CHARACTERS:
            self.header += text[: _HEADER_CHARACTERS - len(self.header)]
        self.characters += len(text)
        self.has_lines = self.has_lines or "\n" in text or "\r" in text
        if text.isascii():
            return
        outside = _OUTSIDE_ASCII.findall(text)
        self.outside += len(outside)
        self.in_words += len(_IN_A_WORD.findall(text))
        if self.encoding == "gb18030":
            self.usual += len("".join(outside).encode("gb2312", "ignore")) // 2
        elif self.encoding == "big5":
            self.usual += sum(_is_daily_in_big5(character) for character in outside)
        elif self.encoding == "utf-8":
            self.beyond_two_bytes += sum(character > "\u07ff" for character in outside)

    @property
    def is_plausible(self) -> bool:
        """Say whether the characters outside ASCII stand as they do in texts of this encoding."""
        if not self.outside:
            return True
        match self.encoding:
            case "gb18030" | "big5":
                return self.usual >= _USUAL * self.outside
            case "cp1252":
                return self.in_words >= _IN_WORDS * self.outside
            case "utf-8":
                return True
            case _:
                return self.has_lines

    @property
    def is_surely_utf_8(self) -> bool:
        """Say whether what is outside ASCII is UTF-8 and no accident: of three bytes, or letters in Latin words."""
        return self.beyond_two_bytes > 0 or self.in_words >= _IN_WORDS * self.outside

    @property
    def known_headers(self) -> int:
        """Count the headers outside ASCII that are understood."""
        line = next((line for line in self.header.splitlines() if line.strip()), "")
        return sum(not part.isascii() and is_known(part) for part in re.split(r'["]?[,;\t|]["]?', line.strip('"')))


def _is_daily_in_big5(character: str) -> bool:
    code = character.encode("big5", "ignore")
    return len(code) == 2 and 0xA1 <= code[0] <= 0xC6


def decide_encoding(file: BinaryIO, given: Encoding | None) -> tuple[Decision, Encoding]:
    """Decide how a file is encoded; also give the encoding to read it in until somebody says which.

    Errors: Refusal (unknown_encoding) for bytes that are text in none, or not in the given one.
    """
    file.seek(0)
    beginning = file.read(4)
    marked = next((encoding for mark, encoding in _MARKS if beginning.startswith(mark)), None)
    asked = [given] if given else [marked] if marked else list(ENCODINGS)
    readings = [reading for encoding in asked if (reading := _read(file, encoding))]
    if not readings:
        where = (
            say("is not text in {encoding}", encoding=given or marked)
            if given or marked
            else say("is text in none of {encodings}", encodings=", ".join(ENCODINGS))
        )
        raise Refusal.of(
            Code.unknown_encoding,
            say("the file {where}: save it as UTF-8, and send a workbook with its own Content-Type", where=where),
        )
    if given or marked:
        why = say("the profile says so") if given else say("the file begins with its byte order mark")
        return Decision("encoding", asked[0], True, why), asked[0]
    return _decided(readings)


def _decided(readings: list[_Reading]) -> tuple[Decision, Encoding]:
    by_encoding = {reading.encoding: reading for reading in readings}
    if len(readings) == 1:
        return _certain(readings[0], say("no other encoding can read the bytes"))
    utf_8 = by_encoding.get("utf-8")
    if utf_8 and not utf_8.outside:
        return _certain(utf_8, say("every character is ASCII, which all encodings share"))
    plausible = [reading for reading in readings if reading.is_plausible]
    if utf_8 and utf_8.is_surely_utf_8:
        return _certain(utf_8, say("the bytes are well-formed UTF-8, and stand as characters of UTF-8 do"))
    known = max(reading.known_headers for reading in readings)
    best = [reading for reading in readings if reading.known_headers == known]
    if known and len(best) == 1:
        return _certain(best[0], say("in it the headers are understood"))
    if len(plausible) == 1:
        return _certain(plausible[0], say("in the others that can read the bytes they are no usual text"))
    left = plausible or readings
    sentence = say(
        "{left_count} encodings can read the bytes, as different texts, and nothing in the file decides",
        left_count=len(left),
    )
    return Decision("encoding", None, False, sentence, [reading.encoding for reading in left]), left[0].encoding


def _certain(reading: _Reading, why: str) -> tuple[Decision, Encoding]:
    return Decision("encoding", reading.encoding, True, why), reading.encoding


def _read(file: BinaryIO, encoding: Encoding) -> _Reading | None:
    """Read a whole file in an encoding; None where it is not text in it."""
    file.seek(0)
    reading = _Reading(encoding)
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    is_first = True
    try:
        while True:
            raw = file.read(_CHUNK_BYTES)
            text = decoder.decode(raw, final=not raw)
            if is_first:
                text, is_first = text.removeprefix("\ufeff"), False
            if _NOT_TEXT.search(text):
                return None
            reading.see(text)
            if not raw:
                return reading
    except UnicodeDecodeError:
        return None
