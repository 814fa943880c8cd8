"""Asking each provider once when a farm starts, beside it: who can't be reached is said in one line, and no more.

Deliberately not here: what is fetched (workers). Invariant: nothing waits for this, and nothing it finds ends the farm;
a provider that is away now is asked again by every job that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from queue import SimpleQueue
from threading import Thread

from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ingest import providers
from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError
from ingest.pipeline.calls import check_interval
from ingest.pipeline.context import Context
from ingest.pipeline.instruments import ask
from ingest.pipeline.terms import disabled
from ingest.providers.contract import Provider, Query
from ingest.settings import Settings
from ingest.wire import Request
from models import Series


def ask_each(config: Settings) -> SimpleQueue[str]:
    """Ask, in a thread, each provider of a followed series (or, if nothing is, each that needs no key).

    Return where a sentence for each arrives.
    """
    said: SimpleQueue[str] = SimpleQueue()
    Thread(target=_ask_all, args=(config, said), name="first questions", daemon=True).start()
    return said


def _ask_all(config: Settings, said: SimpleQueue[str]) -> None:
    with closing(Context(config, name="tickfarm up")) as context:
        try:
            questions = _questions(_followed(context))
            for name in sorted(questions.keys() - disabled(config)):
                said.put(_ask_one(context, providers.get(name), questions[name]))
        except (SQLAlchemyError, RedisError) as error:
            said.put(_line(f"the providers were not asked: {error}"))


def _followed(context: Context) -> list[Series]:
    with context.sessions() as session:
        return list(
            session.scalars(select(Series).where(Series.followed, Series.refused.is_(None)).order_by(Series.id))
        )


def _questions(followed: Sequence[Series]) -> dict[str, Request]:
    """Return what to ask of whom: the catalogue, or, where there is none, the newest rows of a followed series."""
    examples = {one.provider: one for one in reversed(followed) if one.provider in providers.names()}
    found: dict[str, Request] = {}
    for provider in (providers.get(name) for name in providers.names()):
        name, key = provider.facts.name, provider.facts.key
        if name in examples or (not examples and (key is None or not key.required)):
            request = provider.catalogue() or _newest(provider, examples.get(name))
            found |= {name: request} if request is not None else {}
    return found


def _ask_one(context: Context, provider: Provider, request: Request) -> str:
    """Ask, and return what to say of it."""
    try:
        ask(context, provider, request)
    except TickfarmError as error:
        return _line(_trouble(provider.facts.name, error))
    return f"{provider.facts.name} answers"


def _newest(provider: Provider, example: Series | None) -> Request | None:
    if example is None:
        return None
    [dataset] = [one for one in provider.facts.datasets if one == example.dataset]
    interval = check_interval(provider.facts, dataset, example.interval or None)
    return provider.build(Query(dataset, (example.instrument,), interval))[0]


def _trouble(name: str, error: TickfarmError) -> str:
    setting = f"TICKFARM_PROVIDERS__{name.upper()}__BASE_URL"
    match error:
        case SlowDown():
            return f"{name} wants to be left alone for now: {error}; its jobs wait and go on by themselves"
        case FixRequest():
            return f"{name} refuses us: {error}; check its key, or name another address of it with {setting}"
        case BadData():
            return f"{name} answers with something else: {error}; is there a proxy in between?"
        case _:
            then = "its jobs are repeated and go on by themselves once it can be"
            return f"{name} can't be reached: {error}; check the network, a proxy, or {setting}; {then}"


def _line(text: str) -> str:
    return " ".join(text.split())
