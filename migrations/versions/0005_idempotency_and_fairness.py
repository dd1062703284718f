"""idempotency and fairness."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

_INDEXES = (
    ("status = 'queued'", "ix_tasks_queued", ["queue", "priority", "owner", "id"]),
    ("status = 'running'", "ix_tasks_running", ["queue", "priority", "owner"]),
    ("started_at IS NOT NULL", "ix_tasks_served", ["queue", "owner", "started_at"]),
    ("started_at IS NOT NULL", "ix_tasks_begun", ["queue", "priority", "started_at"]),
)


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=255), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", JSON, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_subject_id"), "idempotency_keys", ["subject_id"], unique=False)
    op.create_index(op.f("ix_idempotency_keys_expires_at"), "idempotency_keys", ["expires_at"], unique=False)

    # Plain ALTER TABLE on both databases: a copied table would lose the rows that refer to it.
    op.add_column("tasks", sa.Column("owner", sa.String(length=255), nullable=False, server_default=""))
    op.add_column("tasks", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    # What `fairness.priority_of` says of a job.
    priority = "CASE WHEN kind = 'verification' AND time_budget_seconds <= 600 THEN 0 ELSE 1 END"
    of_job = "FROM jobs WHERE jobs.id = tasks.job_id"
    op.execute(
        f"UPDATE tasks SET owner = (SELECT owner {of_job}), priority = (SELECT {priority} {of_job})"  # noqa: S608  no input
    )
    op.drop_index("ix_tasks_claim", "tasks")
    for condition, name, columns in _INDEXES:
        where = sa.text(condition)
        op.create_index(name, "tasks", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for _, name, _ in _INDEXES:
        op.drop_index(name, "tasks")
    op.create_index("ix_tasks_claim", "tasks", ["queue", "status", "id"], unique=False)
    op.drop_column("tasks", "priority")
    op.drop_column("tasks", "owner")
    op.drop_table("idempotency_keys")
