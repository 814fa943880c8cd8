"""Posts: what people write in public, with its public metrics as last observed. Not partitioned."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class Post(Base):
    """A post under a series, by the first id of its edits. Earlier texts and metrics are revisions."""

    __tablename__ = "posts"
    __table_args__ = (
        Index("posts_ts", "series_id", "ts"),
        Index("posts_instruments", "instruments", postgresql_using="gin"),
    )

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    post_id: Mapped[str] = mapped_column(primary_key=True)
    ts: Mapped[datetime]
    author_id: Mapped[str | None]
    author: Mapped[str | None]
    text: Mapped[str]
    language: Mapped[str | None]
    instruments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    likes: Mapped[int | None] = mapped_column(BigInteger)
    reposts: Mapped[int | None] = mapped_column(BigInteger)
    replies: Mapped[int | None] = mapped_column(BigInteger)
    quotes: Mapped[int | None] = mapped_column(BigInteger)
    bookmarks: Mapped[int | None] = mapped_column(BigInteger)
    impressions: Mapped[int | None] = mapped_column(BigInteger)
    observed_at: Mapped[datetime]
    job_id: Mapped[int] = mapped_column(BigInteger)
