"""What is noticed about a dataset before anything runs on it: coded findings, each with what to do."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MOST_OF_A_CODE = 20


class Severity(StrEnum):
    """A warning lowers what can be expected; information only tells what was done."""

    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True)
class Finding:
    """Something noticed about a dataset: a stable code, the column that it is about, the facts, and what to do.

    `evidence` holds the numbers behind it, as JSON.
    """

    code: str
    severity: Severity
    column: str | None
    detail: str
    advice: str
    evidence: dict[str, Any] = field(default_factory=dict)


_WARNINGS = {
    # What typing does
    "all_missing_column": "Remove the column, or fill it.",
    "infinite_values": "Replace them by numbers.",
    "large_integers": "If they are codes, declare the column categorical or an id.",
    "missing_target_rows": "Fill in the target, or remove these rows.",
    "repeated_target_name": "Give the columns names of their own.",
    "nearly_unique_strings": "Declare ids as such; free text is used only through its most frequent values.",
    # What preflight sees
    "class_smaller_than_folds": "Merge rare classes or send more rows; some algorithms cannot learn from so few.",
    "contradictory_duplicates": "No algorithm can be right about all of them: add a column that tells them apart.",
    "few_rows": "Expect wide intervals; send more rows if there are any.",
    "heavy_tailed_target": "Predict its logarithm, cap it, or rank by an error that is not squared.",
    "imbalanced_classes": "Judge by ROC AUC or log-loss: accuracy says nothing here.",
    "more_columns_than_rows": "Expect unstable scores; remove columns that cannot matter.",
    "mostly_missing_column": "Remove the column unless being filled in is a sign in itself.",
    "target_copy": "Remove it unless it is known at prediction time.",
    "target_separated": "Make sure that it is known at prediction time; otherwise remove it.",
}
_INFORMATION = {
    # What typing does
    "ambiguous_dates": "Write dates as 2020-12-31 if the other reading is meant.",
    "date_like_strings": "Declare the column categorical if these are no dates.",
    "group_column": "Rows of one group are never split between learning and judging; the column is no feature.",
    "integers_as_classes": "Ask for regression if the target is a count or another quantity.",
    "id_column": "Nothing is learned from it; declare another type if it is a property of the rows.",
    "number_like_strings": "If these are no quantities, declare the column categorical, or ask for classification by the target.",
    "time_column": "What is judged is never earlier than what is learned from; the column is no feature.",
    # What preflight sees
    "constant_column": "Remove it: there is nothing to learn from it.",
    "duplicate_columns": "Keep one of them.",
    "duplicate_rows": "Remove repetitions that are no observations of their own: they flatter every score.",
    "high_cardinality": "Group rare categories if they mean the same; some algorithms are slow with so many.",
    "near_constant_column": "Remove it unless the rare values matter.",
    "possible_groups": "Name it as the group if rows with the same value belong together.",
    "metafeatures_sampled": "Nothing needs to be done.",
    "time_ordered_rows": "Name it as the time if the future is to be predicted from the past.",
}
# Every code with its severity and what to do about it; docs/findings.md is its page for people.
CATALOGUE = {code: (Severity.WARNING, advice) for code, advice in _WARNINGS.items()} | {
    code: (Severity.INFORMATION, advice) for code, advice in _INFORMATION.items()
}


def found(code: str, column: str | None, detail: str, **evidence: Any) -> Finding:
    """A finding of the catalogue, about one column or (None) about all."""
    severity, advice = CATALOGUE[code]
    return Finding(code, severity, column, detail, advice, evidence)


def condensed(findings: list[Finding]) -> tuple[Finding, ...]:
    """At most so many findings of one code, the others counted in one more: thousands tell nobody anything."""
    kept: list[Finding] = []
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.code] += 1
        if counts[finding.code] <= MOST_OF_A_CODE:
            kept.append(finding)
    for code, count in counts.items():
        if count > MOST_OF_A_CODE:
            n_more = count - MOST_OF_A_CODE
            kept.append(found(code, None, f"The same holds of {n_more} more columns.", n_columns=n_more))
    return tuple(kept)
