"""Numbers, dates and times of day that are written as strings: which format fits, and the values by it.

Everything works on the distinct values of a column, so that its cost follows their number and not the rows.
"""

import re
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.metalearning.reading import MISSING_MARKERS
from app.metalearning.table import FloatArray

# Number formats are named by an example of themselves.
POINT, COMMA = "1,234.5", "1.234,5"
ISO = "ISO8601"
# What is taken from a number before it is read, so that scripts can do the same.
CURRENCIES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN"
NOT_OF_NUMBER = {POINT: rf"{CURRENCIES}|[^0-9eE+\-.]", COMMA: rf"{CURRENCIES}|[^0-9eE+\-,]"}

_UNIT = rf"(?:{CURRENCIES}|[$€£¥₹%])"
_SPACE = "[ \u00a0\u2009\u202f]"
# Leading zeros make a code ("007"), more than 15 digits an identifier that a float would round.
_DIGITS = {
    POINT: rf"(?:(?:0|[1-9]\d{{0,14}})(?:\.\d*)?|[1-9]\d{{0,2}}(?:(?:,|'|{_SPACE})\d{{3}})+(?:\.\d*)?|\.\d+)",
    COMMA: rf"(?:(?:0|[1-9]\d{{0,14}})(?:,\d*)?|[1-9]\d{{0,2}}(?:(?:\.|'|{_SPACE})\d{{3}})+(?:,\d*)?|,\d+)",
}
_NUMBERS = {
    written: rf"^(?:[+-]?{_UNIT}{_SPACE}?)?[+-]?{digits}(?:[eE][+-]?\d{{1,3}})?(?:{_SPACE}?{_UNIT})?$"
    for written, digits in _DIGITS.items()
}

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_FIELDS = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{1,2})",
    "%b": r"(?P<b>[A-Za-z]{3})",
    "%B": r"(?P<B>[A-Za-z]{3,9})",
    "%H": r"(?P<H>\d{1,2})",
    "%I": r"(?P<I>\d{1,2})",
    "%M": r"(?P<M>\d{2})",
    "%S": r"(?P<S>\d{2})",
    "%p": r"(?P<p>[AaPp][Mm])",
}
_ISO_PATTERN = (
    r"^(?P<Y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"
    r"(?:[T ](?P<H>\d{2}):(?P<M>\d{2})(?::(?P<S>\d{2}(?:\.\d{1,6})?))?(?P<z>Z|[+-]\d{2}:?\d{2})?)?$"
)
# Where two fit, the earlier one is taken: months first between slashes, days first between points and dashes.
_DATES = (
    *("%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%b %d, %Y", "%b %d %Y", "%d-%b-%y"),
    *("%d %B %Y", "%d-%B-%Y", "%B %d, %Y", "%B %d %Y", "%d. %B %Y"),
)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p")
DATE_FORMATS = (ISO, *(f"{date}{clock}" for date in _DATES for clock in ("", *(f" {c}" for c in _CLOCKS))))
TIME_FORMATS = _CLOCKS
# Numbers are dates only where the client says so.
DIGIT_DATE_FORMATS = ("%Y%m%d", "%Y%m", "%Y")
_LOOKED_AT = 20


def number_format(texts: pa.Array) -> str | None:
    """The format by which every distinct value that is not missing reads as a quantity; None if there is none."""
    texts = trimmed(texts)
    for written in (POINT, COMMA):
        pattern = re.compile(_NUMBERS[written])
        looked_at = texts.slice(0, _LOOKED_AT).drop_null().to_pylist()
        if all(pattern.match(text) for text in looked_at) and _all_fit(texts, read_numbers(texts, written)):
            return written if _has_one_unit(texts) and not _are_codes(texts) else None
    return None


def date_formats(texts: pa.Array) -> list[str]:
    """The formats by which every distinct value that is not missing reads as a date, the likeliest first."""
    texts = trimmed(texts)
    looked_at = texts.slice(0, _LOOKED_AT).drop_null().to_pylist()
    if not looked_at or not re.search(r"\d{4}|-\d{2}", looked_at[0]):
        return []
    likely = [w for w in DATE_FORMATS if all(re.match(_pattern(w), text) for text in looked_at)]
    return [written for written in likely if _all_fit(texts, read_dates(texts, written))]


def trimmed(texts: pa.Array) -> pa.Array:
    """Without spaces around, and with the markers of missing values as missing."""
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(texts, pa.array(MISSING_MARKERS, texts.type)), None, texts)


def read_numbers(texts: pa.Array, written: str) -> pa.Array:
    """Trimmed texts as floats by a format, missing where they do not fit."""
    fitting = pc.if_else(pc.match_substring_regex(texts, _NUMBERS[written]), texts, None)
    bare = pc.replace_substring_regex(fitting, NOT_OF_NUMBER[written], "")
    return pc.cast(pc.replace_substring(bare, ",", "."), pa.float64())


