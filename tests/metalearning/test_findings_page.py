"""docs/findings.md tells of every code there is, and of no other."""

import ast
import re
from pathlib import Path

from app import errors
from app.metalearning.findings import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "findings.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "`" in line
    ]


def test_page_has_every_finding_with_its_severity():
    table = {row[0].strip("`"): row[1] for row in rows("Findings")}
    assert table == {code: str(severity) for code, (severity, _) in CATALOGUE.items()}


def test_every_finding_that_the_sources_make_is_in_the_catalogue_and_none_else():
    made = set()
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("found", "Finding")
            ):
                made |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
    # The last two are passed on as variables.
    assert made | {"target_copy", "target_separated"} == set(CATALOGUE)


def test_page_has_every_refusal_of_a_dataset():
    codes = {kind.code for kind in errors._all_kinds(errors.UnusableDatasetError)}
    assert {row[0].strip("`") for row in rows("Refusals")} == codes


def test_every_finding_says_what_to_do():
    assert all(re.search(r"\w\.$", advice) for _, advice in CATALOGUE.values())
