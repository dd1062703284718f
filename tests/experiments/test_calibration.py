import json
import time

import pytest

from workers.experiments import calibration


def test_probe_is_taken_once_in_two_minutes_for_all_who_measure(tmp_path, monkeypatch):
    taken = iter([0.2, 0.5])
    monkeypatch.setattr(calibration, "probe_seconds", lambda: next(taken))
    file = tmp_path / "probe.json"
    assert [calibration.recent_probe(file) for _ in range(3)] == [0.2, 0.2, 0.2]
    file.write_text(json.dumps({"at": time.time() - 121, "seconds": 0.2}))
    assert calibration.recent_probe(file) == 0.5
    assert calibration.last_probe(file) == 0.5


def test_clock_that_was_set_back_makes_no_probe_last_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "probe_seconds", lambda: 0.3)
    (tmp_path / "probe.json").write_text(json.dumps({"at": time.time() + 3600, "seconds": 0.1}))
    assert calibration.recent_probe(tmp_path / "probe.json") == 0.3


def test_machine_twice_as_slow_as_the_reference_has_factor_two():
    assert calibration.machine_factor(2 * calibration.REFERENCE_PROBE_SECONDS) == pytest.approx(2)


def test_last_probe_is_none_where_nobody_measured(tmp_path):
    assert calibration.last_probe(tmp_path / "probe.json") is None
