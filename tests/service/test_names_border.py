"""What a client calls things is text: it names no file, however it is spelled."""

import sys
import urllib.parse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.errors import TargetNotFoundError
from app.main import create_app
from app.metalearning.columns.declared import Declaration
from app.metalearning.description import describe
from app.store.database import Database
from app.store.migrating import migrate
from tests.service import data

MARK = "canary-7f3a"
SECRET = "nobody may read this"
_OPENED: list[str] = []
_listening = False


def spellings(folder: Path) -> list[str]:
    """Two hundred ways to say "outside", all of them with the mark in the last part."""
    ups = [
        "../",
        "..\\",
        "..%2f",
        "%2e%2e%2f",
        "%252e%252e%252f",
        "..%c0%af",
        "..\u2215",
        "\uff0e\uff0e/",
        "....//",
        "..;/",
    ]
    inside = [f"{up * depth}outside/{MARK}" for up, depth in product(ups, (1, 2, 3, 5, 8, 40))]
    absolute = [
        f"{prefix}{folder}/outside/{MARK}"
        for prefix in (
            "",
            "/",
            "//",
            "file://",
            "file:",
            "\\\\?\\",
            "./",
            " ",
            "\t",
            "~/..",
            "$HOME/../..",
            "\u202e",
        )
    ]
    windows = [
        f"{start}{MARK}{end}"
        for start in ("C:\\", "C:", "\\\\host\\share\\", "\\", "CON\\", "NUL.", "\\\\.\\", "a:b:")
        for end in ("", ".", " ", "::$DATA")
    ]
    endings = [
        f"../outside/{MARK}{end}"
        for end in (
            "\x00",
            "\x00.csv",
            "%00",
            "%00.csv",
            "/",
            "/.",
            "\n",
            "\r\nX-Odd: 1",
            ";",
            "|",
            "`id`",
            "$(id)",
            "'",
            '"',
            "*",
            "?",
            "#",
            "\x7f",
            "\x1b[31m",
        )
    ]
    long = [
        f"{filler * times}../outside/{MARK}"
        for filler, times in product(("a", "a/", "../", "é", "\U0001f600", "./"), (50, 300, 5000))
    ]
    words = [
        f"{word}{MARK}"
        for word in (
            ".",
            "..",
            "-",
            "--",
            "-rf ",
            "_",
            "con.",
            "upload_",
            "table.parquet/",
            "log.txt/",
            "tmp/",
            "metaselect.sqlite/",
            "scratch/",
            "blobs/",
            "{}",
            "%s",
            "%n",
            "{0.__class__}",
            "${jndi:ldap://x}",
            "<script>",
        )
    ]
    rest = [f"{quoted}{MARK}" for quoted in map(urllib.parse.quote_plus, inside[:60])]
    return list(dict.fromkeys([*inside, *absolute, *windows, *endings, *long, *words, *rest]))


def _note(event: str, arguments: tuple) -> None:
    if _listening and event in {
        "open",
        "os.mkdir",
        "os.rename",
        "os.remove",
        "os.link",
        "os.symlink",
        "os.listdir",
        "os.scandir",
        "shutil.copyfile",
        "shutil.move",
        "shutil.rmtree",
        "sqlite3.connect",
    }:
        _OPENED.extend(str(each) for each in arguments if isinstance(each, str | bytes))


sys.addaudithook(_note)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    (folder / "outside").mkdir()
    (folder / "outside" / MARK).write_text(SECRET)
    return folder


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[TestClient]:
    """A service whose reader answers for every file what it said of the first."""
    settings = Settings(data_dir=folder / "data", landmarking_seconds=0)
    migrate(Database(settings).engine)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        describer = client.app.state.service.describer
        read, facts = describer._run, {}

        def repeat(task: Path, declared: object) -> dict:
            assert task.is_relative_to(folder / "data" / "scratch")
            assert {path.name for path in task.iterdir()} == {"upload"}
            if not facts:
                facts.update(read(task, declared))
            (task / "table.parquet").write_bytes(b"a table")
            return facts

        describer._run = repeat
        assert upload(client, "iris.csv").status_code == 201
        yield client


