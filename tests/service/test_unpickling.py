"""Nothing that a client supplies is unpickled: not as a file, not as a body, not by any line of the source."""

import ast
import base64
import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.main import create_app
from app.store.database import Database
from app.store.migrating import migrate

ROOT = Path(__file__).parents[2]
MEDIA_TYPES = (
    "application/json",
    "application/octet-stream",
    "application/x-python-serialize",
    "application/x-pickle",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/csv",
)


class Canary:
    """Whoever unpickles this leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (str(self.path), "w"))


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Path]:
    """Where a canary would leave its file; it must not have."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("pickles"), landmarking_seconds=0)
    migrate(Database(settings).engine)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def disguises(canary: Canary) -> dict[str, bytes]:
    """Files that some reader somewhere would unpickle."""
    raw = pickle.dumps(canary)
    return {
        **{f"protocol{number}.pkl": pickle.dumps(canary, number) for number in range(6)},
        "data.csv": raw,
        "data.csv.gz": gzip.compress(raw),
        "cell.csv": b"x,y\n" + b'"' + raw.hex().encode() + b'",' + base64.b64encode(raw) + b"\n",
        "text.csv": b"x,y\n" + pickle.dumps(canary, 0).replace(b"\n", b";") + b",a\n",
        "data.arff": b"@relation r\n@attribute x string\n@data\n" + raw,
        "data.jsonl": json.dumps({"py/reduce": raw.hex(), "__reduce__": raw.hex()}).encode(),
        "between.parquet": b"PAR1" + raw + len(raw).to_bytes(4, "little") + b"PAR1",
        "extension.parquet": _parquet(raw),
        "extension.arrow": _arrow(raw),
        "array.npy": _npy(canary),
        "arrays.npz": _zipped({"x.npy": _npy(canary), "y.npy": _npy(canary)}),
        "model.joblib": b"\x78\x9c" + raw,
        "model.pt": _zipped({"archive/data.pkl": raw, "archive/version": b"3"}),
        "model.skops": _zipped({"schema.json": _skops_schema(), "0.pkl": raw}),
        "frame.xlsx": _zipped({"xl/vbaProject.bin": raw}),
        "store.yaml": b"!!python/object/apply:builtins.open ['" + str(canary.path).encode() + b"', 'w']",
    }


def _extension(raw: bytes) -> pa.Schema:
    """How pyarrow < 14 came to unpickle (CVE-2023-47248): the metadata of an extension type."""
    metadata = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": raw}
    return pa.schema([pa.field("x", pa.int64(), metadata=metadata), pa.field("y", pa.string())])


def _table(raw: bytes) -> pa.Table:
    columns = [list(range(60)), ["a", "b"] * 30]
    described = _extension(raw).with_metadata({b"pandas": raw, b"pickle": raw})
    return pa.table(columns, schema=described)


def _parquet(raw: bytes) -> bytes:
    buffer = io.BytesIO()
    pa.parquet.write_table(_table(raw), buffer)
    return buffer.getvalue()


def _arrow(raw: bytes) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, _table(raw).schema) as writer:
        writer.write(_table(raw))
    return buffer.getvalue()


