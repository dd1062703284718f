"""Degenerate data gets a ranking of finite numbers, or a refusal that says what to do; nothing else."""

import json
import math
from dataclasses import astuple

import pytest

from app.errors import ServiceError
from app.metalearning.description import describe
from app.metalearning.recommendation import Question, recommend
from app.metalearning.table import TaskType
from tests.degenerate import Degenerate, degenerate_datasets

CASES = list(degenerate_datasets())


def test_there_are_sixty_of_them():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", [case for case in CASES if case.refusal], ids=lambda case: case.name)
def test_what_nothing_can_be_learned_from_is_refused_with_its_reason(tmp_path, case: Degenerate):
    (tmp_path / "upload").write_bytes(case.content)
    with pytest.raises(ServiceError) as caught:
        describe(tmp_path / "upload", case.declared, 0.2)
    assert (caught.value.code, caught.value.status) == (case.refusal, 422)
    assert caught.value.advice
    json.dumps(caught.value.as_dict(), allow_nan=False)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("case", [case for case in CASES if not case.refusal], ids=lambda case: case.name)
def test_what_can_be_learned_from_gets_a_ranking(tmp_path, knowledge, case: Degenerate):
    (tmp_path / "upload").write_bytes(case.content)
    _, facts = describe(tmp_path / "upload", case.declared, 0.2)
    assert json.loads(json.dumps(facts, allow_nan=False))
    assert set(case.findings) <= {finding["code"] for finding in facts["findings"]}
    task_type = TaskType(facts["task_type"])
    question = Question(task_type, facts["metafeatures"], target_sd=facts["target_sd"])
    answer = recommend(knowledge[task_type], question)
    assert [each.rank for each in answer.candidates] == [1, 2, 3, 4, 5]
    for each in answer.candidates:
        numbers = [*astuple(each.expected)[:3], each.expected_regret, each.fit_cpu_seconds]
        numbers += [each.predict_cpu_seconds_per_1000_rows, each.memory_bytes]
        assert all(map(math.isfinite, numbers)), each
