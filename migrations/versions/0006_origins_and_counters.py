"""origins of jobs, counters, an index for pages of jobs; workers look by themselves, so nobody notes when they were rung."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    # Plain ALTER TABLE on both databases: a copied table would lose the rows that refer to it.
    op.add_column("jobs", sa.Column("origin", JSON, nullable=False, server_default="{}"))
    op.drop_index("ix_jobs_owner", "jobs")
    op.create_index("ix_jobs_owner_id", "jobs", ["owner", "id"])
    op.drop_column("tasks", "rung_at")
    op.drop_index("ix_tasks_queued", "tasks")
    _index_queued(["queue", "priority", "owner", "kind", "id"])
    op.drop_index("ix_jobs_status", "jobs")
    op.create_index("ix_jobs_status_kind", "jobs", ["status", "kind"])
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("label", sa.String(length=255), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", "shard", name=op.f("pk_counters")),
    )


def downgrade() -> None:
    op.drop_table("counters")
    op.drop_index("ix_tasks_queued", "tasks")
    _index_queued(["queue", "priority", "owner", "id"])
    op.drop_index("ix_jobs_owner_id", "jobs")
    op.create_index("ix_jobs_owner", "jobs", ["owner"])
    op.drop_index("ix_jobs_status_kind", "jobs")
    op.create_index("ix_jobs_status", "jobs", ["status"])
    op.add_column("tasks", sa.Column("rung_at", sa.Double(), nullable=False, server_default="0"))
    op.drop_column("jobs", "origin")


def _index_queued(columns: list[str]) -> None:
    queued = sa.text("status = 'queued'")
    op.create_index("ix_tasks_queued", "tasks", columns, sqlite_where=queued, postgresql_where=queued)
