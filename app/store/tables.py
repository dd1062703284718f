"""The tables. Times are seconds since 1970 by the database's clock; ids sort by creation."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.store.database import now

Json = JSON().with_variant(JSONB(), "postgresql")


def _index_where(condition: str, name: str, *columns: str) -> Index:
    """An index of the rows that fulfil the condition: small, and no use to queries about the others."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


class Base(DeclarativeBase):
    """Every constraint has a name, so that migrations can change it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: Json, list[Any]: Json, float: Double(), str: String(255)}  # noqa: RUF012


class Blob(Base):
    """Bytes by their SHA-256: datasets, out-of-fold predictions, models."""

    __tablename__ = "blobs"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[float] = mapped_column(default=now())


class BlobChunk(Base):
    """A piece of a blob, so that no statement carries more than a megabyte."""

    __tablename__ = "blob_chunks"

    hash: Mapped[str] = mapped_column(ForeignKey("blobs.hash", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Dataset(Base):
    """A table that somebody sent, typed and described; what an erased one keeps is said in `erasing`."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    content_hash: Mapped[str | None] = mapped_column(ForeignKey("blobs.hash"), index=True)
    contribute: Mapped[bool] = mapped_column(
        default=True
    )  # whether scores measured on it may join the evidence
    target: Mapped[str] = mapped_column(Text)
    task_type: Mapped[str]
    n_rows: Mapped[int]
    classes: Mapped[list[Any]]
    target_sd: Mapped[float | None]
    columns: Mapped[list[Any]]
    reading: Mapped[dict[str, Any]]
    findings: Mapped[list[Any]]
    metafeatures: Mapped[dict[str, Any]]
    metafeature_version: Mapped[int]
    metafeature_seconds: Mapped[dict[str, Any]]
    absent_metafeatures: Mapped[list[Any]]
    created_at: Mapped[float] = mapped_column(default=now())
    used_at: Mapped[float] = mapped_column(default=now(), index=True)  # when it came, or its newest job began
    deleted_at: Mapped[float | None]
    expired_at: Mapped[float | None]


