"""The ledger in its first form: what is stored per series and day, and the job that said so last."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, Integer
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class LedgerDay(Base):
    """A series' UTC day. `stored` is exact: it grows in the transaction that inserts the rows."""

    __tablename__ = "ledger"
    __table_args__ = ({"postgresql_with": {"fillfactor": "80"}},)

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    stored: Mapped[int] = mapped_column(Integer)
    final: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(server_default="fetched")
    job_id: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[dt.datetime]
