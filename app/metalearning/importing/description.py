"""An ASlib scenario's description.txt: the part of YAML that it uses, and the older form `key: a,b,c`."""

from collections.abc import Iterator

Value = str | list[str]


def read_description(text: str) -> dict[str, Value]:
    """What the file says under its top-level keys: a text, or a list of the items below it.

    Anchors and aliases of YAML (`&id`, `*id`) mean nothing here: no key that is needed has any.
    """
    found: dict[str, Value] = {}
    items: list[str] = []  # of the key that was met last
    for line in _meaningful_lines(text):
        stripped = line.strip()
        if stripped.startswith("-"):
            items.append(_scalar(stripped[1:]))
        elif line[0] not in " \t" and ":" in line:
            key, _, rest = line.partition(":")
            items = []
            found[key.strip()] = _inline_value(inline) if (inline := rest.strip()) else items
    return found


def first_of(value: Value | None) -> str:
    """The only or first text of a value; nothing where there is none."""
    if isinstance(value, list):
        return value[0] if value else ""
    return value or ""


def as_list(value: Value | None) -> list[str]:
    """A value as a list; texts between commas where it is one line."""
    if isinstance(value, list):
        return value
    return [part for each in (value or "").split(",") if (part := _scalar(each))]


def _meaningful_lines(text: str) -> Iterator[str]:
    for line in text.replace("\r", "\n").split("\n"):
        stripped = line.strip()
        if stripped and not stripped.startswith("#") and stripped not in ("---", "..."):
            yield line.rstrip()


def _inline_value(text: str) -> Value:
    if text.startswith("[") and text.endswith("]"):
        return [part for each in text[1:-1].split(",") if (part := _scalar(each))]
    return _scalar(text)


def _scalar(text: str) -> str:
    """One text without its quotes, in which a doubled quote is a quote, and without a comment behind it."""
    text = text.strip()
    if not text or text[0] not in "'\"":
        return text.partition(" #")[0].strip()
    quote, parts = text[0], []
    position = 1
    while (end := text.find(quote, position)) >= 0:
        parts.append(text[position:end])
        if text[end + 1 : end + 2] != quote:
            return quote.join(parts)
        position = end + 2
    return text