def _npy(canary: Canary) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([canary], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _skops_schema() -> str:
    node = {"__class__": "open", "__module__": "builtins", "__loader__": "ObjectNode", "__id__": 1}
    return json.dumps({**node, "content": {"file": "0.pkl"}, "protocol": 2, "_skops_version": "0.11"})


def test_canary_does_leave_a_file_where_it_is_unpickled(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / str(number)
        pickle.loads(pickle.dumps(Canary(path), number)).close()
        assert path.exists()
    array = tmp_path / "array"
    np.load(io.BytesIO(_npy(Canary(array))), allow_pickle=True)[0].close()
    assert array.exists()


@pytest.mark.parametrize("path", ["/datasets", "/recommend"])
def test_pickle_in_any_disguise_stays_a_file(api: TestClient, nest: Path, path: str) -> None:
    for name, content in disguises(Canary(nest)).items():
        answer = api.post(path, files={"file": (name, content)}, data={"target": "y"})
        expected = {200, 201, 422} if name.startswith("extension") else {422}
        assert answer.status_code in expected, (name, answer.text)
        assert not nest.exists(), name


def test_pickle_in_the_fields_of_a_form_stays_text(api: TestClient, nest: Path) -> None:
    text = pickle.dumps(Canary(nest), 0).decode()
    table = "x,y\n" + "1,a\n2,b\n" * 30
    for field in ("target", "name", "task_type", "metric", "file"):
        fields = {"target": "y", field: text}
        answer = api.post("/recommend", files={"file": (text, table)}, data=fields)
        assert answer.status_code < 500, (field, answer.text)


def test_pickle_as_the_body_of_any_operation_stays_bytes(api: TestClient, nest: Path) -> None:
    bodies = [
        pickle.dumps(Canary(nest)),
        pickle.dumps(Canary(nest), 0),
        json.dumps({"dataset_id": pickle.dumps(Canary(nest), 0).decode()}).encode(),
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + pickle.dumps(Canary(nest))
        + b"\r\n--b--",
    ]
    operations = [
        (method, path.replace("{", "").replace("}", ""))
        for path, methods in api.app.openapi()["paths"].items()
        for method in methods
        if method in {"post", "put", "patch", "delete"}
    ]
    assert {path for _, path in operations} >= {"/recommend", "/datasets", "/jobs"}
    for method, path in operations:
        for kind in MEDIA_TYPES:
            for body in bodies:
                answer = api.request(method, path, content=body, headers={"content-type": kind})
                assert 400 <= answer.status_code < 500, (method, path, kind, answer.text)
                assert not nest.exists(), (method, path, kind)


def test_pickle_in_addresses_and_headers_stays_text(api: TestClient, nest: Path) -> None:
    text = base64.b64encode(pickle.dumps(Canary(nest))).decode()
    for cookie_or_header in (
        "cookie",
        "authorization",
        "x-data",
        "idempotency-key",
        "if-none-match",
        "last-event-id",
    ):
        assert api.get("/jobs", headers={cookie_or_header: text}).status_code < 500
    assert api.get("/jobs", params={"cursor": text}).status_code == 422


FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "joblib",
    "cloudpickle",
    "dill",
    "shelve",
    "marshal",
    "jsonpickle",
}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "__import__",
    "read_pickle",
    "unsafe_load",
    "full_load",
    "recv",
    "PyExtensionType",
}


def unpickling(source: str) -> list[str]:
    """What in a source file loads, or could load, code from data."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.split(".")[0] in FORBIDDEN_MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.append(str(node.module))
        if isinstance(node, ast.Call):
            found += _suspicious(node)
    return found


def _suspicious(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    last = name.rsplit(".", 1)[-1]
    given = {each.arg: ast.unparse(each.value) for each in call.keywords}
    if last in FORBIDDEN_CALLS:
        return [name]
    if name in {"np.load", "numpy.load", "np.lib.format.read_array"} and given.get("allow_pickle") != "False":
        return [name]
    if name.startswith("torch.") and last == "load" and given.get("weights_only") != "True":
        return [name]
    if name.startswith("yaml.") and last == "load":
        return [name]
    if (last in {"load", "loads"} and "skops" in name) or name in {"sio.load", "sio.loads"}:
        return [f"{name} trusted={given.get('trusted')}"]
    return []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import os, joblib",
        "from cloudpickle import loads",
        "from joblib.numpy_pickle import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
        "builtins.exec(text)",
        "pd.read_pickle(path)",
        "torch.load(path)",
        "pipe.recv()",
        "skops.io.load(path, trusted=names)",
    ],
)
def test_source_check_sees_what_unpickles(line: str) -> None:
    assert unpickling(f"def f():\n    {line}\n")


def test_source_unpickles_nothing_and_loads_models_only_where_that_is_expected() -> None:
    files = [path for folder in ("app", "workers", "migrations") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 60
    found = {str(path.relative_to(ROOT)): unpickling(path.read_text()) for path in files}
    expected = ["skops.io.load trusted=card['artifact']['trusted_types']"]
    assert {path: calls for path, calls in found.items() if calls} == {
        "workers/experiments/artifacts.py": expected
    }
