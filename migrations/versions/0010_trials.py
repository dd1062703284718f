"""experiments of a search say what they try."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    with op.batch_alter_table("experiments") as table:
        table.add_column(sa.Column("trial", kind, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("experiments") as table:
        table.drop_column("trial")
