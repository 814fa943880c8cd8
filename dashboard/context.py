"""What a route works with: the process's context and one database session. Invariant: the session only reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.pipeline.context import Context

#: No page or answer is worth a query that runs longer.
STATEMENT_MS = 30_000


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


def _session(context: Annotated[Context, Depends(_context)]) -> Iterator[Session]:
    with context.sessions() as session:
        session.execute(text(f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {STATEMENT_MS}"))
        yield session


#: The number of the row behind which a page begins.
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
#: A word of an address that a query looks for; no text in PostgreSQL holds a NUL.
Word = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")]
#: `def route(farm: Farm, session: ReadOnly)`
Farm = Annotated[Context, Depends(_context)]
ReadOnly = Annotated[Session, Depends(_session)]
