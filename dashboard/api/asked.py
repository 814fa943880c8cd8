"""What is asked for: parameters of a read, the form of its answer, and the cursor that goes on.

Deliberately not here: reading (rows.py). Invariant: a parameter nobody knows is refused, and a cursor goes on with the
request it was made for and with no other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger

from dashboard.api.documented import ARROW, CSV, JSON, PARQUET
from ingest.errors import FixRequest
from ingest.market.records import KEY_COLUMNS, UNSTORABLE, Dataset
from ingest.pipeline.read import CHUNK_ROWS, Place, columns_of

Form = Literal["json", "csv", "parquet", "arrow"]
MEDIA: dict[Form, str] = {"json": JSON, "csv": CSV, "parquet": PARQUET, "arrow": ARROW}
MOST_INSTRUMENTS, MOST_LAST, MOST_PAGE = 100, 100_000, 10_000
_BIGGEST = 2**63 - 1

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$", examples=["binance"])]
Moment = Annotated[str | None, Field(max_length=40, description="ISO 8601; no offset means UTC")]


class RowsQuery(BaseModel):
    """Parameters that every dataset has."""

    model_config = ConfigDict(extra="forbid")

    provider: Name
    instrument: Annotated[
        list[Annotated[str, Field(max_length=80)]],
        Field(min_length=1, max_length=MOST_INSTRUMENTS, description="repeat it for several", examples=[["BTC-USDT"]]),
    ]
    start: Moment = Field(default=None, description="the first moment wanted", examples=["2024-01-01"])
    end: Moment = Field(default=None, description="the first moment not wanted any more", examples=["2024-01-02"])
    limit: int | None = Field(
        default=None, ge=1, le=MOST_LAST, description="only the newest rows: so many of each instrument"
    )
    page_rows: int = Field(
        default=MOST_PAGE, ge=1, le=MOST_PAGE, description="rows of a JSON page (news: at most 5,000, books: 1,000)"
    )
    cursor: str | None = Field(default=None, max_length=2_000, description="where the page before has ended (JSON)")
    format: Form | None = Field(default=None, description="goes before Accept")


class KnownQuery(RowsQuery):
    """Datasets that can be read as they were known."""

    as_of: Moment = Field(default=None, description="read what was known at that moment", examples=["2024-06-01"])


class BarsQuery(KnownQuery):
    """Bars."""

    interval: str = Field(pattern=r"^[0-9]{1,3}[a-zA-Z]{1,2}$", examples=["1m"])
    final_only: bool = Field(default=False, description="only bars that had ended when they were observed")
    fallback: list[Name] = Field(
        default=[], max_length=10, description="whose final bars stand in where the provider has none"
    )


def form_of(query: RowsQuery, accept: str) -> Form | None:
    """Return the form of the answer, JSON where any will do; None where none of what is accepted can be had."""
    if query.format is not None:
        return query.format
    ranges = []
    for at, one in enumerate(accept.lower().split(",") if accept.strip() else ["*/*"]):
        kind, *parameters = (part.strip() for part in one.split(";"))
        [weight] = [part[2:] for part in parameters if part.startswith("q=")][:1] or ["1"]
        try:
            ranges.append((-float(weight), at, kind))
        except ValueError:
            continue
    for quality, _, kind in sorted(ranges):
        if quality < 0:
            for form, media in MEDIA.items():
                if kind in (media, "*/*", f"{media.partition('/')[0]}/*"):
                    return form
    return None


def page_rows_of(query: RowsQuery, dataset: Dataset) -> int:
    """Return how many rows a page holds: fewer of those that are large."""
    return min(query.page_rows, CHUNK_ROWS[dataset])


def cursor_of(query: RowsQuery, dataset: Dataset, place: Place) -> str:
    """Return a place as text."""
    ts, *others = place.key
    document = [_digest(query, dataset), place.instrument, ts.isoformat(), *others]
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(query: RowsQuery, dataset: Dataset) -> Place | None:
    """Return the place a request goes on from; None for the first page. Raises FixRequest for what is no cursor."""
    if query.cursor is None:
        return None
    refused = FixRequest("the cursor is not of this request: leave it out, or take `next` as it was given")
    try:
        text = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
        digest, instrument, ts, *others = json.loads(text)
        moment = datetime.fromisoformat(ts)
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise refused from error
    names = KEY_COLUMNS[dataset]
    is_ours = (
        digest == _digest(query, dataset)
        and instrument in map(str.strip, query.instrument)
        and moment.tzinfo is not None
    )
    if not is_ours or len(others) != len(names):
        raise refused
    if not all(_fits(dataset, name, value) for name, value in zip(names, others, strict=True)):
        raise refused
    return Place(instrument, (moment, *others))


def _fits(dataset: Dataset, name: str, value: Any) -> bool:
    """Say whether a value can be one of the key's column."""
    kind = columns_of(dataset)[name].type
    if isinstance(kind, BigInteger):
        return type(value) is int and abs(value) <= _BIGGEST
    if not isinstance(value, str) or UNSTORABLE in value:
        return False
    try:
        value.encode()
        return kind.python_type is not date or bool(date.fromisoformat(value))
    except ValueError:
        return False


def _digest(query: RowsQuery, dataset: Dataset) -> str:
    """Return what a cursor belongs to: all that decides which rows come, and in which order."""
    said = query.model_dump_json(exclude={"cursor", "page_rows", "format"})
    return hashlib.sha256(f"{dataset}{said}".encode()).hexdigest()[:16]
