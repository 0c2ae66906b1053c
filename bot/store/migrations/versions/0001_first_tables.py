"""first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("voice", sa.String(length=12), nullable=False),
        sa.Column("voice_epoch", sa.Integer(), nullable=False),
        sa.Column("next_sequence", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=True),
        sa.Column("created_at_utc", sa.DateTime(), nullable=False),
        sa.Column("last_at_utc", sa.DateTime(), nullable=False),
        sa.Column("erased_at_utc", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_conversations_last_at_utc", "conversations", ["last_at_utc"], unique=False)

    op.create_table(
        "counters",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "channel", "name", "category"),
    )
    op.create_table(
        "flags",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=True),
        sa.Column("about", sa.String(length=8), nullable=True),
        sa.Column("heard_by", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("message_sequence", sa.Integer(), nullable=False),
        sa.Column("opened_at_utc", sa.DateTime(), nullable=False),
        sa.Column("last_heard_at_utc", sa.DateTime(), nullable=False),
        sa.Column("closed_at_utc", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "flags_one_open_of_a_kind",
        "flags",
        ["conversation_id", "kind"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )

    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=12), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("in_reply_to", sa.Integer(), nullable=True),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("created_at_utc", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("conversation_id", "client_id"),
        sa.UniqueConstraint("conversation_id", "sequence"),
    )
    op.create_index(
        "messages_unanswered",
        "messages",
        ["conversation_id"],
        unique=False,
        sqlite_where=sa.text("answered = 0"),
        postgresql_where=sa.text("NOT answered"),
    )

    op.create_table(
        "sightings",
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("item", sa.String(length=80), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last_at_utc", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("conversation_id", "item"),
    )


def downgrade() -> None:
    op.drop_table("sightings")
    op.drop_index("messages_unanswered", "messages")

    op.drop_table("messages")
    op.drop_index("flags_one_open_of_a_kind", "flags")

    op.drop_table("flags")
    op.drop_table("counters")
    op.drop_index("ix_conversations_last_at_utc", "conversations")

    op.drop_table("conversations")
