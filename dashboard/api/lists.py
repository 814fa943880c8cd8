"""What lists share: which series are meant, and a page by the number of its last row.

Deliberately not here: pages of stored rows (asked.py). Invariant: a parameter nobody knows is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dashboard.api.asked import Name
from ingest.market.records import Dataset
from ingest.market.symbols import validate

_BIGGEST = 2**63 - 1
RowId = Annotated[int, Field(ge=1, le=_BIGGEST)]


class Shape(BaseModel):
    """A document made from an object of the pipeline: its attributes by their names."""

    model_config = ConfigDict(from_attributes=True)


class Asked(BaseModel):
    """Parameters of which none is optional by accident."""

    model_config = ConfigDict(extra="forbid")


class OfInstrument(Asked):
    """Of what: of everything where nothing is said."""

    provider: Name | None = None
    dataset: Dataset | None = None
    instrument: str | None = Field(default=None, max_length=80, examples=["BTC-USDT"])

    def columns(self) -> dict[str, Any]:
        """Return what is said, by column. Raises FixRequest for what is no instrument."""
        given: dict[str, Any] = {"provider": self.provider, "dataset": self.dataset}
        if self.instrument is not None:
            given["instrument"] = validate(self.instrument)
        return {name: value for name, value in given.items() if value is not None}


class OfSeries(OfInstrument):
    """Which series are meant: all where nothing is said."""

    interval: str | None = Field(default=None, pattern=r"^([0-9]{1,3}[a-zA-Z]{1,2})?$", examples=["1m"])

    def columns(self) -> dict[str, Any]:
        """Return what is said of a series, by column."""
        return super().columns() | ({} if self.interval is None else {"interval": self.interval})


class Paged(Asked):
    """A page of a list."""

    limit: int = Field(default=100, ge=1, le=1_000, description="rows of a page")
    cursor: RowId | None = Field(default=None, description="`next` of the page before")


def fits(columns: Mapping[str, Any], one: object) -> bool:
    """Say whether a thing's columns are as said."""
    return all(getattr(one, name) == value for name, value in columns.items())


def next_of(ids: list[int], limit: int) -> int | None:
    """Return the cursor behind a page: None where it is not full."""
    return ids[-1] if len(ids) == limit else None
