"""what a counselor tells the next one on handing back, from a fixed list"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("flags", sa.Column("handover", sa.String(length=20), nullable=True))


def downgrade() -> None:
    op.drop_column("flags", "handover")
