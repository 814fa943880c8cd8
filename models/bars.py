"""Bars: open, high, low, close, volume of an interval. `ts` is the bar's open. Partitioned by year."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Integer, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base, finite

_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume", "adjusted_close", "quote_volume")


class Bar(Base):
    """A bar as last observed. `is_final` follows from bar end + settle <= observed_at, never from now."""

    __tablename__ = "bars"
    __table_args__ = (
        *(finite("bars", column) for column in _NUMBERS),
        {"postgresql_partition_by": "RANGE (ts)"},
    )

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ts: Mapped[datetime] = mapped_column(primary_key=True)
    open: Mapped[Decimal] = mapped_column(Numeric)
    high: Mapped[Decimal] = mapped_column(Numeric)
    low: Mapped[Decimal] = mapped_column(Numeric)
    close: Mapped[Decimal] = mapped_column(Numeric)
    volume: Mapped[Decimal | None] = mapped_column(Numeric)
    adjusted_close: Mapped[Decimal | None] = mapped_column(Numeric)
    quote_volume: Mapped[Decimal | None] = mapped_column(Numeric)
    trade_count: Mapped[int | None] = mapped_column(BigInteger)
    is_final: Mapped[bool]
    observed_at: Mapped[datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
    #: when it was first seen to say what it says; NULL: in the answer of `observed_at`, none before it
    known_since: Mapped[datetime | None]
