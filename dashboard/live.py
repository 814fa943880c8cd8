"""Tell open pages what has changed: one stream of server-sent events a tab, one look at the farm for all of them.

An event is named by its topic and carries nothing: the page asks for itself again (templates/live.html). Who comes back
after a pause is told of every topic, for it may have missed any. Deliberately not here: how a change is seen
(ingest/pipeline/changes.py). Invariant: nobody listens, nothing is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from ingest.pipeline.changes import Topic, marks
from ingest.pipeline.context import Context

#: Between two looks; a page is behind by no more than that and its own request.
LOOK_EVERY_S = 1.5
#: What an event is numbered with: its only use is that a browser which comes back says that it was here before.
_WAS_HERE = "1"

log = structlog.get_logger(__name__)
router = APIRouter(include_in_schema=False)


class Listener:
    """A stream's topics, and those that it has not been told of yet. A slow one is told once of many changes."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self.topics = frozenset(topics)
        self._untold: set[Topic] = set()
        self._news = asyncio.Event()

    def tell(self, topics: Iterable[Topic]) -> None:
        """Note what has changed."""
        self._untold |= self.topics.intersection(topics)
        if self._untold:
            self._news.set()

    async def next(self) -> list[Topic]:
        """Wait for a change, and return which topics have changed since the last call."""
        await self._news.wait()
        self._news.clear()
        told, self._untold = sorted(self._untold), set()
        return told


class Changes:
    """The one look at the farm, begun for the first listener and ended after the last."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.listeners: set[Listener] = set()
        self._poller: asyncio.Task[None] | None = None
        #: how many looks there were
        self.looks = 0

    @property
    def is_looking(self) -> bool:
        """Say whether somebody listens, and so the farm is looked at."""
        return self._poller is not None

    def join(self, listener: Listener) -> None:
        """Begin to tell a listener."""
        self.listeners.add(listener)
        if self._poller is None:
            self._poller = asyncio.create_task(self._look())

    def leave(self, listener: Listener) -> None:
        """Tell it no more."""
        self.listeners.discard(listener)
        if not self.listeners and self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def _look(self) -> None:
        seen: Mapping[Topic, tuple[str, ...]] = {}
        while True:
            wanted = frozenset[Topic]().union(*(one.topics for one in self.listeners))
            try:
                found = await run_in_threadpool(marks, self._context, wanted)
            except (SQLAlchemyError, RedisError):  # pages say so themselves; what changed meanwhile is seen later
                log.info("changes_not_seen", exc_info=True)
                found = dict(seen)
            self.looks += 1
            changed = [topic for topic, mark in found.items() if topic in seen and seen[topic] != mark]
            for listener in self.listeners:
                listener.tell(changed)
            seen = found
            await asyncio.sleep(LOOK_EVERY_S)


@router.get("/events", response_class=EventSourceResponse)
async def stream(
    request: Request,
    topics: Annotated[list[Topic], Query(min_length=1)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Name each of these topics when it changes, until the page goes."""
    changes: Changes = request.app.state.changes
    listener = Listener(topics)
    changes.join(listener)
    if last_event_id is not None:
        listener.tell(listener.topics)
    try:
        yield ServerSentEvent(event="here", id=_WAS_HERE, raw_data="")
        while True:
            for topic in await listener.next():
                yield ServerSentEvent(event=topic, id=_WAS_HERE, raw_data="")
    finally:
        changes.leave(listener)
