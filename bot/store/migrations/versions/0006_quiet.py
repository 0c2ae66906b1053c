"""since when a number is sent answers only"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contacts", sa.Column("quiet_since_utc", sa.DateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("contacts", "quiet_since_utc")
