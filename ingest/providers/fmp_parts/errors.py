"""What Financial Modeling Prep's errors mean.

Deliberately not here: which of them counts first (../fmp.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../fmp.py.
"""

from __future__ import annotations

import re

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "fmp"
#: "Bandwidth Limit Reach": what is used in 30 days; nothing says when enough of it is over.
BANDWIDTH_WAIT_S = 6 * 3600.0
LIMIT, _BANDWIDTH = re.compile(r"limit reach"), re.compile(r"bandwidth")
_KEY = re.compile(r"invalid api key|api key missing|suspended")
_PLAN = re.compile(
    r"restricted endpoint|premium|special endpoint|exclusive endpoint|subscription|upgrade|legacy endpoint"
)


def said_in(answer: Answer) -> str:
    """Return an error's text, lower case: of the object, or the body where it is no JSON. Never quoted."""
    body = answer.body.lstrip()
    if body[:1] == b"[" or (200 <= answer.status < 300 and body[:1] == b"<"):
        return ""
    if body[:1] == b"{":
        found = answers.error_object(answer, b'"')
        text = found.get("Error Message", found.get("error"))
        return str(text).lower() if text is not None else ""
    return body[:1000].decode(errors="replace").lower()


def limit(said: str, answer: Answer) -> SlowDown:
    """Return the wait of a spent quota. A day's is told by our own count of it, so it names none."""
    if _BANDWIDTH.search(said):
        text = f"{_NAME}: the bandwidth of 30 days is used up"
        return SlowDown(text, provider=_NAME, status=answer.status, retry_after_s=BANDWIDTH_WAIT_S)
    text = f"{_NAME}: the plan's calls are used up"
    wait = answers.retry_after_s(answer.headers)
    return SlowDown(text, provider=_NAME, status=answer.status, retry_after_s=wait)


def refused(said: str, answer: Answer) -> TickfarmError | None:
    """Return what a status or a text refuses: the key, a part of the plan (of a symbol even), or the request."""
    status, only = answer.status, answers.only_instrument(answer)
    if status == 403 and answer.body[:64].lstrip()[:1] == b"<":
        text = f"{_NAME}: HTTP 403 with an HTML page, as its CDN's bot check sends"
        return TryAgain(text, provider=_NAME, status=status)
    if status == 401 or _KEY.search(said):
        text = f"{_NAME} does not accept the key; set FMP_API_KEY to one of its dashboard"
        return KeyRefused(text, provider=_NAME, status=status)
    if status == 402 or _PLAN.search(said):
        text = f"{_NAME}: the key's plan does not include {answer.request.path} for this symbol or these parameters"
        return FixRequest(text, provider=_NAME, status=status, instrument=only)
    refusal = answers.refusal(_NAME, answer)
    if refusal is None and said and answer.body.lstrip()[:1] == b"{":
        text = f"{_NAME} refused {answer.request.path} in a 200; see the archived answer"
        return FixRequest(text, provider=_NAME, status=status, instrument=only)
    return refusal


def unknown_symbol(answer: Answer) -> UnknownName | None:
    """A quote of a symbol that does not exist is an empty list; of bars that is a window without any."""
    if answer.request.path != "/quote" or answer.body.strip() != b"[]":
        return None
    given = answers.only_instrument(answer) or ""
    unknown = UnknownName("instrument", given, ("those that /search-symbol finds",), provider=_NAME)
    unknown.instrument, unknown.status = given, answer.status
    return unknown