def read_dates(texts: pa.Array, written: str) -> pa.Array:
    """Trimmed texts as days since 1970 by a format, missing where they do not fit; times of day are parts of a day."""
    fields = pc.extract_regex(texts, _pattern(written))
    parts = {each.name: pc.struct_field(fields, each.name) for each in fields.type}
    year = _numbers(parts["Y"]) if "Y" in parts else np.full(len(texts), 1970.0)
    if "y" in parts:
        short = _numbers(parts["y"])
        year = short + np.where(short < 69, 2000, 1900)  # as POSIX reads two digits
    month, day = _month(parts, len(texts)), _numbers(parts["d"]) if "d" in parts else np.ones(len(texts))
    hour = _hour(parts, len(texts))
    minute, second = (_numbers(parts[p]) if p in parts else np.zeros(len(texts)) for p in "MS")
    fits = ~np.isnan(year) & (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24)
    fits &= (minute < 60) & (second < 60) & fields.is_valid().to_numpy(zero_copy_only=False)
    months = np.where(fits, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    starts = months.astype("datetime64[D]")
    fits &= day <= ((months + 1).astype("datetime64[D]") - starts).astype(np.float64)
    seconds = hour * 3600 + minute * 60 + second - (_offset(parts["z"]) if "z" in parts else 0)
    days = starts.astype(np.float64) + day - 1 + seconds / 86400
    return pa.array(np.where(fits, days, np.nan), mask=~fits)


@cache
def _pattern(written: str) -> str:
    if written == ISO:
        return _ISO_PATTERN
    pattern = re.sub(r"[.]", r"\\.", written)
    return "^" + re.sub(r"%\w", lambda field: _FIELDS[field[0]], pattern) + "$"


def _all_fit(texts: pa.Array, values: pa.Array) -> bool:
    return bool(values.null_count == texts.null_count < len(texts))


def _has_one_unit(texts: pa.Array) -> bool:
    """Whether all values bear the same sign of a unit, or none: dollars and euros do not add up."""
    texts = pc.replace_substring_regex(texts.drop_null(), r"[eE][+-]?\d+", "")
    return len(pc.unique(pc.replace_substring_regex(texts, r"[^$€£¥₹%A-Z]", ""))) == 1


def _are_codes(texts: pa.Array) -> bool:
    """Whether bare whole numbers, written as strings on purpose, are few or of one length as codes are."""
    texts = texts.drop_null()
    if not pc.all(pc.match_substring_regex(texts, r"^\d+$")).as_py():
        return False
    return len(texts) <= _FEW_CODES or len(pc.unique(pc.utf8_length(texts))) == 1


_FEW_CODES = 100


def _month(parts: dict[str, pa.Array], size: int) -> FloatArray:
    if "m" in parts:
        return _numbers(parts["m"])
    if "b" not in parts and "B" not in parts:
        return np.ones(size)
    names = [name[:3] for name in _MONTHS] if "b" in parts else _MONTHS
    lower = pc.utf8_lower(parts["b"] if "b" in parts else parts["B"])
    return _numbers(pc.index_in(lower, pa.array(names, lower.type))) + 1


def _hour(parts: dict[str, pa.Array], size: int) -> FloatArray:
    if "I" not in parts:
        return _numbers(parts["H"]) if "H" in parts else np.zeros(size)
    hour = _numbers(parts["I"])
    afternoon = pc.equal(pc.utf8_lower(parts["p"]), "pm").fill_null(False).to_numpy(zero_copy_only=False)
    return np.where((hour >= 1) & (hour <= 12), hour % 12 + 12 * afternoon, np.nan)


def _offset(zones: pa.Array) -> FloatArray:
    """Seconds east of Greenwich; zero where no zone is given."""
    fields = pc.extract_regex(zones, r"^(?P<sign>[+-])(?P<h>\d{2}):?(?P<m>\d{2})$")
    hours, minutes = (np.nan_to_num(_numbers(pc.struct_field(fields, name))) for name in "hm")
    west = pc.equal(pc.struct_field(fields, "sign"), "-").fill_null(False).to_numpy(zero_copy_only=False)
    return np.where(west, -1.0, 1.0) * (hours * 3600 + minutes * 60)


def _numbers(texts: pa.Array) -> FloatArray:
    """Optional fields of a match as floats: zero where empty, NaN where there was no match."""
    if not pa.types.is_integer(texts.type):
        texts = pc.cast(pc.if_else(pc.equal(texts, ""), "0", texts), pa.float64())
    values: FloatArray = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return values
