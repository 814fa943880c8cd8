"""Quotes: best bid and ask at a moment. `ts` is the provider's time, or the receive time where it sends none.

Partitioned by month.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Integer, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base, finite

_NUMBERS = ("bid", "bid_size", "ask", "ask_size", "last")


class Quote(Base):
    """A quote as observed: bid and ask, or, of a provider that sells no book, a last price, with both of them NULL.

    A side that nobody quotes is NULL, price and size; one without any price is refused by the quality rules.
    """

    __tablename__ = "quotes"
    __table_args__ = (
        *(finite("quotes", column) for column in _NUMBERS),
        CheckConstraint("num_nonnulls(bid, ask, last) > 0", name="quotes_price"),
        {"postgresql_partition_by": "RANGE (ts)"},
    )

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ts: Mapped[datetime] = mapped_column(primary_key=True)
    bid: Mapped[Decimal | None] = mapped_column(Numeric)
    bid_size: Mapped[Decimal | None] = mapped_column(Numeric)
    ask: Mapped[Decimal | None] = mapped_column(Numeric)
    ask_size: Mapped[Decimal | None] = mapped_column(Numeric)
    last: Mapped[Decimal | None] = mapped_column(Numeric)
    observed_at: Mapped[datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
