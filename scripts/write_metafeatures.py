"""Write the tables of docs/metafeatures.md anew from the schema: python scripts/write_metafeatures.py."""

import csv
import itertools
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "metafeatures.md"
SCHEMA = ROOT / "app" / "metalearning" / "metafeatures" / "schema.csv"
_TABLES = re.compile(r"(?<=<!-- schema -->\n).*?(?=<!-- end of schema -->)", re.DOTALL)
_HEADER = (
    "| name | what it is | source | range | missing for, or where | order-free | scale-free |",
    "|---|---|---|---|---|---|---|",
)


def tables() -> str:
    """One table per family."""
    with SCHEMA.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = []
    for family, members in itertools.groupby(rows, key=lambda row: row["family"]):
        lines += ["", f"### {family.capitalize()}", "", *_HEADER, *map(_line, members)]
    return "\n".join([*lines, "", ""])


def _line(row: dict[str, str]) -> str:
    names = [f"{row['name']}.{summary}" for summary in row["summaries"].split()] or [row["name"]]
    low, high = row["low"].replace("-inf", "-∞"), row["high"].replace("1e9", "10⁹") or "∞"
    meaning = (
        f"{' / '.join(row['summaries'].split())} of: {row['meaning']}" if row["summaries"] else row["meaning"]
    )
    cells = (
        ", ".join(f"`{name}`" for name in names),
        meaning.replace("|", "\\|"),
        row["source"],
        f"{low} … {high}",
        row["missing"],
        row["order_free"],
        row["scale_free"],
    )
    return f"| {' | '.join(cells)} |"


def with_tables(page: str) -> str:
    """The page with the tables of today's schema."""
    return _TABLES.sub(lambda _: tables(), page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
    print(f"{PAGE.name} shows the schema.")
