"""A retraining's child: what it learns from, what it proves on, what it writes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from app.errors import LibraryMissingError
from app.metalearning.knowledge import load_knowledge, read
from app.metalearning.learned import LearnedDataset, as_lines
from app.metalearning.promotion import judge
from app.metalearning.table import TaskType
from tests.tables import known_metafeatures
from workers.training import networks, proof, retraining, uncertainty
from workers.training.contract import KNOWLEDGE_FILE, LEARNED_FILE
from workers.training.fitting import prove_all
from workers.training.forests import train

SHIPPED = load_knowledge()[TaskType.REGRESSION].evidence.of(list(range(0, 90, 6)))


def told(row: int, n_scores: int = 6) -> LearnedDataset:
    """A dataset under another row's metafeatures would be none; under its own it is a near-duplicate."""
    scores = {
        name: {"rmse": float(SHIPPED.losses["rmse"][row, place])}
        for place, name in enumerate(SHIPPED.configurations[:n_scores])
    }
    return LearnedDataset(TaskType.REGRESSION, 0, 1.0, known_metafeatures(SHIPPED, row), scores)


def retrain(folder: Path, learned: list[LearnedDataset]) -> tuple[dict, list[dict]]:
    (folder / LEARNED_FILE).write_text(json.dumps(as_lines(learned)))
    messages: list[dict] = []
    payload = {"folder": str(folder), "task_type": "regression", "networks": None}
    return retraining.retrain(payload, messages.append)["report"], messages


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retraining, "load_evidence", lambda _: SHIPPED)
    monkeypatch.setattr(networks, "load", lambda *_: [])  # what ships never saw other folds than these
    monkeypatch.setattr(proof, "N_FOLDS", 3)


def test_it_proves_on_shipped_datasets_alone_and_tells_how_far_it_is(tmp_path: Path) -> None:
    report, messages = retrain(tmp_path, [told(3)])
    assert report["datasets"] == len(SHIPPED.datasets)
    assert set(report["calibration"]) == {"rmse", "mae", "r2", "spearman"}
    assert [(each["done"], each["total"]) for each in messages] == [(done, 3) for done in (0, 1, 2)] * 2
    assert {each["kind"] for each in messages} == {"progress"}
    known = read((tmp_path / KNOWLEDGE_FILE).read_bytes())
    assert known.evidence.datasets == (*SHIPPED.datasets, "learned-1")
    assert known.report == report
    verdict = judge(report, report)
    assert verdict.promoted is (verdict.candidate < verdict.portfolio)


def test_networks_need_the_library_that_trains_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "workers.networks.ranking.fitting", raising=False)
    (tmp_path / LEARNED_FILE).write_text("[]")
    payload = {"folder": str(tmp_path), "task_type": "regression", "networks": str(tmp_path / "kept")}
    with pytest.raises(LibraryMissingError, match="torch") as refused:
        retraining.retrain(payload, lambda _: None)
    assert "deep" in refused.value.advice


def test_the_same_lessons_give_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        retrain(folder, [told(5), told(3)][:: 1 - 2 * number])
        contents.append((folder / KNOWLEDGE_FILE).read_bytes())
    assert contents[0] == contents[1]


def test_a_near_duplicate_of_what_is_held_out_does_not_help(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every shipped dataset is told again in full: whoever peeks ranks perfectly, and it must not show."""
    seen: list[set[str]] = []
    shipped = SHIPPED.of([0, 1, 2, 3, 4, 5])
    monkeypatch.setattr(retraining, "load_evidence", lambda _: shipped)
    trained = proof.hold_out

    def watched(evidence, folds, train, follow, ks=proof.KS):
        def noting(known):
            seen.append(set(known.groups))
            return train(known)

        return trained(evidence, folds, noting, follow, ks)

    monkeypatch.setattr(proof, "hold_out", watched)
    retrain(tmp_path, [told(row) for row in range(6)])
    groups = set(shipped.groups)
    assert len(seen) == 3
    for known in seen:
        assert known < groups
    assert set.intersection(*seen) == set()


def test_told_uncertainty_is_calibrated_for_every_metric() -> None:
    """On random losses nothing can be foretold, and the factors make up for what the posterior believes."""
    random = np.random.default_rng(0)
    folds = [str(row % 3) for row in range(len(SHIPPED.datasets))]
    seen = uncertainty.hold_out(SHIPPED, folds, iter)
    for each in seen.values():
        found = uncertainty.summarise({"": each})[""]
        assert np.mean(each.before[:, 1] <= found["interval"]) == pytest.approx(0.9, abs=0.02)
        assert all(np.isfinite(factor) and factor > 0 for factor in found["after"])
        some = random.choice(len(SHIPPED.datasets), 5, replace=False)
        assert set(each.of(some.tolist()).after[:, 0]) <= set(some)
    report = prove_all(SHIPPED, folds, train, lambda _: iter)
    assert report["calibration"] == uncertainty.summarise(seen)
