"""What the embedded service leaves behind when it ends: nothing."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.deployments import Deployment, wait_until


@pytest.mark.requirement("R7")
@pytest.mark.requirement("R10")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_service_that_ends_takes_its_worker_along(tmp_path: Path, number: signal.Signals, code: int) -> None:
    deployment = Deployment(tmp_path, {}, embedded=True).start()
    started = wait_until(lambda: psutil.Process(deployment.api.pid).children(recursive=True), 30)
    os.kill(deployment.api.pid, number)
    assert deployment.api.wait(timeout=30) == code
    wait_until(lambda: not any(process.is_running() for process in started), 30)
    deployment.client.close()
