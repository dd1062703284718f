"""contribution and retention."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ALTER TABLE on both databases: a copied table would lose the rows that refer to it.
    op.add_column("datasets", sa.Column("contribute", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("datasets", sa.Column("used_at", sa.Double(), nullable=False, server_default="0"))
    op.add_column("datasets", sa.Column("expired_at", sa.Double(), nullable=True))
    newest_job = "SELECT max(created_at) FROM jobs WHERE jobs.dataset_id = datasets.id"
    op.execute(f"UPDATE datasets SET used_at = coalesce(({newest_job}), created_at)")  # noqa: S608  no input
    op.create_index(op.f("ix_datasets_used_at"), "datasets", ["used_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_datasets_used_at"), "datasets")
    op.execute("UPDATE datasets SET deleted_at = coalesce(deleted_at, expired_at)")
    op.drop_column("datasets", "expired_at")
    op.drop_column("datasets", "used_at")
    op.drop_column("datasets", "contribute")
