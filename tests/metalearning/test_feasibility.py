from dataclasses import fields, replace

import pytest

from app.metalearning.portfolio import ALGORITHMS, Requirements, Size

ORDINARY = Size(rows=800, columns=20, classes=3, smallest_class=100)


def why_not(requirements: Requirements, size: Size = ORDINARY, *, gpu: bool = False) -> str | None:
    return requirements.why_not(size, gpu=gpu)


def test_everything_but_what_needs_a_gpu_runs_on_an_ordinary_dataset():
    refused = {name for name, each in ALGORITHMS.items() if why_not(each.requirements)}
    assert refused == {"realmlp", "tabm"}
    assert not any(why_not(each.requirements, gpu=True) for each in ALGORITHMS.values())


@pytest.mark.parametrize(
    ("requirements", "size", "reason"),
    [
        (Requirements(most_rows=800), {"rows": 801}, "more than 800 rows"),
        (Requirements(most_columns=20), {"columns": 21}, "more than 20 columns"),
        (Requirements(most_classes=3), {"classes": 4}, "more than 3 classes"),
        (Requirements(fewest_rows_per_class=100), {"smallest_class": 99}, "at least 100 rows of every class"),
        (
            Requirements(more_rows_per_class_than_columns=True),
            {"smallest_class": 20},
            "more rows of every class than there are columns",
        ),
    ],
    ids=str,
)
def test_a_limit_holds_from_the_first_value_beyond_it(requirements, size, reason):
    assert why_not(requirements) is None
    assert reason in why_not(requirements, replace(ORDINARY, **size))


@pytest.mark.parametrize(
    ("requirements", "reason"),
    [
        (Requirements(gpu=True), "needs a GPU"),
        (Requirements(licence="CC-BY-NC-4.0"), "its licence CC-BY-NC-4.0 is not permissive"),
        (Requirements(weights="a hub"), "needs trained weights from a hub"),
    ],
    ids=str,
)
def test_what_the_machine_or_the_law_lacks_excludes(requirements, reason):
    assert why_not(requirements) == reason


def test_what_is_not_known_of_a_dataset_excludes_nothing():
    strictest = Requirements(1, 1, 1, 10, more_rows_per_class_than_columns=True)
    assert why_not(strictest, Size()) is None
    assert all(field.default is None for field in fields(Size))
