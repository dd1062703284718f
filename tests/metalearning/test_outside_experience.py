import numpy as np
import pytest

from app.metalearning.experience import FEWEST_METAFEATURES
from app.metalearning.metafeatures import LEARNED, extract
from app.metalearning.table import TaskType
from tests.tables import CLASSIFICATION, mixed_table

TYPICAL = {
    "nr_inst": 500.0,
    "nr_attr": 8.0,
    "nr_num": 6.0,
    "nr_cat": 2.0,
    "missing_share": 0.0,
    "cat_share": 0.25,
}


@pytest.mark.parametrize(
    "metafeatures",
    [
        {},
        dict(list(TYPICAL.items())[: FEWEST_METAFEATURES - 1]),
        TYPICAL | {"missing_share": None},
        TYPICAL | {"nr_inst": 1e8},
        TYPICAL | {"nr_attr": 1e9},
        TYPICAL | {"nr_class": 1e5},
    ],
    ids=["none", "few", "few but gaps", "rows", "columns", "classes"],
)
def test_outside_experience_the_portfolio_answers_and_says_so(ask, metafeatures):
    answer = ask(metafeatures=metafeatures)
    assert answer.outside_experience
    assert answer.strategy == "portfolio"
    assert "portfolio" in answer.explanation
    assert len(answer.candidates) == 5
    asked = ask(metafeatures=metafeatures, strategy="forest")
    assert (asked.strategy, asked.outside_experience) == ("forest", True)


def test_dataset_like_no_other_is_outside_experience(ask, knowledge):
    known = np.nan_to_num(knowledge[CLASSIFICATION].evidence.metafeatures, nan=-np.inf)
    extreme = {
        name: value for name, value in zip(LEARNED, known.max(axis=0), strict=True) if np.isfinite(value)
    }
    assert ask(metafeatures=extreme).outside_experience


def test_typical_upload_is_inside_experience(ask):
    for task_type in TaskType:
        values = extract(mixed_table(task_type, 400), 0).values
        assert not ask(task_type, metafeatures=values).outside_experience


def test_costs_are_finite_whatever_the_size(ask):
    candidates = ask(metafeatures={"nr_inst": 1e9, "nr_attr": 1e9}, k=100).candidates
    assert all(np.isfinite(each.fit_cpu_seconds) for each in candidates)
