"""The fetch log: the trace of every request: one row a batch, which counts and times what went well, and one a failure.

Partitioned by day, so that what is old goes by dropping a partition. Invariant: each request is counted once: a batch's
row counts all its requests, the failed ones too, and a failure's row counts none, so that sums over any rows are right.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Integer, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base

KINDS = ("batch", "failure")
#: The `dataset` of a request for the list of a provider's instruments.
CATALOGUE = "catalogue"


class FetchLog(Base):
    """What was asked and how it went. `at` is when the batch ended, of its failures' rows too.

    A batch: `segment`, `position` and `size_bytes` locate its payload in the archive; `failed` of its `requests` have
    rows of their own. A failure: `status` (NULL without a complete answer), `cause` (a Failure's kind, or the branch
    of the error tree), and its place among the payload's answers, where it brought one.
    """

    __tablename__ = "fetch_log"
    __table_args__ = (
        CheckConstraint(f"kind IN {KINDS}", name="fetch_log_kind"),
        Index("fetch_log_payload", "payload_key"),
        # What the budget is seeded from when Redis has lost its windows.
        Index("fetch_log_provider", "provider", "at"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    #: NULL: no job asked (a name that somebody follows is looked up in the provider's list)
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    attempt: Mapped[int]
    provider: Mapped[str]
    #: or `catalogue`
    dataset: Mapped[str]
    lane: Mapped[str]
    requests: Mapped[int]
    weight: Mapped[int]
    failed: Mapped[int]
    duration_ms: Mapped[int]
    outcome: Mapped[str]
    error: Mapped[str | None]
    payload_key: Mapped[str | None]
    segment: Mapped[str | None]
    position: Mapped[int | None] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    kind: Mapped[str] = mapped_column(server_default="batch")
    #: the credential that the requests count for, '' without a key
    pool: Mapped[str] = mapped_column(server_default="")
    #: which served; of a batch that met several, all of them in order, with commas
    base_url: Mapped[str] = mapped_column(server_default="")
    #: path and parameters of a failed request, without the key
    url: Mapped[str | None]
    status: Mapped[int | None]
    cause: Mapped[str | None]
    #: counted from 0, as findings do
    answer: Mapped[int | None]
    #: of each good answer of a batch in the order of the payload, or of the one failure
    latency_ms: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{}'"))
    #: bodies as they came, decompressed: of the good answers, or of the failure's
    body_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
