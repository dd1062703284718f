"""Every setting, in one frozen object; nothing else reads the environment."""

import os
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings come from environment variables of the same name in capitals.

    Without any, the service runs embedded: SQLite in `data_dir`, one worker process beside the API, no broker.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    data_dir: Path = Field(
        default=Path("data"), description="Folder for the SQLite database and scratch files."
    )
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL; postgresql+psycopg://... turns on distributed mode."
    )
    redis_url: str | None = Field(default=None, description="Broker of the Celery workers, redis://...")
    upload_bytes: int = Field(default=256 << 20, gt=0, description="Most bytes that an upload may have.")
    json_bytes: int = Field(default=16 << 20, gt=0, description="Most bytes of any other request body.")
    spool_bytes: int = Field(default=2 << 30, gt=0, description="Most bytes of all bodies in progress.")
    body_seconds: float = Field(default=600.0, gt=0, description="Time for one request body to arrive.")
    idle_seconds: float = Field(default=20.0, gt=0, description="Longest pause within a request body.")
    read_seconds: float = Field(default=60.0, gt=0, description="Time to read and describe one upload.")
    read_cpu_seconds: int = Field(default=60, gt=0, description="CPU time for the same, of all threads.")
    table_bytes: int = Field(default=2 << 30, gt=0, description="Most bytes of a file that reading writes.")
    landmarking_seconds: float = Field(default=3.0, ge=0, description="Time for landmarkers within that.")
    memory_bytes: int = Field(default=4 << 30, gt=0, description="Most memory of one child process.")
    worker_queue: str = Field(
        default="cpu", pattern="^(cpu|gpu)$", description="The queue that a worker serves."
    )
    worker_device: str = Field(
        default="auto",
        pattern="^(auto|cpu)$",
        description="What a worker of the queue gpu computes on: the GPUs that there are, or the CPU all the same.",
    )
    worker_slots: int = Field(
        default=2,
        gt=0,
        description="Child processes that an embedded worker runs; on GPUs, one for each at most.",
    )
    lease_seconds: float = Field(default=10.0, gt=0, description="How long a silent worker keeps its task.")
    poll_seconds: float = Field(default=0.2, gt=0, description="How often an embedded worker looks for work.")
    reconcile_seconds: float = Field(default=2.0, gt=0, description="How often lost work is looked for.")
    watchers: int = Field(
        default=200, gt=0, description="Clients that one API process lets wait for changes of jobs at a time."
    )
    webhook_networks: str = Field(
        default="",
        description="Private networks that webhooks may be in, like 10.1.0.0/16,fd00::/8; none by default.",
    )
    webhook_senders: int = Field(
        default=2, ge=0, description="Deliveries to webhooks at a time; 0 leaves them to other workers."
    )
    retention_days: float = Field(
        default=30.0,
        ge=0,
        le=36_500,
        allow_inf_nan=False,
        description="Days from upload or last job until a dataset is erased; 0 keeps it for ever.",
    )
    operator_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What operators send to trust sources of evaluations and to roll meta-learners back.",
    )
    reported_evaluations: int = Field(
        default=10_000, ge=0, description="Most evaluations that one owner may report."
    )
    retrain_after: int = Field(
        default=100,
        ge=0,
        description="So many new evaluations begin a retraining of the meta-learners; 0 leaves it to requests.",
    )
    failpoints_dir: Path | None = Field(
        default=None, description="For tests alone: the folder whose files arm failpoints."
    )
    otlp_endpoint: str | None = Field(
        default=None, description="OpenTelemetry collector for traces, http://host:4318; none without."
    )
    log_format: str = Field(
        default="text", pattern="^(text|json)$", description="Log lines for people or machines."
    )

    @cached_property
    def sqlalchemy_url(self) -> str:
        """The database to use."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'metaselect.sqlite').resolve()}"

    @property
    def embedded(self) -> bool:
        """Whether workers poll the database because there is no broker to ring them."""
        return self.redis_url is None

    def as_environment(self) -> dict[str, str]:
        """This process's environment with these settings, for a child process that reads its own."""
        given = {
            name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in self.model_dump().items()
            if value is not None
        }
        return {**os.environ, **given}

    @cached_property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The private networks that webhooks may be in."""
        return tuple(ip_network(each.strip()) for each in self.webhook_networks.split(",") if each.strip())

    @field_validator("webhook_networks")
    @classmethod
    def _names_networks(cls, given: str) -> str:
        for each in filter(str.strip, given.split(",")):
            ip_network(each.strip())
        return given

    @property
    def scratch_dir(self) -> Path:
        """Where uploads and tasks in progress keep their files; nothing here outlives its task."""
        return self.data_dir / "scratch"

    @property
    def cache_dir(self) -> Path:
        """Where a worker keeps blobs that it fetched, by hash."""
        return self.data_dir / "cache"


def pin_threads(threads: int = 1) -> None:
    """Fix the threads of every numeric library, before the first of them is imported.

    Passive waiting matters as much: spinning OpenMP threads slow each other down a hundredfold on a busy machine.
    """
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
