"""Trades: single executions as the provider reports them. Partitioned by month."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Integer, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base, finite


class Trade(Base):
    """A trade. `trade_id` is the provider's own number, contiguous where it counts so; `side` is the taker's."""

    __tablename__ = "trades"
    __table_args__ = (
        *(finite("trades", column) for column in ("price", "size")),
        CheckConstraint("side IN ('buy', 'sell')", name="trades_side"),
        {"postgresql_partition_by": "RANGE (ts)"},
    )

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ts: Mapped[datetime] = mapped_column(primary_key=True)
    trade_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    price: Mapped[Decimal] = mapped_column(Numeric)
    size: Mapped[Decimal] = mapped_column(Numeric)
    side: Mapped[str | None]
    observed_at: Mapped[datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
