"""few-shot jobs: predictions without a model."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("predictions") as predictions:
        predictions.alter_column("model_id", existing_type=sa.String(length=255), nullable=True)


def downgrade() -> None:
    # What an earlier version would not know what to do with: the jobs, and the bytes that nothing else refers to.
    op.execute(
        "CREATE TEMPORARY TABLE forgotten AS "
        "SELECT input_hash AS hash FROM predictions WHERE model_id IS NULL AND input_hash IS NOT NULL "
        "UNION SELECT output_hash FROM predictions WHERE model_id IS NULL AND output_hash IS NOT NULL"
    )
    op.execute("DELETE FROM predictions WHERE model_id IS NULL")
    others = (
        ("datasets", "content_hash"),
        ("experiments", "predictions_hash"),
        ("models", "artifact_hash"),
        ("models", "onnx_hash"),
        ("predictions", "input_hash"),
        ("predictions", "output_hash"),
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
    few_shot = "SELECT id FROM jobs WHERE kind = 'few-shot'"
    for table in ("deliveries", "job_events", "tasks"):
        op.execute(f"DELETE FROM {table} WHERE job_id IN ({few_shot})")  # noqa: S608  names of our own
    op.execute("DELETE FROM jobs WHERE kind = 'few-shot'")
    with op.batch_alter_table("predictions") as predictions:
        predictions.alter_column("model_id", existing_type=sa.String(length=255), nullable=False)
