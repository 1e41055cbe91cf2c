"""Profiles: what of a credit line the rules can see, as one integer that SQL can join by.

A line's profile is made of its values of the attributes that rules name; a value that no rule names counts as none.
Each attribute has a digit: the named values are 1, 2, 3 … times the attribute's stride, none is 0, and their sum is
the profile. The order type, of which every value is named, is the top digit as it is. (Rules that name so much that the
sum leaves 63 bits get a second integer.) Pure; the SQL made here is the same in every engine.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

CASES_MAX = 64
"""Up to so many named values are found by CASE, more by a join; the chain of a CASE is walked for its values only."""
_PROFILE_MAX = 2**63
_TERM_MAX = 2**31 - 1


@dataclass(frozen=True)
class Attribute:
    """An attribute that rules name: the SQL of a line's value (a term), and the named terms with their texts."""

    name: str
    value: str
    terms: Mapping[int, str]
    all_named: bool = False


@dataclass(frozen=True)
class _Digit:
    attribute: Attribute
    stride: int

    @cached_property
    def places(self) -> dict[int, int]:
        """Give the named terms by their place in this digit."""
        if self.attribute.all_named:
            return {term: term for term in self.attribute.terms}
        return dict(enumerate(sorted(self.attribute.terms), start=1))

    @property
    def base(self) -> int:
        """Give how many places the digit has, none included."""
        return _TERM_MAX + 1 if self.attribute.all_named else len(self.attribute.terms) + 1

    @cached_property
    def numbers(self) -> dict[int, int]:
        """Give the named terms with what each adds to the profile."""
        return {term: place * self.stride for place, term in self.places.items()}

    def choices(self, only: Collection[str] | None = None) -> list[int]:
        """Give what values may add to the profile: all, or those of these texts (0 for one that is not named)."""
        if only is None:
            return [0, *self.numbers.values()]
        terms = {text: term for term, text in self.attribute.terms.items()}
        return sorted({self.numbers[terms[text]] if text in terms else 0 for text in only})

    def sql(self) -> str:
        """Give what a line's value adds to the profile."""
        value, numbers = self.attribute.value, self.numbers
        if self.attribute.all_named:
            return f"CAST({value} AS bigint) * {self.stride}"
        if not numbers:
            return "0"
        if len(numbers) > CASES_MAX:
            return f"coalesce(named_{self.attribute.name}.number, 0)"
        terms = ", ".join(map(str, numbers))
        cases = " ".join(f"WHEN {term} THEN {number}" for term, number in numbers.items())
        return f"CASE WHEN {value} IN ({terms}) THEN CASE {value} {cases} END ELSE 0 END"

    def join(self) -> str:
        """Give the join that finds it, where there are too many named values for a CASE."""
        numbers = self.numbers
        if len(numbers) <= CASES_MAX or self.attribute.all_named:
            return ""
        name = f"named_{self.attribute.name}"
        values = ", ".join(f"({term}, {number})" for term, number in numbers.items())
        return f"LEFT JOIN (VALUES {values}) AS {name} (term, number) ON {name}.term = {self.attribute.value}"

    def text_of(self, profile: int) -> str | None:
        """Give the text that a profile holds at this digit."""
        term = self.places.get(profile // self.stride % self.base)
        return None if term is None else self.attribute.terms.get(term)


class Profiles:
    """The profiles that some attributes make."""

    def __init__(self, attributes: Sequence[Attribute]) -> None:
        self._packs = list[list[_Digit]]([[]])
        stride = 1
        for attribute in attributes:
            digit = _Digit(attribute, stride)
            if stride * digit.base > _PROFILE_MAX:
                self._packs.append([])
                digit = _Digit(attribute, 1)
            self._packs[-1].append(digit)
            stride = digit.stride * digit.base
        self.attributes = attributes

    @property
    def columns(self) -> list[str]:
        """Name the integers of a profile; one, unless rules name very much."""
        return [f"profile_{number}" for number in range(len(self._packs))]

    @property
    def count(self) -> int:
        """Count the combinations of named values, none included."""
        return prod(len(attribute.terms) + 1 for attribute in self.attributes)

    def combinations(self, only: Mapping[str, Collection[str]] | None = None) -> Iterator[tuple[int, ...]]:
        """Give all profiles; of an attribute in `only`, just those with one of these texts (which may be unnamed)."""
        packs = [
            [
                sum(parts)
                for parts in product(*(digit.choices((only or {}).get(digit.attribute.name)) for digit in pack))
            ]
            for pack in self._packs
        ]
        return product(*packs)

    def texts(self, profile: tuple[int, ...]) -> dict[str, str | None]:
        """Give the attributes' values in a profile."""
        return {
            digit.attribute.name: digit.text_of(packed)
            for pack, packed in zip(self._packs, profile, strict=True)
            for digit in pack
        }

    def sql(self) -> str:
        """Give the columns that hold a line's profile."""
        return ", ".join(
            f"{' + '.join(['CAST(0 AS bigint)', *(digit.sql() for digit in pack)])} AS {column}"
            for pack, column in zip(self._packs, self.columns, strict=True)
        )

    def joins(self) -> str:
        """Give the joins that the columns need."""
        return " ".join(digit.join() for pack in self._packs for digit in pack)

    def match(self) -> str:
        """Give the condition under which a line (p) is of an interval's (r) profile."""
        return " AND ".join(f"p.{column} = r.{column}" for column in self.columns)
