"""What the terminal says of a result."""

from app.presenting import experiment_lines, model_sentence

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


def test_how_sure_the_first_is_and_what_it_is_worth_are_said() -> None:
    runner_up = {
        "first": "clf-svm-rbf",
        "second": "clf-knn-5",
        "difference": 0.05,
        "low": 0.01,
        "high": 0.09,
        "verdict": "first_better",
    }
    choice = {"score": 0.42, "chosen": ["clf-svm-rbf", "clf-svm-rbf"]}
    said = model_sentence(
        {**RESULT, "stack_comparison": COMPARISON, "runner_up": runner_up, "choice": choice}
    )
    assert "scored on the other, the best has log_loss 0.4200." in said
    assert "clf-svm-rbf against clf-knn-5: log_loss loss lower by 0.0500" in said
    assert "it is better." in said


def test_what_was_stopped_early_is_told_with_its_rival() -> None:
    expected = {"metric": "roc_auc", "score": 0.6, "to_beat": {"configuration": "clf-svm-rbf", "score": 0.9}}
    experiment = {
        "configuration": "clf-knn-5",
        "status": "succeeded",
        "outcome": "stopped_early",
        "scores": None,
        "error": None,
        "extrapolation": expected,
    }
    [line] = experiment_lines({"experiments": [experiment]})
    assert line == (
        "clf-knn-5: stopped_early. Its learning curve leads to roc_auc 0.6, and clf-svm-rbf has 0.9."
    )
