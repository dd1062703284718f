"""predictions of models; models as ONNX."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_HASH = sa.String(length=64)


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("task_id", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.String(length=255), nullable=False),
        sa.Column("model_id", sa.String(length=255), nullable=False),
        sa.Column("input_hash", _HASH, nullable=True),
        sa.Column("output_hash", _HASH, nullable=True),
        sa.Column("kept_until", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_predictions_task_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_predictions_job_id")),
        sa.ForeignKeyConstraint(["input_hash"], ["blobs.hash"], name=op.f("fk_predictions_input_hash")),
        sa.ForeignKeyConstraint(["output_hash"], ["blobs.hash"], name=op.f("fk_predictions_output_hash")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_predictions")),
        sa.UniqueConstraint("job_id", name=op.f("uq_predictions_job_id")),
    )
    for column in ("model_id", "input_hash", "output_hash", "kept_until"):
        op.create_index(op.f(f"ix_predictions_{column}"), "predictions", [column], unique=False)
    with op.batch_alter_table("models") as models:
        models.add_column(sa.Column("onnx_hash", _HASH, nullable=True))
        models.create_foreign_key(op.f("fk_models_onnx_hash"), "blobs", ["onnx_hash"], ["hash"])
        models.create_index(op.f("ix_models_onnx_hash"), ["onnx_hash"], unique=False)


def downgrade() -> None:
    # Only what nothing else refers to is removed: an earlier version would never find it again.
    op.execute(
        "CREATE TEMPORARY TABLE forgotten AS "
        "SELECT input_hash AS hash FROM predictions WHERE input_hash IS NOT NULL "
        "UNION SELECT output_hash FROM predictions WHERE output_hash IS NOT NULL "
        "UNION SELECT onnx_hash FROM models WHERE onnx_hash IS NOT NULL"
    )
    op.drop_table("predictions")
    with op.batch_alter_table("models") as models:
        models.drop_index(op.f("ix_models_onnx_hash"))
        models.drop_constraint(op.f("fk_models_onnx_hash"), type_="foreignkey")
        models.drop_column("onnx_hash")
    others = (
        ("datasets", "content_hash"),
        ("experiments", "predictions_hash"),
        ("models", "artifact_hash"),
        ("meta_datasets", "content_hash"),
        ("meta_learners", "content_hash"),
    )
    for table, column in others:
        op.execute(
            f"DELETE FROM forgotten WHERE hash IN (SELECT {column} FROM {table} WHERE {column} IS NOT NULL)"  # noqa: S608  names of our own
        )
    for table in ("blob_chunks", "blobs"):
        op.execute(f"DELETE FROM {table} WHERE hash IN (SELECT hash FROM forgotten)")  # noqa: S608  names of our own
    op.execute("DROP TABLE forgotten")
    # Jobs of a kind that an earlier version would not know what to do with.
    predictions = "SELECT id FROM jobs WHERE kind = 'prediction'"
    for table in ("deliveries", "job_events", "tasks"):
        op.execute(f"DELETE FROM {table} WHERE job_id IN ({predictions})")  # noqa: S608  names of our own
    op.execute("DELETE FROM jobs WHERE kind = 'prediction'")
