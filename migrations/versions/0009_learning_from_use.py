"""learning from use: reported evaluations, retrained meta-learners, promotions; jobs without a dataset."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("dataset_id", existing_type=sa.String(length=255), nullable=True)
    retraining = sa.text("kind = 'retraining'")
    op.create_index(
        "ix_jobs_retraining", "jobs", ["id"], sqlite_where=retraining, postgresql_where=retraining
    )
    op.create_table(
        "evaluation_sources",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("trusted_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_sources")),
    )
    op.create_index("uq_evaluation_sources_owner_name", "evaluation_sources", ["owner", "name"], unique=True)
    op.create_table(
        "evaluation_reports",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("source_id", sa.String(length=255), nullable=False),
        sa.Column("task_type", sa.String(length=255), nullable=False),
        sa.Column("dataset", JSON, nullable=False),
        sa.Column("evaluations", JSON, nullable=False),
        sa.Column("n_evaluations", sa.Integer(), nullable=False),
        sa.Column("provenance", JSON, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["evaluation_sources.id"], name=op.f("fk_evaluation_reports_source_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_reports")),
    )
    op.create_index(op.f("ix_evaluation_reports_owner"), "evaluation_reports", ["owner"], unique=False)
    op.create_index(
        op.f("ix_evaluation_reports_source_id"), "evaluation_reports", ["source_id"], unique=False
    )
    op.create_table(
        "meta_learners",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("task_type", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.String(length=255), nullable=False),
        sa.Column("snapshot", sa.String(length=64), nullable=False),
        sa.Column("shipped", sa.String(length=255), nullable=False),
        sa.Column("n_datasets", sa.Integer(), nullable=False),
        sa.Column("n_evaluations", sa.Integer(), nullable=False),
        sa.Column("reports", JSON, nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=True),
        sa.Column("proof", JSON, nullable=False),
        sa.Column("verdict", JSON, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("withdrawn_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["content_hash"], ["blobs.hash"], name=op.f("fk_meta_learners_content_hash")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_meta_learners_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meta_learners")),
        sa.UniqueConstraint("job_id", name=op.f("uq_meta_learners_job_id")),
    )
    op.create_index(op.f("ix_meta_learners_task_type"), "meta_learners", ["task_type"], unique=False)
    op.create_index(op.f("ix_meta_learners_content_hash"), "meta_learners", ["content_hash"], unique=False)
    op.create_table(
        "promotions",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("task_type", sa.String(length=255), nullable=False),
        sa.Column("meta_learner_id", sa.String(length=255), nullable=True),
        sa.Column("replaced_id", sa.String(length=255), nullable=True),
        sa.Column("because", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meta_learner_id"], ["meta_learners.id"], name=op.f("fk_promotions_meta_learner_id")
        ),
        sa.ForeignKeyConstraint(["replaced_id"], ["promotions.id"], name=op.f("fk_promotions_replaced_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
    )
    op.create_index("ix_promotions_task_type_id", "promotions", ["task_type", "id"], unique=False)


def downgrade() -> None:
    op.execute("CREATE TEMPORARY TABLE fitted AS SELECT content_hash FROM meta_learners")
    op.drop_table("promotions")
    op.drop_table("meta_learners")
    op.drop_table("evaluation_reports")
    op.drop_table("evaluation_sources")
    # What they were in nobody would find again.
    for table in ("blob_chunks", "blobs"):
        op.execute(f"DELETE FROM {table} WHERE hash IN (SELECT content_hash FROM fitted)")  # noqa: S608
    op.execute("DROP TABLE fitted")
    # Jobs without a dataset are none that an earlier version knows.
    without = "SELECT id FROM jobs WHERE dataset_id IS NULL"
    for table in ("deliveries", "job_events", "tasks"):
        op.execute(f"DELETE FROM {table} WHERE job_id IN ({without})")  # noqa: S608  names of our own
    op.execute("DELETE FROM jobs WHERE dataset_id IS NULL")
    op.drop_index("ix_jobs_retraining", table_name="jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("dataset_id", existing_type=sa.String(length=255), nullable=False)
