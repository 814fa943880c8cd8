"""Synthetic news: the articles of any ten minutes on any of a few subjects, at any time, without state.

Deliberately not here: searches, pages and keys (`dialects/newsapi.py`). Invented through and through: no headline,
paper or author here is anybody's. Invariant: the articles of ten minutes are a function of (seed, subject, slot) alone.
"""

from collections.abc import Iterator
from hashlib import shake_128
from typing import NamedTuple

SLOT_S = 600
DAY_S = 86_400
SUBJECTS = ("bitcoin", "interest rates", "apple", "inflation")
#: On this one `BURST` articles appear in the first second after noon, UTC, beside the usual ones.
BURSTING, BURST_AT_S, BURST = "inflation", 43_200, 120
_MOST_A_SLOT = 4  # 0 to 3, in one slot of sixteen 6 more in one second
_FLASH = 6
_PAPERS = (
    ("example-wire", "Example Wire"),
    (None, "The Daily Sample"),
    ("mock-times", "Mock Times"),
    (None, "Stub.com"),
)


class Article(NamedTuple):
    """One article; what may be null in the answers is None. `number` tells it from all others of its subject."""

    number: int
    subject: str
    time_s: int
    paper_id: str | None
    paper: str
    author: str | None
    title: str
    description: str | None
    url: str
    content: str
    is_removed: bool


class Event(NamedTuple):
    """That there is an article: its number and second. A search counts thousands and prints a hundred."""

    time_s: int
    number: int


def events_of(seed: int, subject: str, slot: int) -> list[Event]:
    """Return what appears in the ten minutes that begin at `slot * 600`, oldest first."""
    dice = shake_128(f"{seed} {subject} {slot}".encode()).digest(16)
    start_s, count = slot * SLOT_S, dice[0] % _MOST_A_SLOT
    times = [start_s + int.from_bytes(dice[2 * i + 2 : 2 * i + 4]) % SLOT_S for i in range(count)]
    if dice[1] % 16 == 0:
        times += [start_s + dice[12] % SLOT_S] * _FLASH
    if subject == BURSTING and start_s % DAY_S == BURST_AT_S:
        times += [start_s] * BURST
    return [Event(time_s, slot * 1000 + i) for i, time_s in enumerate(sorted(times))]


def newest_first(seed: int, subject: str, first_s: int, last_s: int) -> Iterator[Event]:
    """Yield what appears from `first_s` to `last_s`, both included, the newest first."""
    for slot in range(last_s // SLOT_S, first_s // SLOT_S - 1, -1):
        for event in reversed(events_of(seed, subject, slot)):
            if first_s <= event.time_s <= last_s:
                yield event


def article_of(seed: int, subject: str, event: Event, *, removed_every: int = 0) -> Article:
    """Return the article itself; one of so many was taken down, where `removed_every` is not 0."""
    time_s, number = event
    dice = shake_128(f"{seed} {subject} {number} article".encode()).digest(16)
    paper_id, paper = _PAPERS[dice[0] % len(_PAPERS)]
    verb = ("rallies", "slips", "holds", "is in focus")[dice[1] % 4]
    slug = subject.replace(" ", "-")
    return Article(
        number=number,
        subject=subject,
        time_s=time_s,
        paper_id=paper_id,
        paper=paper,
        author=None if dice[2] % 4 == 0 else f"Reporter {dice[2]}",
        title=f"{subject.capitalize()} {verb}: no. {number} - {paper}",
        description=None if dice[3] % 5 == 0 else f"What “{subject}” did, and why, in {dice[3]} words.",
        url=f"https://{paper.lower().replace(' ', '-').removesuffix('.com')}.example/{slug}/{number}?a=1&b={dice[4]}",
        content=f"It was a day on which {subject} {verb}… [+{1000 + dice[5]} chars]",
        is_removed=removed_every > 0 and number % removed_every == 0,
    )
