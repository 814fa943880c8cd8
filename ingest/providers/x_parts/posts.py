"""X's posts as columns, and what a page says could not be read.

Deliberately not here: pages and their tokens (../x.py). Invariant: a post has the first id of its edit history.
Source: openapi.json 2.167 of https://github.com/xdevplatform/docs, 2026-08-22, unless another stands beside a fact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ingest.market.records import Reject
from ingest.market.times import epoch_ms
from ingest.providers import answers

#: Source: twitter/twitter-text, its pattern of a cashtag, less the underscore, which our grammar has not.
TICKER = re.compile(r"[A-Z]{1,6}(?:\.[A-Z]{1,2})?", re.ASCII)
_ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
#: Our column -> the public metric, and what it was called before the newest edition (`post.fields`) renamed it.
_METRICS = {
    "likes": ("like_count",),
    "reposts": ("retweet_count", "repost_count"),
    "replies": ("reply_count",),
    "quotes": ("quote_count",),
    "bookmarks": ("bookmark_count",),
    "impressions": ("impression_count",),
}
COLUMNS = ("ts", "post_id", "author_id", "author", "text", "language", "instruments", *_METRICS)
SHAPE = "expected an object with an id, created_at in UTC, and text in author_id, text and lang"
_UNREAD_SHAPE = "X could not return something this answer refers to"


def authors_of(page: Mapping[str, Any]) -> dict[str, str]:
    """Return names by id, where somebody's proxy expands them: we don't ask for them."""
    includes = page.get("includes")
    users = includes.get("users") if type(includes) is dict else None
    found = [user for user in users if type(user) is dict] if type(users) is list else []
    texts = [(user.get("id"), user.get("username")) for user in found]
    return {key: name for key, name in texts if type(key) is str and type(name) is str}


def post(raw: Any, authors: Mapping[str, str]) -> tuple[Any, ...] | None:
    """Return a post's columns. Each edit has an id of its own; the history begins with the first ("oldest first")."""
    if type(raw) is not dict:
        return None
    history = raw.get("edit_history_tweet_ids") or raw.get("edit_history_post_ids") or [raw.get("id")]
    post_id = history[0] if type(history) is list else None
    ts, metrics = _epoch_ms(raw.get("created_at")), raw.get("public_metrics") or {}
    author_id, text, language = raw.get("author_id"), raw.get("text"), raw.get("lang")
    if type(post_id) is not str or ts is None or type(metrics) is not dict:
        return None
    counts = [next((metrics[name] for name in names if name in metrics), None) for names in _METRICS.values()]
    if not {type(value) for value in (author_id, text, language, *counts)} <= answers.TEXT_OR_NULL:
        return None
    author = None if author_id is None else authors.get(author_id)
    return (ts, post_id, author_id, author, text, language, _cashtags(raw.get("entities")), *counts)


def _epoch_ms(text: Any) -> int | None:
    if type(text) is not str or not _ISO_UTC.fullmatch(text):
        return None
    try:
        return epoch_ms(datetime.fromisoformat(text))
    except ValueError:
        return None


def _cashtags(entities: Any) -> str:
    """Return the instruments of a post's cashtags in their order, each once, joined by commas."""
    tags = entities.get("cashtags") if type(entities) is dict else None
    texts = [tag.get("tag") for tag in tags if type(tag) is dict] if type(tags) is list else []
    names = [text.upper() for text in texts if type(text) is str and text.isascii()]
    return ",".join(dict.fromkeys(name for name in names if TICKER.fullmatch(name)))


def unread(page: Mapping[str, Any], instrument: str) -> list[Reject]:
    """Return the `errors` beside posts, without their texts."""
    errors = page.get("errors")
    if type(errors) is not list:
        return []
    kept = [
        {name: one.get(name) for name in ("type", "resource_type", "resource_id")} if type(one) is dict else one
        for one in errors
    ]
    return [answers.reject(one, rule="missing_field", reason=_UNREAD_SHAPE, instrument=instrument) for one in kept]
