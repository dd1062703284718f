"""Run every example of README.md anew, against a service of its own: python scripts/write_readme_examples.py.

An example is a code block that begins with `$ `; what follows is its output, as long as it was before. Ids in commands become
those that the examples before have printed: the newest of their kind. The block after "`make recommend` prints" is that
command's. Run it in an environment that is set up (`make setup`), on a machine that does little else.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from sklearn.datasets import load_iris

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "README.md"
URL = "http://127.0.0.1:8000"
_EXAMPLE = re.compile(r"(?<=```\n)\$ (?P<command>[^\n]*)\n(?P<output>.*?)(?=```)", re.DOTALL)
_RECOMMEND = re.compile(r"(?<=`make recommend` prints:\n\n```\n).*?(?=```)", re.DOTALL)
_ID = re.compile(r"\b(job|model|ds|rec)_[0-9a-f]{24}\b")
_MORE = " …"
_POLLS, _POLL_SECONDS = 600, 0.5


def main() -> None:
    """Write the page with the outputs of today."""
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_iris(folder / "iris.csv")
        service = subprocess.Popen([_binary("metaselect"), "serve", "--data-dir", "data"], cwd=folder)
        try:
            _wait_for_service()
            page = _Examples(folder).rewrite(page)
            page = _RECOMMEND.sub(lambda _: _recommend(folder), page)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(30)
    PAGE.write_text(page)


class _Examples:
    """The examples in their order, which share a folder and the ids that the service gave."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._newest: dict[str, str] = {}

    def rewrite(self, page: str) -> str:
        """The page with every example run."""
        return _EXAMPLE.sub(self._run, page)

    def _run(self, example: re.Match[str]) -> str:
        command = _ID.sub(lambda found: self._newest.get(found[1], found[0]), example["command"])
        if re.search(r"/jobs/job_\w+'?$", command):
            self._wait_for_job()
        print(f"$ {command}", flush=True)
        path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        output = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env={**os.environ, "PATH": path},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        accepted = self._folder / "accepted.json"
        told = output + (accepted.read_text() if "accepted.json" in command else "")
        self._newest |= {found[1]: found[0] for found in _ID.finditer(told)}
        before = example["output"].rstrip("\n")
        if before.endswith(_MORE):
            output = output[: len(before) - len(_MORE)] + _MORE
        return f"$ {command}\n{output.rstrip()}\n"

    def _wait_for_job(self) -> None:
        for _ in range(_POLLS):
            job = httpx.get(f"{URL}/jobs/{self._newest['job']}").json()
            if job["status"] not in ("queued", "running"):
                if job["result"]:
                    self._newest["model"] = job["result"]["model_id"]
                return
            time.sleep(_POLL_SECONDS)
        sys.exit("The example's job did not end.")


def _recommend(folder: Path) -> str:
    """What `make recommend` prints on a terminal of 80 columns."""
    print("make recommend", flush=True)
    shutil.rmtree(folder / "data", ignore_errors=True)
    printed = subprocess.run(
        [_binary("metaselect"), "recommend", "--example", "--out", "out"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join(line for line in lines if line) + "\n"


def _write_iris(path: Path) -> None:
    iris = load_iris()
    rows = (
        f"{','.join(map(str, values))},{label}\n"
        for values, label in zip(iris.data, iris.target, strict=True)
    )
    path.write_text("a,b,c,d,species\n" + "".join(rows))


def _wait_for_service() -> None:
    for _ in range(_POLLS):
        try:
            if httpx.get(f"{URL}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass  # nobody listens yet
        time.sleep(_POLL_SECONDS)
    sys.exit("The service did not begin.")


def _binary(name: str) -> str:
    return str(ROOT / ".venv" / "bin" / name)


if __name__ == "__main__":
    main()