@pytest.fixture(autouse=True)
def _only_the_data_folder_is_touched(folder: Path, api: TestClient) -> Iterator[None]:
    global _listening  # noqa: PLW0603  an audit hook cannot be removed
    before = {path for path in folder.rglob("*") if not path.is_relative_to(folder / "data")}
    _OPENED.clear()
    _listening = True
    yield
    _listening = False
    assert {path for path in folder.rglob("*") if not path.is_relative_to(folder / "data")} == before
    assert (folder / "outside" / MARK).read_text() == SECRET
    assert not [name for name in _OPENED if MARK in name]
    assert not [path for path in folder.rglob("*") if MARK in path.name and path.parent.name != "outside"]


def upload(api: TestClient, filename: str, **fields: str) -> httpx.Response:
    """An upload whose file name is sent as browsers do: quotes and line ends escaped, all else as it is."""
    escaped = filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    parts = [
        *(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ),
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{escaped}"\r\n\r\n',
    ]
    body = "".join(parts).encode() + data.iris() + b"\r\n--b--\r\n"
    form = (
        body
        if "target" in fields
        else b'--b\r\nContent-Disposition: form-data; name="target"\r\n\r\nspecies\r\n' + body
    )
    return api.post("/datasets", content=form, headers={"content-type": "multipart/form-data; boundary=b"})


def test_the_hook_would_notice(folder: Path) -> None:
    (folder / "outside" / MARK).read_text()
    assert any(MARK in name for name in _OPENED)
    _OPENED.clear()


def test_file_name_is_kept_as_text(api: TestClient, folder: Path) -> None:
    ways = spellings(folder)
    assert len(ways) >= 200
    accepted = 0
    for spelled in ways:
        answer = upload(api, spelled)
        assert answer.status_code in {201, 422}, (spelled, answer.text)
        if answer.status_code == 201:
            accepted += 1
            created = answer.json()
            assert MARK not in created["id"]
            assert api.get(f"/datasets/{created['id']}").json()["name"] == created["name"]
            assert len(created["name"]) <= 200
    assert accepted > 150


def test_name_comes_back_as_it_was_given(api: TestClient, folder: Path) -> None:
    for spelled in spellings(folder)[::2]:
        answer = upload(api, "iris.csv", name=spelled)
        if "\x00" in spelled or not 0 < len(spelled) <= 200:
            assert answer.status_code in {201, 422}
        else:
            assert (answer.status_code, answer.json().get("name")) == (201, spelled), spelled


def test_target_names_a_column_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    """Here the reader itself runs, in this process, where its file accesses are noticed."""
    file = tmp_path / "upload"
    file.write_bytes(data.iris())
    for spelled in spellings(folder):
        with pytest.raises(TargetNotFoundError) as refused:
            describe(file, Declaration(spelled), 0.0)
        assert SECRET not in str(refused.value.as_dict())
    assert str(file) in _OPENED


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/datasets/{}"),
        ("DELETE", "/datasets/{}"),
        ("POST", "/jobs/{}/cancel"),
        ("GET", "/models/{}/artifact?format=python"),
        ("GET", "/{}"),
        ("GET", "/static-offline-docs/{}"),
    ],
)
def test_ids_in_addresses_lead_nowhere(api: TestClient, folder: Path, method: str, path: str) -> None:
    for number, spelled in enumerate(spellings(folder)):
        written = urllib.parse.quote(spelled, safe="" if number % 2 else "/%;:")
        address = f"http://testserver{path.format(written)}"
        answer = api.request(method, address, follow_redirects=False)
        assert answer.status_code == 307 or 400 <= answer.status_code < 500, (written, answer.status_code)
        assert SECRET not in answer.text


def test_ids_in_bodies_lead_nowhere(api: TestClient, folder: Path) -> None:
    for spelled in spellings(folder):
        answer = api.post("/jobs", json={"dataset_id": spelled})
        assert answer.status_code in {404, 422}, (spelled, answer.text)
        assert SECRET not in answer.text
