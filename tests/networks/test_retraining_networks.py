"""Networks trained by a retraining: proven without each fold, and not trained twice where a worker was lost."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from app.metalearning.knowledge import read  # noqa: E402
from app.metalearning.learned import as_lines  # noqa: E402
from tests.training.test_retraining import SHIPPED, told  # noqa: E402
from workers.networks.ranking import fitting  # noqa: E402
from workers.training import proof, retraining  # noqa: E402
from workers.training.contract import KNOWLEDGE_FILE, LEARNED_FILE  # noqa: E402

pytestmark = pytest.mark.deep

N_STEPS = 60


class LostError(Exception):
    """The worker is gone."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = {
        name: dataclasses.replace(plan, steps=N_STEPS, keep_every=20) for name, plan in fitting.PLANS.items()
    }
    monkeypatch.setattr(fitting, "PLANS", plans)
    monkeypatch.setattr(retraining, "load_evidence", lambda _: SHIPPED)
    monkeypatch.setattr(proof, "N_FOLDS", 2)


def retrained(folder: Path, kept: Path, lost_after: int | None = None) -> tuple[dict, list[dict]]:
    """The answer of a retraining's child, and what it told of training, unless it is lost then."""
    folder.mkdir()
    (folder / LEARNED_FILE).write_text(json.dumps(as_lines([told(3)])))
    messages: list[dict] = []

    def report(message: dict) -> None:
        if "training" in message["phase"]:
            messages.append(message)
            if len(messages) == lost_after:
                raise LostError

    payload = {"folder": str(folder), "task_type": "regression", "networks": str(kept)}
    return retraining.retrain(payload, report), messages


def test_a_lost_retraining_goes_on_to_the_same_networks(tmp_path: Path) -> None:
    whole, course = retrained(tmp_path / "1", tmp_path / "kept1")
    n_rounds = 1 + proof.N_FOLDS
    assert {name: len(losses) for name, losses in whole["losses"].items()} == dict.fromkeys(
        fitting.PLANS, retraining.N_LOSSES
    )
    assert len(course) == n_rounds * len(fitting.PLANS) * 3  # steps 0, 25 and 50
    assert course[-1]["phase"].endswith(f"round {n_rounds} of {n_rounds}")
    assert {each["total"] for each in course} == {N_STEPS}

    with pytest.raises(LostError):
        retrained(tmp_path / "2", tmp_path / "kept2", lost_after=len(fitting.PLANS) * 3 + 2)
    again, rest = retrained(tmp_path / "3", tmp_path / "kept2")
    assert len(rest) < len(course) - len(fitting.PLANS) * 3  # the first round was over
    assert again == whole
    contents = [(tmp_path / number / KNOWLEDGE_FILE).read_bytes() for number in ("1", "3")]
    assert contents[0] == contents[1]
    networks = read(contents[0]).learners["surrogate"]
    assert np.array_equal(networks.scale.known, read(contents[0]).evidence.metafeatures, equal_nan=True)
