"""Observations: values of economic series and reference rates, one row a vintage. Not partitioned."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import BigInteger, Integer, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base, finite


class Observation(Base):
    """What a series' value for the date `ts` was, from `vintage` on until the next vintage of that date.

    A later vintage is a row of its own, so what was known on a day is the newest vintage up to it. NULL is a value that
    the provider lists as missing. Where a provider dates no vintages (`vintage_given` is false), `vintage` is the day
    on which we first saw the value.
    """

    __tablename__ = "observations"
    __table_args__ = (finite("observations", "value"),)

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ts: Mapped[dt.datetime] = mapped_column(primary_key=True)
    vintage: Mapped[dt.date] = mapped_column(primary_key=True)
    vintage_given: Mapped[bool]
    value: Mapped[Decimal | None] = mapped_column(Numeric)
    observed_at: Mapped[dt.datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
