"""Valid files of every format, and endless damaged ones made from them; the same seed gives the same bytes."""

import gzip
import random
from collections.abc import Callable, Iterator

from tests.hostile_files import ARFF, CSV, HEAD, JSON, SPARSE, zstd
from tests.hostile_parquet import as_parquet

SEEDS = {
    "csv": HEAD + CSV,
    "csv of quotes": b'"n","f","c","y"\n' + b"".join(b'"%d","%d,5","a ""b""\nc",%c\n' % (n, n, b"xy"[n % 2]) for n in range(40)),
    "csv in UTF-16": (HEAD + CSV).decode().encode("utf-16"),
    "tsv": (HEAD + CSV).replace(b",", b"\t"),
    "arff": ARFF + b"".join(b"%d,%d.5,'b',\"%c\"\n" % (n, n, b"xy"[n % 2]) for n in range(40)),
    "sparse arff": SPARSE,
    "json lines": JSON,
    "parquet": as_parquet(),
    "plain parquet": as_parquet(use_dictionary=False, compression="none"),
    "parquet by zstd": as_parquet(compression="zstd", data_page_version="2.0", row_group_size=16),
    "gzip": gzip.compress(HEAD + CSV, mtime=0),
    "zstd": zstd(HEAD + CSV),
}  # fmt: skip
_TOKENS = (
    b'"',
    b"'",
    b",",
    b"\n",
    b"\r",
    b"\x00",
    b"{",
    b"}",
    b"[",
    b"\\",
    b"%",
    b"?",
    b"\xff",
    b"9" * 30,
    b"1e999",
    b"-",
)


def mutated(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many damaged files, with names that tell where they come from."""
    chance = random.Random(seed)
    names = list(SEEDS)
    for number in range(count):
        name = names[number % len(names)]
        content = SEEDS[name]
        for _ in range(chance.choice((1, 1, 2, 8))):
            content = chance.choice(_MUTATIONS)(content, chance)
        yield f"{number:05d} {name}", content


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content or b"\0")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    new = chance.choice((bytes(4), b"\xff" * 4, chance.randbytes(4), b"\x7f"))
    return content[:at] + new + content[at + len(new) :]


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _remove(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + content[at + chance.randrange(1, 40) :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.choice(_TOKENS) + content[at:]


def _double(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    end = min(len(content), start + chance.randrange(1, 200))
    return content[:end] + content[start:]


def _move(content: bytes, chance: random.Random) -> bytes:
    first, second = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[second:] + content[first:second]


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _overwrite, _cut, _remove, _insert, _double, _move,
)  # fmt: skip
