"""Bytes as UTF-8, whatever encoding they had, without a copy where they are UTF-8 already."""

import codecs
import io
import re
from collections.abc import Iterator

from app.errors import UnreadableEncodingError

_CHUNK = 1 << 20
# Control characters that no table of text holds: a sign of binary data or of a wrong guess.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_UTF8_MARK = codecs.BOM_UTF8


def as_utf8(content: bytes) -> tuple[bytes, str]:
    """The text in UTF-8 without a byte-order mark, and the name of the encoding that it had.

    UTF-8 and UTF-16 are recognised with a mark and without; other text is taken for Windows-1252, of which Latin-1 is
    a part.

    Raises: UnreadableEncodingError.
    """
    utf16 = _utf16(content)
    if utf16:
        return _transcoded(content, utf16), utf16
    if _is_utf8(content):
        return _without_controls(content.removeprefix(_UTF8_MARK)), "utf-8"
    return _transcoded(content, "cp1252"), "cp1252"


def _utf16(content: bytes) -> str | None:
    """UTF-16 by its mark, or by the zeros that Latin letters and digits have in one half of it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = content[:1000]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) * 4 > len(start) and min(even, odd) == 0 and len(content) % 2 == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return None


def _is_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(content):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _transcoded(content: bytes, encoding: str) -> bytes:
    decoder = codecs.getincrementaldecoder(encoding)()
    encoded = io.BytesIO()
    try:
        for chunk in _chunks(content):
            encoded.write(decoder.decode(chunk).encode())
        encoded.write(decoder.decode(b"", final=True).encode())
    except UnicodeError as error:
        raise _no_text() from error
    return _without_controls(encoded.getvalue())


def _without_controls(content: bytes) -> bytes:
    if _CONTROL.search(content):
        raise _no_text()
    return content


def _chunks(content: bytes) -> Iterator[bytes]:
    return (content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK))


def _no_text() -> UnreadableEncodingError:
    return UnreadableEncodingError(
        "The file is no text in UTF-8, UTF-16 or Windows-1252.", "Save the file as UTF-8 and send it again."
    )
