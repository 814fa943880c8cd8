"""Actions: splits and dividends. `ts` is the ex-date, the first day on which a share trades without it.

Not partitioned. The view `adjusted_bars` applies them to daily bars.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Integer, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base, finite

_NUMBERS = ("amount", "split_from", "split_to")


class Action(Base):
    """A split (`split_to` shares for `split_from`) or a dividend (`amount` a share, in `currency`)."""

    __tablename__ = "actions"
    __table_args__ = (
        *(finite("actions", column) for column in _NUMBERS),
        CheckConstraint(
            "(kind = 'split' AND split_from > 0 AND split_to > 0) IS TRUE"
            " OR (kind = 'dividend' AND amount IS NOT NULL)",
            name="actions_whole",
        ),
    )

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ts: Mapped[dt.datetime] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    #: the provider's own id, or what tells two of one date apart; "" where there is one
    action_id: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[Decimal | None] = mapped_column(Numeric)
    currency: Mapped[str | None]
    split_from: Mapped[Decimal | None] = mapped_column(Numeric)
    split_to: Mapped[Decimal | None] = mapped_column(Numeric)
    declared_on: Mapped[dt.date | None]
    recorded_on: Mapped[dt.date | None]
    paid_on: Mapped[dt.date | None]
    observed_at: Mapped[dt.datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
