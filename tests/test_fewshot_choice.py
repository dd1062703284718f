"""What `auto` takes follows from half of the datasets, and only from what is beyond doubt."""

import json

from app.metalearning.fewshot.methods import CHOICES, ROWS_PER_CLASS, Method
from benchmarks.fewshot import chosen, is_reported
from workers.training.sources import Source

CELL = "about 5 rows per class and up to 10 features"
OTHER = "about 1 rows per class and up to 10 features"


def draws(cell, gain, accuracy=0.5, n_datasets=12):
    """Datasets on which the in-context learner has so much less log-loss than logistic regression, give or take a tenth."""
    return [
        [
            {
                "cell": cell,
                "accuracy": dict.fromkeys(Method, 0.5) | {Method.IN_CONTEXT: accuracy},
                "log_loss": dict.fromkeys(Method, 1.0) | {Method.IN_CONTEXT: 1.0 - gain + 0.1 * (-1) ** at},
            }
        ]
        for at in range(n_datasets)
    ]


def test_what_wins_beyond_doubt_is_taken_there_and_nowhere_else():
    assert chosen([*draws(CELL, 0.2), *draws(OTHER, 0.0)]) == {CELL: "in_context"}


def test_what_may_be_chance_is_left_to_the_default():
    assert chosen(draws(CELL, 0.02)) == {}
    assert chosen(draws(CELL, -0.2)) == {}


def test_probabilities_that_are_paid_for_with_accuracy_are_not_taken():
    assert chosen(draws(CELL, 0.2, accuracy=0.4)) == {}
    assert chosen(draws(CELL, 0.2, accuracy=0.6)) == {CELL: "in_context"}


def test_a_group_is_on_one_side_of_the_split():
    def source(name, group):
        return Source(name, None, "y", None, group)

    sides = [is_reported(source(f"dataset {each}", f"group {each}")) for each in range(200)]
    assert 60 < sum(sides) < 140
    assert is_reported(source("a", "group 1")) == is_reported(source("b", "group 1"))


def test_what_ships_names_methods_and_measured_numbers_of_rows():
    for cell, name in json.loads(CHOICES.read_text()).items():
        assert Method(name) is not Method.AUTO
        assert any(cell.startswith(f"about {rows} rows per class and ") for rows in ROWS_PER_CLASS)
