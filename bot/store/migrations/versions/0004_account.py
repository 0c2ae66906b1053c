"""notices of flags nobody takes, acknowledging, the audit's seal, counters by item, follow-ups, miss reviews"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("flags", sa.Column("first_claimed_at_utc", sa.DateTime(), nullable=True))
    op.execute("UPDATE flags SET first_claimed_at_utc = claimed_at_utc")
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no lengths
        op.alter_column("counters", "category", type_=sa.String(length=80))
    op.add_column("flags", sa.Column("acknowledged_by", sa.Integer(), nullable=True))
    op.add_column("flags", sa.Column("acknowledged_at_utc", sa.DateTime(), nullable=True))
    op.create_table(
        "notices",
        sa.Column("flag_id", sa.Integer(), nullable=False),
        sa.Column("way", sa.String(length=8), nullable=False),
        sa.Column("since_utc", sa.DateTime(), nullable=False),
        sa.Column("due_at_utc", sa.DateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("sent_at_utc", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["flag_id"], ["flags.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("flag_id", "way"),
    )
    op.add_column("audit_head", sa.Column("seal", sa.String(length=64), nullable=True))
    op.create_table(
        "follow_ups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("counselor_id", sa.Integer(), nullable=False),
        sa.Column("agreed_at_utc", sa.DateTime(), nullable=False),
        sa.Column("due_at_utc", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("settled_at_utc", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_follow_ups_conversation_id", "follow_ups", ["conversation_id"], unique=False)
    op.create_table(
        "miss_reviews",
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("counselor_id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.String(length=12), nullable=False),
        sa.Column("at_utc", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("conversation_id"),
    )


def downgrade() -> None:
    op.drop_table("miss_reviews")
    op.drop_table("follow_ups")
    op.drop_column("audit_head", "seal")
    op.drop_table("notices")
    op.drop_column("flags", "acknowledged_at_utc")
    op.drop_column("flags", "acknowledged_by")
    op.drop_column("flags", "first_claimed_at_utc")
