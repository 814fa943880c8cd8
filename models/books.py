"""Books: snapshots of the best levels of an order book. `ts` is the provider's time, or the receive time.

Partitioned by month.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import ARRAY, BigInteger, Integer, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class Book(Base):
    """A snapshot. Prices and sizes stand in pairs of arrays, the best level first: `bid_prices[1]` is the best bid."""

    __tablename__ = "books"
    __table_args__ = ({"postgresql_partition_by": "RANGE (ts)"},)

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ts: Mapped[datetime] = mapped_column(primary_key=True)
    bid_prices: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric))
    bid_sizes: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric))
    ask_prices: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric))
    ask_sizes: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric))
    #: the provider's own number of the book's state, where it has one
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    observed_at: Mapped[datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
