"""What Binance's errors mean: `{"code":-1121,"msg":"Invalid symbol."}`, and until when an address is banned.

Deliberately not here: which of them counts first (../binance.py). Invariant: no text of theirs is quoted.
Source: https://github.com/binance/binance-spot-api-docs errors.md, 2026-07-21.
"""

from __future__ import annotations

import re
from typing import Any

from ingest.errors import FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.times import epoch_ms
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "binance"
_SPARE_KEY = "the API key was refused; market data needs none, so unset BINANCE_API_KEY"
_TROUBLE = "its side failed; reads may be repeated"
_BAD_SYMBOL = -1121
#: What to do about a code; any other negative one is a FixRequest. Source: errors.md, 2026-07-21.
_CODES: dict[int, tuple[type[TickfarmError], str]] = {
    -1000: (TryAgain, _TROUBLE),  # UNKNOWN
    -1001: (TryAgain, _TROUBLE),  # DISCONNECTED
    -1006: (TryAgain, _TROUBLE),  # UNEXPECTED_RESP
    -1007: (TryAgain, _TROUBLE),  # TIMEOUT
    -1008: (TryAgain, _TROUBLE),  # SERVER_BUSY
    -1016: (TryAgain, _TROUBLE),  # SERVICE_SHUTTING_DOWN
    -1003: (SlowDown, "too many requests"),  # TOO_MANY_REQUESTS
    -1002: (FixRequest, _SPARE_KEY),  # UNAUTHORIZED
    -2014: (FixRequest, _SPARE_KEY),  # BAD_API_KEY_FMT
    -2015: (FixRequest, _SPARE_KEY),  # REJECTED_MBX_KEY
    _BAD_SYMBOL: (FixRequest, "a symbol does not exist; ask for each by itself to see which"),
}
#: "IP banned until %s": epoch milliseconds. Source: errors.md -1003, 2026-07-21.
_BANNED_UNTIL = re.compile(r"until (\d{13})\b")


def coded(code: Any, answer: Answer) -> TickfarmError | None:
    """Return the error of `{"code":-1121,"msg":"Invalid symbol."}`, or None if `code` is no error code."""
    if type(code) is not int or code >= 0:
        return None
    instrument = answers.only_instrument(answer)
    if code == _BAD_SYMBOL and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those in /api/v3/exchangeInfo",), provider=_NAME)
        unknown.instrument, unknown.status = instrument, answer.status
        return unknown
    kind, advice = _CODES.get(code, (FixRequest, "it can't answer the request as asked"))
    message = f"binance error {code} for {answer.request.path}: {advice}"
    wait = answers.retry_after_s(answer.headers)
    return kind(message, provider=_NAME, instrument=instrument, status=answer.status, retry_after_s=wait)


def banned_for_s(text: str, answer: Answer) -> float | None:
    """Return how long a ban lasts that a text tells the end of."""
    until = _BANNED_UNTIL.search(text)
    return max(0.0, (int(until[1]) - epoch_ms(answer.received_at)) / 1000) if until else None
