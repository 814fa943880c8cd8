"""What a dialect is: the few types that server, faults and dialects share.

Deliberately not here: HTTP bytes (`server.py`) and what any one provider says (`dialects/`).
Invariant: a dialect is a pure function of the request and its own spending; it never reads a clock or a socket.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, runtime_checkable

JSON_TYPE = "application/json;charset=UTF-8"

TimeSpoiling = Literal["future", "misaligned", "microseconds", "seconds"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a provider sees it: `path` starts after the provider's name, `headers` are lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    client: str
    now_s: float
    connection: str = ""

    @property
    def now_ms(self) -> int:
        return int(self.now_s * 1000)


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One request as it came over the wire: `target` with its query, `headers` in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    client: str
    #: tells one connection of the client's from another
    connection: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer; Content-Length, Date and Connection are the server's business."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON_TYPE


# Work that ends in an answer, done in a thread aside so that other requests need not wait for it.
LongWork = Callable[[], Answer]


@dataclass(slots=True)
class Page:
    """A body taken apart into rows of raw JSON cell texts, so that a fault can alter one row and nothing else.

    `prices` maps open, high, low, close to their cell; `times` are the cells that carry the row's time.
    `spoil_time(how, cell, now_s)` returns the cell with a wrong time, in the provider's own notation.
    """

    head: str
    rows: list[list[str]]
    tail: str
    prices: Mapping[str, int]
    times: tuple[int, ...]
    spoil_time: Callable[[TimeSpoiling, str, float], str]

    def text(self) -> str:
        return self.head + ",".join(f"[{','.join(row)}]" for row in self.rows) + self.tail


class Dialect(Protocol):
    """One provider. A module in `dialects/` is one: its file name is the provider's, `open_dialect(seed)` makes it.

    `limits` are dials an operator of the sandbox may turn (`POST /sandbox/limits`); `error_body` is the body of a
    server-side failure in this provider's words.
    """

    limits: dict[str, int]
    error_body: bytes

    def answer(self, request: Request) -> Answer | LongWork:
        """Answer one request, spending the caller's allowance; or return work that takes longer than a few ms."""
        ...

    def page(self, body: bytes) -> Page | None:
        """Take a body of rows apart, or None where the body is no page of rows."""
        ...

    def truth(self) -> dict[str, dict[str, object]]:
        """Say per native symbol what a complete copy of this provider holds."""
        ...

    def forget_spending(self) -> None:
        """Start all allowances anew."""
        ...


@dataclass(frozen=True, slots=True)
class Example:
    """A dataset of one instrument, and a closed window of it, that a farm must copy whole.

    `instrument` is spelled as people do (`BTC-USD`, `AAPL`, `UNRATE`), whatever the provider calls it. `start` and
    `end` are ISO moments, half-open; both empty for what has no history (quotes, books): then the newest is polled.
    Where a provider reaches back some days only, they are relative: `-2d01:30:00` is two days ago at 01:30 UTC, and
    `-00:05:00` five minutes ago, on the second (`placed` gives them their dates).
    """

    dataset: str
    instrument: str
    interval: str = ""
    start: str = ""
    end: str = ""


def placed(example: Example, now_s: float) -> Example:
    """Return the example with its relative moments as ISO ones of the days before `now_s`."""
    return replace(example, start=_placed(example.start, now_s), end=_placed(example.end, now_s))


def _placed(moment: str, now_s: float) -> str:
    if not moment.startswith("-"):
        return moment
    if "d" not in moment:
        hours, minutes, seconds = map(int, moment[1:].split(":"))
        ago = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return f"{datetime.fromtimestamp(int(now_s), UTC) - ago:%Y-%m-%dT%H:%M:%S}Z"
    days, _, clock = moment[1:].partition("d")
    day = datetime.fromtimestamp(now_s, UTC).date() - timedelta(days=int(days))
    return f"{day.isoformat()}T{clock}Z"


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """One of the provider's own errors: how the sandbox is made to answer with it, and what must follow.

    `example` is asked for while `fault` (the document of `POST /sandbox/faults`, without `provider`) is armed, with
    `key` in place of the right one where it is given. `decision` is what a client must do, by the documentation:
    `again` (its side failed), `wait` (throttled, for seconds or minutes), `quota` (spent until the calendar turns or
    the month ends), `key` (the credential is refused), `plan` (not entitled: never), `request` (never as asked),
    `unknown` (no such instrument), `nothing` (no error: an empty answer). `source` says where that stands.
    """

    name: str
    example: Example
    decision: Literal["again", "wait", "quota", "key", "plan", "request", "unknown", "nothing"]
    source: str
    fault: Mapping[str, object] = field(default_factory=dict)
    key: str = ""


@runtime_checkable
class Conforming(Protocol):
    """A dialect that says itself what must come of it, for the conformance test and the benchmark of the parsers.

    Worked out from its own market, never by parsing its own answers.
    """

    def examples(self) -> Sequence[Example]:
        """Return at least one example of each dataset, with a window of several pages where there is paging."""
        ...

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        """Return the rows a whole copy of the example holds at `now_s`, oldest first.

        A row has `ts` (ISO, UTC) and the columns of the dataset's table that the provider fills, as text with the
        provider's own digits; names in a list are joined by commas. Columns that it never fills are left out, `ts` of
        quotes and books that it does not date, too.
        """
        ...

    def error_cases(self) -> Sequence[ErrorCase]:
        """Return at least three of the provider's own errors."""
        ...


@runtime_checkable
class Banning(Protocol):
    """A dialect whose provider bans a client for a time, and says so in its own words."""

    def banned_answer(self, until_s: float, *, now_s: float) -> Answer:
        """Return what a client that is banned until then gets now, whatever it asks for."""
        ...
