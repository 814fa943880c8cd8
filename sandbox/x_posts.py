"""Synthetic posts: any minute's posts on any of a few subjects, at any time, without state.

Deliberately not here: queries, pages, prices and keys (`dialects/x.py`). Invented through and through: no post, author
or count here is anybody's. Invariant: the posts of a minute are a function of (seed, subject, minute) alone; ids ascend
with time, since an id holds its moment in milliseconds above 22 bits.
"""

from collections.abc import Iterator
from hashlib import shake_128
from typing import NamedTuple

MINUTE_MS = 60_000
#: Where ids begin to count: 2010-11-04T01:42:54.657Z.
EPOCH_MS = 1_288_834_974_657
_LOW_BITS = 22
#: What people write about: the search term and the cashtags that stand in each of its posts.
SUBJECTS = {
    "$AAPL": ("AAPL",),
    "$MSFT": ("MSFT", "AAPL"),
    "$TSLA": ("TSLA",),
    "$BTC": ("BTC", "ETH"),
    "$BRK.B": ("BRK.B",),
    '"interest rates"': (),
    '"inflation"': ("GOLD",),
}
_MOST_A_MINUTE = 4  # 0 to 3


class Post(NamedTuple):
    """One post: `history` are the ids of its versions, oldest first, the last its own; counts as they stand."""

    id: int
    history: tuple[int, ...]
    time_ms: int
    author_id: int
    text: str
    language: str
    is_repost: bool
    cashtags: tuple[str, ...]
    reposts: int
    replies: int
    likes: int
    quotes: int
    bookmarks: int
    impressions: int


def first_id_of(time_ms: int) -> int:
    """Return the lowest id that a post of this moment can have."""
    return max(0, time_ms - EPOCH_MS) << _LOW_BITS


def moment_of(post_id: int) -> int:
    """Return the millisecond that an id holds."""
    return (post_id >> _LOW_BITS) + EPOCH_MS


def posts_of(seed: int, subject: str, minute: int) -> list[Post]:
    """Return a minute's posts, oldest first."""
    if subject not in SUBJECTS:
        return []
    dice = shake_128(f"{seed} {subject} {minute}".encode()).digest(1 + 16 * _MOST_A_MINUTE)
    count = dice[0] % _MOST_A_MINUTE
    return [_post(subject, minute, i, count, dice[1 + 16 * i : 17 + 16 * i]) for i in range(count)]


def newest_first(seed: int, subject: str, start_ms: int, end_ms: int) -> Iterator[Post]:
    """Yield the posts of `[start_ms, end_ms)`, the newest first."""
    for minute in range((end_ms - 1) // MINUTE_MS, start_ms // MINUTE_MS - 1, -1):
        for post in reversed(posts_of(seed, subject, minute)):
            if start_ms <= post.time_ms < end_ms:
                yield post


def _post(subject: str, minute: int, place: int, count: int, dice: bytes) -> Post:
    share_ms = MINUTE_MS // count
    time_ms = minute * MINUTE_MS + place * share_ms + int.from_bytes(dice[:3]) % share_ms
    own = first_id_of(time_ms) | int.from_bytes(dice[3:6]) % (1 << _LOW_BITS)
    edited = (first_id_of(time_ms - 5 * MINUTE_MS),) if dice[6] % 11 == 0 else ()
    tags = SUBJECTS[subject]
    words = "".join(f" ${tag}" for tag in tags if f"${tag}" != subject)
    percent = f"{dice[7] % 9}.{dice[8] % 10} %"
    return Post(
        id=own,
        history=(*edited, own),
        time_ms=time_ms,
        author_id=1_000_000_000_000_000_000 + int.from_bytes(dice[9:12]),
        text=f"{subject.strip(chr(34))}{words}: {percent} &amp; counting\nhttps://t.co/{dice[:5].hex()}",
        language="es" if dice[12] % 9 == 0 else "en",
        is_repost=dice[13] % 8 == 0,
        cashtags=tags,
        reposts=dice[14] % 5,
        replies=dice[14] % 3,
        likes=int(dice[14]),
        quotes=dice[15] % 2,
        bookmarks=dice[15] % 4,
        impressions=int.from_bytes(dice[11:14]),
    )
