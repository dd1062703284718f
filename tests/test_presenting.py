"""What the terminal says of a result."""

from app.presenting import model_sentence

COMPARISON = {
    "single": "clf-svm-rbf",
    "rows": 250,
    "difference": 0.0123,
    "low": -0.001,
    "high": 0.02,
    "verdict": "no_clear_difference",
}
RESULT = {"metric": "log_loss", "winner": "clf-svm-rbf", "model_id": "model_1"}


def test_winner_is_named_with_the_comparison_to_the_stack() -> None:
    said = model_sentence({**RESULT, "stack_comparison": COMPARISON})
    assert said.startswith("* clf-svm-rbf was refitted on all rows.\nStack against clf-svm-rbf on 250 rows")
    assert "+0.0123" in said
    assert "no clear difference" in said


def test_a_missing_stack_or_model_has_its_reason() -> None:
    nothing = {"stack_comparison": None, "no_stack_because": "One configuration is no stack."}
    assert model_sentence({**RESULT, **nothing}).endswith("all rows.\nOne configuration is no stack.")
    late = {"model_id": None, "no_model_because": "The time budget was spent."}
    said = model_sentence({**RESULT, **nothing, **late})
    assert said.startswith("The time budget was spent. clf-svm-rbf leads;")
    assert "refitted" not in said
