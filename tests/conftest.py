"""Servers, databases and deployments that tests share."""

from app.config import pin_threads

pin_threads()

import secrets  # noqa: E402  threads are fixed before any numeric library loads
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from app.config import Settings  # noqa: E402
from app.store.database import Database  # noqa: E402
from app.store.migrating import migrate  # noqa: E402
from tests import servers  # noqa: E402
from tests.deployments import Deployment  # noqa: E402

OPERATOR_KEY = "the key of the tests"
# Short leases, so that tests of dead workers need not wait long; receivers of webhooks are on this machine.
_FAST = {
    "LEASE_SECONDS": "3",
    "RECONCILE_SECONDS": "0.5",
    "LANDMARKING_SECONDS": "1",
    "WEBHOOK_NETWORKS": "127.0.0.0/8",
    "OPERATOR_KEY": OPERATOR_KEY,
    "RETRAIN_AFTER": "0",  # a retraining is minutes of computing; who tests it asks for it
}


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    # Not below pytest's own folder: the server's user must be able to reach it.
    prefix = "metaselect-postgres-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, servers.postgres_server(Path(folder)) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    prefix = "metaselect-redis-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, servers.redis_server(Path(folder)) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with a fresh, migrated database of either kind."""
    url = None
    if request.param == "postgres":
        url = servers.create_database(request.getfixturevalue("postgres_url"), secrets.token_hex(8))
    settings = Settings(data_dir=tmp_path, database_url=url)
    database = Database(settings)
    migrate(database.engine)
    database.engine.dispose()
    return settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    yield database
    database.engine.dispose()


@pytest.fixture(scope="session", params=["embedded", "distributed"])
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The whole service as processes."""
    environment = dict(_FAST)
    if request.param == "distributed":
        environment["DATABASE_URL"] = servers.create_database(
            request.getfixturevalue("postgres_url"), secrets.token_hex(8)
        )
        environment["REDIS_URL"] = request.getfixturevalue("redis_url")
    deployment = Deployment(
        tmp_path_factory.mktemp(request.param), environment, embedded=request.param == "embedded"
    ).start()
    yield deployment
    deployment.stop()
