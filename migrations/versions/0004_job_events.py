"""job events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    # Plain ALTER TABLE on both databases: a copied table would lose the rows that refer to it.
    op.add_column("jobs", sa.Column("version", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_events_job_id")),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_job_events")),
    )
    # Jobs that ended before there were events have their last one, so that whoever watches them is told.
    data = """'{"status":"' || status || '"}'"""
    if op.get_bind().dialect.name == "postgresql":
        data = f"({data})::jsonb"
    ended = "FROM jobs WHERE status IN ('succeeded', 'failed', 'cancelled')"
    op.execute(
        "INSERT INTO job_events (job_id, position, kind, data, created_at) "
        f"SELECT id, 1, 'ended', {data}, coalesce(finished_at, created_at) {ended}"
    )
    op.execute("UPDATE jobs SET version = 1 WHERE status IN ('succeeded', 'failed', 'cancelled')")


def downgrade() -> None:
    op.drop_table("job_events")
    op.drop_column("jobs", "version")
