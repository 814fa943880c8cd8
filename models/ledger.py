"""The ledger in its first form: what is stored per series and day, and the job that said so last."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, Integer
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class LedgerDay(Base):
    """A series' UTC day. `stored` is exact: it changes in the transaction that inserts or deletes the rows.

    A day whose rows were deleted keeps its row here, and so says how many there were. Rows that come after that clear
    `deleted_at` and are unverified, whatever `state` said of the old ones.
    """

    __tablename__ = "ledger"
    __table_args__ = ({"postgresql_with": {"fillfactor": "80"}},)

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    stored: Mapped[int] = mapped_column(Integer)
    final: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(server_default="fetched")
    job_id: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[dt.datetime]
    #: rows that retention took away, ever
    deleted: Mapped[int] = mapped_column(Integer, server_default="0")
    #: when it did last; NULL while it never has, or once rows have come again
    deleted_at: Mapped[dt.datetime | None]
