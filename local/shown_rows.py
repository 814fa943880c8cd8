"""What a person sees of stored rows: a table a dataset, digits as they are stored.

Deliberately not here: reading them (ingest/pipeline/read.py), files (ingest/pipeline/export.py). Invariant: nothing is
rounded, and of a book only its best level is shown, with how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

#: Names and flags stand left, numbers right.
_RIGHT = frozenset(
    (
        *("open", "high", "low", "close", "volume", "adjusted_close", "quote_volume", "trade_count", "trade_id"),
        *("price", "size", "bid", "bid_size", "ask", "ask_size", "last", "levels", "value", "sentiment", "amount"),
        *("split_from", "split_to", "likes", "reposts", "replies", "quotes", "bookmarks", "impressions"),
    )
)
#: What says how a row came here, and what is too long for a line: JSON, CSV and Parquet have it.
_HIDDEN = frozenset(("observed_at", "vintage_given", "article_id", "author_id", "summary", "sentiments"))
_LONGEST = 80


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the rows; a column without any value is left out."""
    shown = [_book(row) if "bid_prices" in row else dict(row) for row in rows]
    names = [name for name in (shown[0] if shown else ()) if name not in _HIDDEN and _has_any(shown, name)]
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right" if name in _RIGHT else "left", no_wrap=True)
    for row in shown:
        table.add_row(*(_cell(name, row[name]) for name in names))
    return table


def _book(row: Mapping[str, Any]) -> dict[str, Any]:
    best: dict[str, str | None] = {}
    levels = []
    for side in ("bid", "ask"):
        prices, sizes = (_texts(row[f"{side}_{what}"]) for what in ("prices", "sizes"))
        best |= {side: next(iter(prices), None), f"{side}_size": next(iter(sizes), None)}
        levels.append(str(len(prices)))
    return {"instrument": row["instrument"], "ts": row["ts"]} | best | {"levels": " / ".join(levels)}


def _texts(array: str) -> list[str]:
    inside = array.strip("{}")
    return inside.split(",") if inside else []


def _has_any(rows: Iterable[Mapping[str, Any]], name: str) -> bool:
    return any(row[name] is not None for row in rows)


def _cell(name: str, value: Any) -> Text:
    """Return a value as a line of plain text: what others wrote moves no cursor and is no markup."""
    if value is None:
        return Text("-")
    if name == "ts":
        return Text(str(value.isoformat(sep=" ")).removesuffix("+00:00"))
    text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    line = "".join(letter if letter.isprintable() else " " for letter in text[: _LONGEST + 1])
    return Text(line if len(line) <= _LONGEST else f"{line[: _LONGEST - 2]} ..")
