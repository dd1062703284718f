"""The words of ARFF lines: quoted or not, with escapes; every character is looked at a bounded number of times."""

_SPACE = " \t"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class TokenError(ValueError):
    """What is wrong with a line."""


def skip_space(text: str, position: int) -> int:
    """The position of the next character that is no blank."""
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position


def word(text: str, position: int, ends: str) -> tuple[str, int]:
    """The word that begins here, up to one of `ends` or its closing quote, and the position behind it.

    Raises: TokenError.
    """
    if position < len(text) and text[position] in "'\"":
        return _quoted(text, position)
    start = position
    while position < len(text) and text[position] not in ends:
        position += 1
    return text[start:position].strip(_SPACE), position


def cells(text: str) -> list[str]:
    """The values between commas.

    Raises: TokenError.
    """
    if "'" not in text and '"' not in text:
        return [cell.strip(_SPACE) for cell in text.split(",")]
    found, position = [], 0
    while True:
        cell, position = word(text, skip_space(text, position), ",")
        found.append(cell)
        position = skip_space(text, position)
        if position == len(text):
            return found
        if text[position] != ",":
            raise TokenError(f"there is text behind the quoted value {cell[:50]!r}")
        position += 1


def _quoted(text: str, position: int) -> tuple[str, int]:
    quote, parts = text[position], []
    start = position = position + 1
    while position < len(text):
        if text[position] == "\\" and position + 1 < len(text):
            escaped = text[position + 1]
            parts += [text[start:position], _ESCAPES.get(escaped, escaped)]
            start = position = position + 2
        elif text[position] == quote:
            parts.append(text[start:position])
            return "".join(parts), position + 1
        else:
            position += 1
    raise TokenError("a quoted value is never closed")
