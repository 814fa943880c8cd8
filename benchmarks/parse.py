"""Parse: how many rows a second a provider's parser makes of its own pages, and the frame and the rules of them.

The pages are the sandbox's, made in this process before anything is measured, of the examples each dialect has.
Deliberately not here: sockets, decompression, PostgreSQL (ingest.py). Invariant: no figure is printed for pages of
which a row was refused, and every round does the same work.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import sandbox.contract
from benchmarks.conformance_play import KEY, dialect_of
from ingest import providers
from ingest.market.intervals import SECONDS
from ingest.market.quality import check
from ingest.market.records import Parsed
from ingest.pipeline import frames
from ingest.providers.contract import Provider, Query
from ingest.wire import Answer, Request
from sandbox.contract import Conforming, Example, placed

NAME = "parse"
HELP = "rows a second of each provider's parser, and of the frame and the rules after it, in one process"
#: As many as a job of history has of Binance's largest page.
PAGES = 5


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--only", nargs="+", metavar="PROVIDER", help="these providers only")
    options.add_argument("--rounds", type=int, default=7, help="whose median is told (default: %(default)s)")
    options.add_argument("--seconds", type=float, default=0.2, help="of each round (default: %(default)s)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every dataset of every provider whose dialect has examples, and return the figures."""
    rows_s: dict[str, dict[str, Any]] = {}
    for name in options.only or providers.names():
        dialect = dialect_of(name)
        if isinstance(dialect, Conforming):
            found = (pages_of(providers.get(name), dialect, asked) for asked in _questions(dialect.examples()))
            rows_s[name] = {
                dataset: measured(pages, rounds=options.rounds, seconds=options.seconds)
                for dataset, pages in _largest(found).items()
            }
    return {"rows_s": rows_s, "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"}


@dataclass(frozen=True, slots=True)
class Pages:
    """The first pages of a question, whole and good."""

    provider: Provider
    query: Query
    answers: Sequence[Answer]

    def parsed(self) -> list[Parsed]:
        """Return what the parser makes of each."""
        return [self.provider.parse(self.query, answer) for answer in self.answers]

    def checked(self, parsed: Sequence[Parsed]) -> int:
        """Make the frame and hold the rules against it, as the pipeline does; return the rows that are good."""
        answers, query = self.answers, self.query
        parts = [(i, one, answers[i].sent_at, answers[i].received_at) for i, one in enumerate(parsed)]
        good, _ = check(
            frames.batch(parts, query.dataset),
            dataset=query.dataset,
            interval=query.interval if query.interval in SECONDS else None,
            start=query.start,
            end=query.end if query.start is not None else None,
            observed_at=answers[0].sent_at,
        )
        return good.height

    @property
    def page_rows(self) -> int:
        """Return the rows of the largest page."""
        return max(len(one.columns["instrument"]) for one in self.parsed())


def measured(pages: Pages, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Return a dataset's figures. Raises RuntimeError where a row is refused."""
    parsed = pages.parsed()
    rows = sum(len(one.columns["instrument"]) for one in parsed)
    if not rows or any(one.rejects for one in parsed) or pages.checked(parsed) != rows:
        raise RuntimeError(f"expected only good rows in {pages.answers[0].request}, found others among its {rows}")
    return {
        "page_rows": pages.page_rows,
        "page_bytes": max(len(answer.body) for answer in pages.answers),
        "parse_rows_s": round(rows * _times_s(pages.parsed, rounds, seconds)),
        "checked_rows_s": round(rows * _times_s(lambda: pages.checked(parsed), rounds, seconds)),
    }


def pages_of(provider: Provider, dialect: Any, query: Query) -> Pages:
    """Return a question's first pages. Raises RuntimeError for an error in one."""
    answers: list[Answer] = []
    left = provider.build(query)
    while left and len(answers) < PAGES:
        answers.append(_answer(provider, dialect, left.pop(0)))
        error = provider.error_of(answers[-1])
        if error is not None:
            raise RuntimeError(f"expected a page, found {error}") from error
        following = provider.next_page(answers[-1].request, answers[-1])
        left += [] if following is None else [following]
    return Pages(provider, query, answers)


def _questions(examples: Sequence[Example]) -> list[Query]:
    """Return the examples as questions: those that differ in their instrument only are one, as in a poll of several."""
    now = datetime.now(UTC)
    together: dict[Example, list[str]] = {}
    for one in examples:
        example = placed(one, now.timestamp())
        key = Example(example.dataset, "", example.interval, example.start, example.end)
        together.setdefault(key, []).append(example.instrument)
    found = []
    for key, instruments in together.items():
        start, end = (datetime.fromisoformat(text).astimezone(UTC) if text else None for text in (key.start, key.end))
        dataset: Any = key.dataset
        found.append(Query(dataset, tuple(instruments), key.interval or None, start, now if end is None else end))
    return found


def _largest(found: Any) -> Mapping[str, Pages]:
    largest: dict[str, Pages] = {}
    for pages in found:
        best = largest.get(pages.query.dataset)
        if best is None or pages.page_rows > best.page_rows:
            largest[pages.query.dataset] = pages
    return largest


def _answer(provider: Provider, dialect: Any, request: Request) -> Answer:
    """Ask the dialect, whose limits are not what is measured."""
    dialect.forget_spending()
    key, query, headers = provider.facts.key, dict(request.params), {"user-agent": NAME}
    headers |= {name.lower(): value for name, value in request.headers}
    if key is not None:
        place, name = (query, key.name) if key.place == "query" else (headers, key.name.lower())
        place[name] = f"{key.prefix}{KEY}"
    sent_at = datetime.now(UTC)
    said = dialect.answer(sandbox.contract.Request(request.path, query, headers, NAME, sent_at.timestamp()))
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    told = {name.lower(): value for name, value in said.headers}
    return Answer(request, said.status, told, said.body, sent_at, datetime.now(UTC))


def _times_s(work: Callable[[], Any], rounds: int, seconds: float) -> float:
    """Return how often a second the work can be done: the median of the rounds."""
    rates = []
    for _ in range(rounds):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds or not count:
            work()
            count += 1
        rates.append(count / (time.perf_counter() - began))
    return median(rates)
