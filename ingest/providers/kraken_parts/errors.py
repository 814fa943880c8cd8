"""What Kraken's errors mean.

Deliberately not here: which of them counts first (../kraken.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../kraken.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "kraken"
#: "Temporary lockouts typically last approximately 15 minutes." Source: support, article 360001491786.
LOCKOUT_S = 900.0
_NO_ERROR = re.compile(rb'\s*\{\s*"error"\s*:\s*\[\s*\]')
_THROTTLED_UNTIL = re.compile(r"Throttled:\s*(\d{10})\b", re.ASCII)
_UNKNOWN_PAIR = "a pair does not exist; ask for each by itself to see which"
#: What an entry of `error` means; any other is a FixRequest. Source: support, article 360001491786; guides, errors.
_ERRORS: tuple[tuple[re.Pattern[str], type[TickfarmError], str], ...] = (
    (re.compile(r"EService:\s*Throttled"), SlowDown, "too many requests at once"),
    (re.compile(r"EGeneral:Temporary lockout"), SlowDown, "it has locked us out for a while"),
    (re.compile(r"E\w+:Rate limit exceeded|EGeneral:Too many requests"), SlowDown, "too many requests"),
    (re.compile(r"EQuery:(Unknown|Invalid) asset"), FixRequest, _UNKNOWN_PAIR),
    (re.compile(r"EService:|EDatabase:|EGeneral:(Internal|Unknown) error"), TryAgain, "its side failed"),
    (re.compile(r"EAPI:|EAuth:|EGeneral:Permission"), FixRequest, "it wants a key, which market data needs none of"),
)


def texts_of(answer: Answer) -> list[str]:
    """Return the entries of `error` but for warnings. Pages of rows begin with an empty one and are not decoded."""
    if _NO_ERROR.match(answer.body):
        return []
    try:
        body = answers.load(_NAME, answer)
    except BadData:
        return []
    texts = body.get("error") if type(body) is dict else None
    return [text for text in texts if type(text) is str and text[:1] not in ("W", "")] if type(texts) is list else []


def listed(texts: Sequence[str], answer: Answer) -> TickfarmError | None:
    if not texts:
        return None
    instrument = answers.only_instrument(answer)
    known = (rule for rule in _ERRORS if any(rule[0].match(text) for text in texts))
    _, kind, advice = next(known, (None, FixRequest, "it can't answer the request as asked"))
    if advice is _UNKNOWN_PAIR and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those in /0/public/AssetPairs",), provider=_NAME)
        unknown.instrument, unknown.status = instrument, answer.status
        return unknown
    message = f"kraken error for {answer.request.path}: {advice}"
    wait = answers.retry_after_s(answer.headers)
    return kind(message, provider=_NAME, instrument=instrument, status=answer.status, retry_after_s=wait)


def told_wait_s(texts: Sequence[str], answer: Answer) -> float | None:
    """Return the wait that the error states: "EService: Throttled: [UNIX timestamp]", or that of a lockout."""
    for text in texts:
        until = _THROTTLED_UNTIL.search(text)
        if until is not None:
            return max(0.0, int(until[1]) - epoch_us(answer.received_at) / 1_000_000)
    return LOCKOUT_S if any("Temporary lockout" in text for text in texts) else None


def bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a refusal in HTML: its own refusals are JSON, so that one is its CDN's, and passes."""
    if 400 <= answer.status < 500 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"kraken: HTTP {answer.status} with an HTML page, as its CDN's bot check sends"
        return TryAgain(said, provider=_NAME, status=answer.status)
    return None
