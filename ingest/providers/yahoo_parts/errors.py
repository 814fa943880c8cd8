"""What Yahoo's errors mean: `{"chart":{"error":{"code":..}}}`, and the texts and pages of its edge.

Deliberately not here: which of them counts first (../yahoo.py). Invariant: no description is quoted, since it repeats
what was asked.
"""

from __future__ import annotations

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import answers
from ingest.providers.yahoo_parts import quotes
from ingest.wire import Answer

_NAME = "yahoo"
_BLOCKED = b"Too Many Requests"
#: What a `code` of an error object means. Sources: yfinance, const.py and tests; any other is a FixRequest.
_ITS_SIDE = ("Internal Server Error", "internal-error", "Service Unavailable", "Gateway Timeout")


def told(answer: Answer) -> tuple[str, str]:
    """Return code and description of `{"chart":{"error":{..}}}` (or `finance`, `quoteResponse`), else two ""."""
    body = answers.error_object(answer, b'"error"')
    for part in body.values():
        error = part.get("error") if type(part) is dict else None
        if type(error) is dict:
            return str(error.get("code") or "?"), str(error.get("description"))
    return "", ""


def coded(code: str, answer: Answer) -> TickfarmError:
    """Return the error that a code is of."""
    instrument = answers.only_instrument(answer)
    if code == "Not Found" and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those its search finds",), provider=_NAME)
        unknown.instrument, unknown.status = instrument, answer.status
        return unknown
    if code in _ITS_SIDE:
        return TryAgain(f"{_NAME} failed on its side", provider=_NAME, status=answer.status)
    if code == "Unauthorized" and answer.request.path == quotes.PATH:
        said = "the cookie and the crumb were refused; set YAHOO_COOKIE and YAHOO_CRUMB anew, both of one visit"
        return KeyRefused(f"{_NAME}: {said}", provider=_NAME, status=answer.status)
    if code == "Unauthorized":
        advice = "it wants a cookie and a crumb, which charts need none of; it may have closed them to this address"
    else:
        advice = "it can't answer the request as asked; minutes reach back 30 days, 5m and 15m 60, hours 730"
    message = f"{_NAME} error for {answer.request.path}: {advice}"
    return FixRequest(message, provider=_NAME, instrument=instrument, status=answer.status)


def blocked(answer: Answer) -> SlowDown | None:
    """Return SlowDown for `Too Many Requests` or `Edge: Too Many Requests` as text, whatever its status."""
    if _BLOCKED not in answer.body[:64] or answer.body[:1] == b"{":
        return None
    wait = answers.retry_after_s(answer.headers)
    said = f"{_NAME} blocks this address for a while (HTTP {answer.status})"
    return SlowDown(said, provider=_NAME, status=answer.status, retry_after_s=wait)


def bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a 403 that is no JSON: its edge's doing, which passes, and no verdict on the request."""
    if answer.status == 403 and answer.body[:64].lstrip()[:1] != b"{":
        said = f"{_NAME}: HTTP 403 without an error code, as its edge sends to what looks like no browser"
        return TryAgain(said, provider=_NAME, status=403)
    return None
