"""The engine, its bounded pool, and the base of all models. No statement stands here.

Invariant: every connection speaks UTC and gives up on locks and idle transactions by itself, so that no stuck process
can hold the farm.
"""

from __future__ import annotations

import select
import time
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Engine, Identity, Numeric, Text, create_engine, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.pool import NullPool

#: Two connections serve a child: its work, and the lease keeper's thread. Two more may open under pressure.
POOL_SIZE, POOL_OVERFLOW, POOL_TIMEOUT_S = 2, 2, 10
#: A connection that was idle for longer is asked whether it lives before it is used; a busy one need not be.
PING_AFTER_S = 1.0

_SESSION_OPTIONS = {
    "timezone": "UTC",
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    # A killed child's statement would go on, and hold its job's row, until it ends by itself.
    "client_connection_check_interval": "1s",
}

BigKey = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
Big = Annotated[int, mapped_column(BigInteger)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Exact = Annotated[Decimal, mapped_column(Numeric)]
Document = Annotated[dict[str, Any], mapped_column(JSONB)]


class Base(DeclarativeBase):
    """The registry of all tables. `Exact` columns are NUMERIC without a scale: the provider's digits, all of them."""

    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSONB}  # noqa: RUF012


def finite(table: str, column: str) -> CheckConstraint:
    """Return the CHECK that keeps NaN and the infinities out of a NUMERIC column (NaN sorts above Infinity there)."""
    return CheckConstraint(f"{column} > '-Infinity' AND {column} < 'Infinity'", name=f"{table}_{column}_finite")


def open_engine(url: str, *, application_name: str, pooled: bool = True) -> Engine:
    """Return an engine on `url`. `pooled=False` opens a connection per use: for processes that fork."""
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION_OPTIONS.items())
    connect_args = {
        "options": options,
        "application_name": application_name,
        "connect_timeout": 5,
        # A dead peer is noticed within about 20 s instead of the kernel's two hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    }
    if not pooled:
        return create_engine(url, connect_args=connect_args, poolclass=NullPool, hide_parameters=True)
    engine = create_engine(
        url,
        # An error's text must not carry a batch of rows (or worse) into logs and dead letters.
        hide_parameters=True,
        connect_args=connect_args,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
        pool_recycle=1800,
    )
    _ping_what_was_idle(engine)
    return engine


def _ping_what_was_idle(engine: Engine) -> None:
    """Replace connections that have died since they were used, without a round trip for those that are in steady use.

    SQLAlchemy's own `pool_pre_ping` asks each time: a third of a poll's round trips. A server that ends or restarts
    says goodbye, which makes the socket readable: that is seen at once.
    """

    def note(_: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def ping(driver: Any, record: Any, _: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:  # new
            return
        if time.monotonic() - used_at <= PING_AFTER_S and not _has_news(driver):
            return
        try:
            engine.dialect.do_ping(driver)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", ping)


def _has_news(driver: Any) -> bool:
    """Say whether the server has sent something that nobody asked for, or hung up."""
    if driver.closed:
        return True
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))
