"""What Finnhub's errors mean.

Deliberately not here: which of them counts first (../finnhub.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../finnhub.py.
"""

from __future__ import annotations

import re
from typing import Any

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.finnhub_parts import rows
from ingest.wire import Answer

_NAME = "finnhub"
#: A reset further off than this can't be of a limit of a minute.
_LONGEST_RESET_S = 3600.0
_LIMIT, _NO_KEY = re.compile(r"limit reached|too many requests"), re.compile(r"please sign ?up|api key|token")
_NO_ACCESS = re.compile(r"access to this resource|premium")


def said_in(answer: Answer) -> str:
    """Return the text of an error, lower case: of `error`, or the body where it is not JSON. Never quoted."""
    if 200 <= answer.status < 300:
        text = answers.error_object(answer, b'"error"').get("error")
        return str(text).lower() if text is not None else ""
    return answer.body[:1000].decode(errors="replace").lower()


def by_status(answer: Answer, said: str) -> TickfarmError | None:
    """429 without a key says "Please sign up" ("if your token field is empty": issues, 122)."""
    if answer.status == 429 and _NO_KEY.search(said):
        return _key_refused(answer)
    error = answers.limit_or_outage(_NAME, answer)
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        error.retry_after_s = _until_reset_s(answer)
    if error is not None or answer.status not in (401, 403):
        return error
    if answer.body[:64].lstrip()[:1] == b"<":
        text = f"{_NAME}: HTTP {answer.status} with an HTML page, as its CDN's bot check sends"
        return TryAgain(text, provider=_NAME, status=answer.status)
    # Once a 401, too: "You don't have access to this resource." (issues, 405).
    return _key_refused(answer) if answer.status == 401 and not _NO_ACCESS.search(said) else _not_entitled(answer)


def in_a_200(answer: Answer) -> TickfarmError | None:
    said = said_in(answer)
    if not said:
        return None
    if _LIMIT.search(said) and not _NO_KEY.search(said):
        text = f"{_NAME} says slow down, in a 200"
        return SlowDown(text, provider=_NAME, status=answer.status, retry_after_s=_until_reset_s(answer))
    if _NO_ACCESS.search(said):
        return _not_entitled(answer)
    if _NO_KEY.search(said):
        return _key_refused(answer)
    text = f"{_NAME} refused {answer.request.path} in a 200; see the archived answer"
    return FixRequest(text, provider=_NAME, status=200, instrument=answers.only_instrument(answer))


def _key_refused(answer: Answer) -> KeyRefused:
    text = f"{_NAME} does not accept the key; set FINNHUB_API_KEY to one of https://finnhub.io/dashboard"
    return KeyRefused(text, provider=_NAME, status=answer.status)


def _not_entitled(answer: Answer) -> FixRequest:
    text = f"{_NAME}: the key's plan does not include {answer.request.path} for this symbol"
    return FixRequest(text, provider=_NAME, status=answer.status, instrument=answers.only_instrument(answer))


def _until_reset_s(answer: Answer) -> float | None:
    """Return the seconds until X-Ratelimit-Reset, an epoch second, where it is there and can be one."""
    text = answer.headers.get("x-ratelimit-reset", "")
    if not re.fullmatch(r"\d{10}", text, re.ASCII):
        return None
    wait_s = int(text) - epoch_us(answer.received_at) / 1_000_000
    return wait_s if 0.0 <= wait_s <= _LONGEST_RESET_S else None


def unknown_symbol(answer: Answer) -> UnknownName | None:
    """Return the error that the zeros of an unknown symbol stand for: no price, and no time."""
    if answer.request.path not in ("/quote", "/stock/bidask") or len(answer.body) > 1_000:
        return None
    try:
        page: Any = answers.load(_NAME, answer, numbers_as_text=True)
    except TickfarmError:
        return None
    cells = ("c", "t") if answer.request.path == "/quote" else ("a", "b", "t")
    if type(page) is not dict or cells[0] not in page or not all(rows.is_zero(page.get(cell)) for cell in cells):
        return None
    given = answers.only_instrument(answer) or ""
    unknown = UnknownName("instrument", given, ("those that /search finds",), provider=_NAME)
    unknown.instrument, unknown.status = given, answer.status
    return unknown
