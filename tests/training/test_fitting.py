import json
from pathlib import Path

from app.metalearning.metadataset import load_evidence
from app.metalearning.metalearners.trained import Trained
from app.metalearning.table import TaskType
from workers.training import fitting


def test_fitted_metalearners_are_written_with_their_proof(monkeypatch, tmp_path: Path):
    few = {task_type: load_evidence(task_type).of(list(range(9))) for task_type in TaskType}
    monkeypatch.setattr(fitting, "compile_evidence", lambda task_type, _: few[task_type])
    report = fitting.fit_metalearners(tmp_path)
    assert json.loads((tmp_path / "meta-learners.json").read_text()) == report
    for task_type in TaskType:
        trained = Trained.load(tmp_path / f"trained-{task_type}.npz")
        assert trained.forest.leaves.shape == trained.level.leaves.shape == (9, 20)
        assert report[task_type]["datasets"] == 9
        assert report[task_type]["configurations"] == list(few[task_type].configurations)
        assert len(report[task_type]["advantage_sd"]) == len(few[task_type].configurations)
        assert report[task_type]["interval_factor"] > 0
