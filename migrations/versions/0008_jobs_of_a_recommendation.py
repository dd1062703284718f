"""jobs are found by the recommendation that they verify."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_jobs_recommendation_id"), "jobs", ["recommendation_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_jobs_recommendation_id"), table_name="jobs")
