"""Series: provider x dataset x instrument x interval, the unit that is followed, budgeted, measured and proven."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Identity, Index, Integer, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class Series(Base):
    """One row a series. `interval` is '' where the dataset has none; `since` is where its history is owed from."""

    __tablename__ = "series"
    __table_args__ = (
        UniqueConstraint("provider", "dataset", "instrument", "interval"),
        Index("series_same_bars", "instrument", "interval", postgresql_where=text("dataset = 'bars'")),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    provider: Mapped[str]
    dataset: Mapped[str]
    instrument: Mapped[str]
    interval: Mapped[str] = mapped_column(server_default="")
    followed: Mapped[bool] = mapped_column(server_default="false")
    since: Mapped[datetime | None]
    #: the provider's answer when it does not know the instrument (any more): no polls until it is followed anew
    refused: Mapped[str | None]
    #: where the name ended (a delisting, a renaming): nothing is expected from here on
    until: Mapped[datetime | None]
    #: the instrument's name from then on
    renamed_to: Mapped[str | None]
    #: for bars, what is already worked into the provider's prices; NULL where it was not known
    adjustment: Mapped[str | None]
    #: the ledger says what is owed of `[planned_from, planned_until)`
    planned_from: Mapped[datetime | None]
    planned_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
