"""The ledger: what is expected and what is stored per series and day, in which state, on whose word.

Deliberately not here: the statements that keep it (upsert, evidence). Invariant: `stored`, `final` and `hash` say what
our own writes have left in the tables; they change in the transaction that changes the rows.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, text
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base

#: planned         owed, nothing was answered yet
#: imported        rows from a file are there, which no answer has proven
#: fetched         something was answered; not proven to be all
#: verified        all that is expected is stored as it was answered, or what is missing is confirmed to be empty
#: empty_confirmed nothing is there, and a second answer said so
#: suspect         the table does not hold what was answered
#: unavailable     it can't be had any more (beyond the provider's reach, a poll that was missed)
#: retired         the provider is
LEDGER_STATES = ("planned", "imported", "fetched", "verified", "empty_confirmed", "suspect", "unavailable", "retired")
#: Nothing more is to be done for these.
SETTLED = ("verified", "empty_confirmed", "unavailable", "retired")


class LedgerDay(Base):
    """A series' UTC day. `stored` is exact: it changes in the transaction that inserts or deletes the rows.

    A day whose rows were deleted keeps its row here, and so says how many there were. Rows that come after that clear
    `deleted_at` and are unverified, whatever `state` said of the old ones.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        CheckConstraint(f"state IN {LEDGER_STATES}", name="ledger_state"),
        Index("ledger_unsettled", "series_id", "day", postgresql_where=text(f"state NOT IN {SETTLED}")),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    #: rows that the calendar expects of the whole day; NULL where no number is known
    expected: Mapped[int | None]
    stored: Mapped[int] = mapped_column(Integer)
    final: Mapped[int] = mapped_column(Integer)
    #: of what is missing, how much was confirmed not to exist
    confirmed: Mapped[int] = mapped_column(Integer, server_default="0")
    #: bit_xor of the rows' hashes (models/evidence.py), without how they came here
    hash: Mapped[int] = mapped_column(BigInteger, server_default="0")
    state: Mapped[str] = mapped_column(server_default="fetched")
    #: stretches of the day for which an answer came after they had settled, and the table held what it said
    once: Mapped[Any] = mapped_column(TSTZMULTIRANGE, server_default="{}")
    #: those for which a later answer said the same
    twice: Mapped[Any] = mapped_column(TSTZMULTIRANGE, server_default="{}")
    #: the last evidence: the job, its payload and when the provider was asked
    job_id: Mapped[int] = mapped_column(BigInteger)
    payload_key: Mapped[str | None]
    answered_at: Mapped[dt.datetime | None]
    #: what the provider said instead of rows, or what is wrong
    note: Mapped[str | None]
    #: jobs that were owed for what was missing of it, and when the next one may be
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_at: Mapped[dt.datetime | None]
    #: when its rows were last read and compared
    scrubbed_at: Mapped[dt.datetime | None]
    updated_at: Mapped[dt.datetime]
    #: rows that retention took away, ever
    deleted: Mapped[int] = mapped_column(Integer, server_default="0")
    #: when it did last; NULL while it never has, or once rows have come again
    deleted_at: Mapped[dt.datetime | None]
