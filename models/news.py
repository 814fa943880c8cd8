"""News: articles as providers list them. `ts` is when an article was published. Not partitioned."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Index, Integer, Numeric, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base, finite


class Article(Base):
    """An article under a series. One that is listed again, changed, keeps its first `ts`; the old text is a revision.

    `sentiments` holds what the provider says of each ticker: {"AAPL": {"score": "0.1", "relevance": "0.5"}}.
    """

    __tablename__ = "news"
    __table_args__ = (
        finite("news", "sentiment"),
        Index("news_ts", "series_id", "ts"),
        Index("news_instruments", "instruments", postgresql_using="gin"),
    )

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    article_id: Mapped[str] = mapped_column(primary_key=True)
    ts: Mapped[datetime]
    title: Mapped[str]
    url: Mapped[str]
    source: Mapped[str | None]
    author: Mapped[str | None]
    summary: Mapped[str | None]
    language: Mapped[str | None]
    instruments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    sentiment: Mapped[Decimal | None] = mapped_column(Numeric)
    sentiment_label: Mapped[str | None]
    sentiments: Mapped[dict[str, Any] | None]
    observed_at: Mapped[datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
