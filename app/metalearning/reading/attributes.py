"""The header of an ARFF file: what each column holds, and how its cells become values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from app.metalearning.reading.tokens import TokenError, skip_space, word

# Java's letters for parts of a date, in Python's.
_DATE_LETTERS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "M": "%m",
    "dd": "%d",
    "d": "%d",
    "HH": "%H",
    "H": "%H",
    "mm": "%M",
    "m": "%M",
    "ss": "%S",
    "s": "%S",
    "SSS": "%f",
}
_ISO_DATE = "yyyy-MM-dd'T'HH:mm:ss"


class Kind(StrEnum):
    """What an attribute's values are."""

    NUMBER = "number"
    INTEGER = "integer"
    NOMINAL = "nominal"
    STRING = "string"
    DATE = "date"


_NUMBERS = {"numeric": Kind.NUMBER, "real": Kind.NUMBER, "integer": Kind.INTEGER}


@dataclass(frozen=True)
class Attribute:
    """A column: its name, what it holds, the values of a nominal one, the format of a date."""

    name: str
    kind: Kind
    values: pa.Array | None = None
    date_format: str = ""

    def default(self) -> str | None:
        """What a sparse row means by leaving the column out: zero, the first nominal value, otherwise nothing."""
        if self.kind in (Kind.NUMBER, Kind.INTEGER):
            return "0"
        return self.values[0].as_py() if self.values is not None and len(self.values) else None

    def convert(self, texts: list[str | None]) -> pa.Array:
        """Cells as values; "?" and nothing are missing.

        Raises: pyarrow.ArrowInvalid, ValueError: a cell is none of the attribute's values.
        """
        strings = pa.array(texts, pa.string())
        strings = pc.if_else(pc.is_in(strings, pa.array(["?", ""])), None, strings)
        if self.kind in (Kind.NUMBER, Kind.INTEGER):
            return pc.cast(strings, pa.float64())
        if self.kind is Kind.DATE:
            distinct = strings.dictionary_encode()
            parsed = [datetime.strptime(text, self.date_format) for text in distinct.dictionary.to_pylist()]  # noqa: DTZ007  ARFF's dates have no zone
            return pa.array(parsed, pa.timestamp("us")).take(distinct.indices)
        if self.values is None:
            return strings
        codes = pc.index_in(strings, self.values)
        if codes.null_count > strings.null_count:
            raise ValueError("not among the declared values")
        return pa.DictionaryArray.from_arrays(codes, self.values)


def parse_attribute(line: str) -> Attribute:
    """What follows "@attribute" on its line.

    Raises: TokenError.
    """
    name, position = word(line, skip_space(line, 0), " \t{")
    if not name:
        raise TokenError("the attribute has no name")
    position = skip_space(line, position)
    if position < len(line) and line[position] == "{":
        values, position = _nominal_values(line, position + 1)
        if line[position:].strip():
            raise TokenError("there is text behind the nominal values (weights are not read)")
        return Attribute(name, Kind.NOMINAL, pa.array(dict.fromkeys(values), pa.string()))
    kind, position = word(line, position, " \t{")
    rest = line[skip_space(line, position) :].strip()
    if kind.lower() == "date":
        return Attribute(name, Kind.DATE, date_format=_date_format(_unquoted(rest) or _ISO_DATE))
    if rest:
        raise TokenError("there is text behind the attribute's type (weights are not read)")
    if kind.lower() == "string":
        return Attribute(name, Kind.STRING)
    if kind.lower() not in _NUMBERS:
        raise TokenError(f"attributes of type {kind[:50]!r} are not read")
    return Attribute(name, _NUMBERS[kind.lower()])


def _nominal_values(line: str, position: int) -> tuple[list[str], int]:
    """The values up to the closing brace, and the position behind it."""
    values = []
    while True:
        value, position = word(line, skip_space(line, position), ",}")
        values.append(value)
        position = skip_space(line, position)
        if position == len(line):
            raise TokenError("the nominal values are never closed")
        if line[position] not in ",}":
            raise TokenError(f"there is text behind the quoted value {value[:50]!r}")
        position += 1
        if line[position - 1] == "}":
            return values, position


def _unquoted(text: str) -> str:
    found, position = word(text, 0, "")
    if text[position:].strip():
        raise TokenError("there is text behind the date's format")
    return found


def _date_format(java: str) -> str:
    """A format of Java's SimpleDateFormat in Python's letters; only numbers, so that no language matters."""
    if java == "yyyy-MM-ddTHH:mm:ss":  # where the quotes around the T were lost
        java = _ISO_DATE
    parts, position = [], 0
    while position < len(java):
        letter, end = java[position], position + 1
        if letter == "'":
            end = java.find("'", position + 1) + 1
            if not end:
                raise TokenError("a quote in the date's format is never closed")
            parts.append(java[position + 1 : end - 1].replace("%", "%%") or "'")
        elif letter.isalpha():
            while end < len(java) and java[end] == letter:
                end += 1
            if java[position:end] not in _DATE_LETTERS:
                raise TokenError(f"the date's format has {java[position:end]!r}, which is not read")
            if _DATE_LETTERS[java[position:end]] in parts:
                raise TokenError(f"the date's format has {java[position:end]!r} twice")
            parts.append(_DATE_LETTERS[java[position:end]])
        else:
            parts.append(letter.replace("%", "%%"))
        position = end
    return "".join(parts)
