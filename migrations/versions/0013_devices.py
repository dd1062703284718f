"""devices of workers."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("workers") as workers:
        workers.add_column(sa.Column("device", sa.String(length=255), nullable=False, server_default="cpu"))


def downgrade() -> None:
    with op.batch_alter_table("workers") as workers:
        workers.drop_column("device")