class MetaDataset(Base):
    """A meta-dataset that somebody imported: performances of algorithms, and what was learned from them."""

    __tablename__ = "meta_datasets"
    __table_args__ = (Index("uq_meta_datasets_owner_name", "owner", "name", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    content_hash: Mapped[str] = mapped_column(ForeignKey("blobs.hash"), index=True)
    summary: Mapped[dict[str, Any]]
    created_at: Mapped[float] = mapped_column(default=now())

    @property
    def version(self) -> str:
        """Of the content, as recommendations quote it."""
        return self.content_hash[:12]


class Recommendation(Base):
    """A ranking given to somebody, with what was asked."""

    __tablename__ = "recommendations"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    meta_dataset_id: Mapped[str | None] = mapped_column(index=True)  # where it rests on an imported one
    request: Mapped[dict[str, Any]]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[float] = mapped_column(default=now())


KINDS = VERIFICATION, MEASUREMENT, SEARCH, RETRAINING, PREDICTION, FEW_SHOT = (
    "verification",
    "measurement",
    "search",
    "retraining",
    "prediction",
    "few-shot",
)
STACKED = (VERIFICATION, SEARCH)  # those that stack what they measured, and leave a model


class Job(Base):
    """Work that somebody asked for. Its status ends as succeeded, failed or cancelled and then never changes."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_owner_id", "owner", "id"),  # a page of an owner's jobs, newest first
        Index("ix_jobs_status_kind", "status", "kind"),
        _index_where("kind = 'retraining'", "ix_jobs_retraining", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    phase: Mapped[str]
    dataset_id: Mapped[str | None] = mapped_column(
        ForeignKey("datasets.id"), index=True
    )  # none of a retraining, nor where few rows are learned from
    recommendation_id: Mapped[str | None] = mapped_column(ForeignKey("recommendations.id"), index=True)
    request: Mapped[dict[str, Any]]
    origin: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of the request: its id and its trace
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    cancel_requested_at: Mapped[float | None]
    time_budget_seconds: Mapped[float]
    deadline: Mapped[float | None]
    version: Mapped[int] = mapped_column(default=0)  # the position of its newest event
    created_at: Mapped[float] = mapped_column(default=now())
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class JobEvent(Base):
    """A change of a job that somebody may watch for; positions of a job are 1, 2, 3, … in the order of commits."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[float] = mapped_column(default=now())


class Task(Base):
    """A unit of labour that one worker claims at a time; `attempt` fences off workers that lost their lease."""

    __tablename__ = "tasks"
    __table_args__ = (
        _index_where("status = 'queued'", "ix_tasks_queued", "queue", "priority", "owner", "kind", "id"),
        _index_where("status = 'running'", "ix_tasks_running", "queue", "priority", "owner"),
        _index_where("started_at IS NOT NULL", "ix_tasks_served", "queue", "owner", "started_at"),
        _index_where("started_at IS NOT NULL", "ix_tasks_begun", "queue", "priority", "started_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    owner: Mapped[str]
    priority: Mapped[int]  # interactive work before long, see `fairness`
    kind: Mapped[str]
    queue: Mapped[str]
    status: Mapped[str]
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[float] = mapped_column(default=0.0)
    lease_expires_at: Mapped[float | None]
    worker: Mapped[str | None]
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[dict[str, Any] | None]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class Experiment(Base):
    """One configuration cross-validated inside a job: what was measured, or why nothing could be."""

    __tablename__ = "experiments"
    __table_args__ = (Index("uq_experiments_job_configuration", "job_id", "configuration", unique=True),)

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    configuration: Mapped[str]
    fingerprint: Mapped[str]
    # Of a search: its number, where it came from, and what it consists of, since the portfolio may not hold it.
    trial: Mapped[dict[str, Any] | None]
    outcome: Mapped[str | None]
    result: Mapped[dict[str, Any] | None]
    predictions_hash: Mapped[str | None] = mapped_column(ForeignKey("blobs.hash"), index=True)


class Evaluation(Base):
    """One configuration measured on one dataset under one protocol: evidence for the next recommendation."""

    __tablename__ = "evaluations"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.task_id"), primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    configuration: Mapped[str]
    fingerprint: Mapped[str]
    protocol: Mapped[int]
    status: Mapped[str]
    result: Mapped[dict[str, Any]]
    created_at: Mapped[float] = mapped_column(default=now())


class EvaluationSource(Base):
    """Where an owner's reported evaluations were measured; nothing is learned from them until an operator trusts it."""

    __tablename__ = "evaluation_sources"
    __table_args__ = (Index("uq_evaluation_sources_owner_name", "owner", "name", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    trusted_at: Mapped[float | None]
    created_at: Mapped[float] = mapped_column(default=now())


class EvaluationReport(Base):
    """Evaluations of one dataset that were measured elsewhere."""

    __tablename__ = "evaluation_reports"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    source_id: Mapped[str] = mapped_column(ForeignKey("evaluation_sources.id"), index=True)
    task_type: Mapped[str]
    dataset: Mapped[dict[str, Any]]  # its description: metafeatures, number of classes, the target's spread
    evaluations: Mapped[list[Any]]
    n_evaluations: Mapped[int]
    provenance: Mapped[dict[str, Any]]
    created_at: Mapped[float] = mapped_column(default=now())


class MetaLearner(Base):
    """Meta-learners of one task type that a retraining fitted, and the judgement on them.

    Withdrawn ones rest on reports that are trusted no more: their content is gone.
    """

    __tablename__ = "meta_learners"

    id: Mapped[str] = mapped_column(primary_key=True)
    task_type: Mapped[str] = mapped_column(index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    snapshot: Mapped[str] = mapped_column(String(64))  # hash of all that it was fitted on
    shipped: Mapped[str]  # version of the shipped part of that
    n_datasets: Mapped[int]  # beside the shipped ones
    n_evaluations: Mapped[int]  # that there were to learn from
    reports: Mapped[list[Any]]  # ids of the reports that it rests on
    content_hash: Mapped[str | None] = mapped_column(ForeignKey("blobs.hash"), index=True)
    proof: Mapped[dict[str, Any]]
    verdict: Mapped[dict[str, Any]]
    created_at: Mapped[float] = mapped_column(default=now())
    withdrawn_at: Mapped[float | None]


class Promotion(Base):
    """A change of what answers for a task type; the newest says what does."""

    __tablename__ = "promotions"
    __table_args__ = (Index("ix_promotions_task_type_id", "task_type", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    task_type: Mapped[str]
    meta_learner_id: Mapped[str | None] = mapped_column(ForeignKey("meta_learners.id"))  # none: what ships
    replaced_id: Mapped[str | None] = mapped_column(ForeignKey("promotions.id"))  # where a roll-back leads
    because: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=now())


class Model(Base):
    """The fitted winner of a job, its card and the script that makes it again."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    card: Mapped[dict[str, Any]]
    script: Mapped[str] = mapped_column(Text)
    artifact_hash: Mapped[str] = mapped_column(ForeignKey("blobs.hash"), index=True)
    onnx_hash: Mapped[str | None] = mapped_column(
        ForeignKey("blobs.hash"), index=True
    )  # where it converts; the card says why not
    created_at: Mapped[float] = mapped_column(default=now())


class Prediction(Base):
    """What a job predicts from, a model's or a few-shot one, and what it predicted, as long as either is kept."""

    __tablename__ = "predictions"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    model_id: Mapped[str | None] = mapped_column(index=True)  # may be erased since; none of a few-shot job
    input_hash: Mapped[str | None] = mapped_column(ForeignKey("blobs.hash"), index=True)  # until the job ends
    output_hash: Mapped[str | None] = mapped_column(ForeignKey("blobs.hash"), index=True)
    kept_until: Mapped[float | None] = mapped_column(index=True)


class Worker(Base):
    """A worker process, seen alive at its last heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    queue: Mapped[str]
    slots: Mapped[int]
    device: Mapped[str] = mapped_column(server_default="cpu")  # that its children compute on
    started_at: Mapped[float] = mapped_column(default=now())
    seen_at: Mapped[float] = mapped_column(default=now(), index=True)


class Webhook(Base):
    """An address that is told of the end of its owner's jobs, and the secret that signs what it is told."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[Any]]
    description: Mapped[str]
    secret: Mapped[str]
    previous_secret: Mapped[str | None]  # signs beside the new one for a while after it was rotated
    rotated_at: Mapped[float | None]
    created_at: Mapped[float] = mapped_column(default=now())
    not_before: Mapped[float] = mapped_column(default=0.0)  # when it may be sent to again, see `deliveries`
    disabled_at: Mapped[float | None]  # when the receiver said that it is gone for good


class Delivery(Base):
    """A message to a webhook, the same at every attempt; `attempt` fences off workers that lost their lease."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("uq_deliveries_webhook_id_job_id", "webhook_id", "job_id", unique=True),  # a job ends once
        _index_where("status = 'pending'", "ix_deliveries_pending", "webhook_id", "next_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))  # none where it is a test
    event: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str]
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)  # attempts that failed since the sending was asked for
    next_at: Mapped[float] = mapped_column(default=now())
    lease_expires_at: Mapped[float | None]
    response_status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(default=now())
    finished_at: Mapped[float | None] = mapped_column(index=True)


class Counter(Base):
    """How often something happened, by all workers that ever were: the sum over the shards, see `counters`."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float]


class IdempotencyKey(Base):
    """A key that somebody sent with a request: who carries the request out, or what was answered, until it expires."""

    __tablename__ = "idempotency_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of owner and key
    owner: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(
        String(64)
    )  # SHA-256 of the request; empty once the answer was erased
    attempt: Mapped[str] = mapped_column(String(32))  # fences off requests that took longer than they may
    subject_id: Mapped[str | None] = mapped_column(index=True)  # what the answer quotes, and is erased with
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[float] = mapped_column(index=True)
