"""imported meta-datasets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "meta_datasets",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("summary", JSON, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["content_hash"], ["blobs.hash"], name=op.f("fk_meta_datasets_content_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meta_datasets")),
    )
    op.create_index(op.f("ix_meta_datasets_content_hash"), "meta_datasets", ["content_hash"], unique=False)
    op.create_index("uq_meta_datasets_owner_name", "meta_datasets", ["owner", "name"], unique=True)
    # Plain ALTER TABLE on both databases: a copied table would lose the rows that refer to it.
    op.add_column("recommendations", sa.Column("meta_dataset_id", sa.String(length=255), nullable=True))
    op.create_index(
        op.f("ix_recommendations_meta_dataset_id"), "recommendations", ["meta_dataset_id"], unique=False
    )


def downgrade() -> None:
    # Nothing would erase these any more with the meta-dataset that they quote.
    op.execute("DELETE FROM recommendations WHERE meta_dataset_id IS NOT NULL")
    op.drop_index(op.f("ix_recommendations_meta_dataset_id"), "recommendations")
    op.drop_column("recommendations", "meta_dataset_id")
    op.drop_table("meta_datasets")
