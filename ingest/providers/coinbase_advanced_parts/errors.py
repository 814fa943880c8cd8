"""What Coinbase Advanced Trade's errors mean: `{"error":".."}` and `{"errors":[{"id":".."}]}`.

Deliberately not here: which of them counts first (../coinbase_advanced.py). Invariant: the texts beside a code, which
repeat what was asked, are never quoted.
"""

from __future__ import annotations

from ingest.errors import SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "coinbase_advanced"
#: Codes of `{"error":".."}` and of `{"errors":[{"id":".."}]}` that say more than the status; any other is FixRequest.
_SLOW, _ITS_SIDE = frozenset({"rate_limit_exceeded", "resource_exhausted"}), frozenset({"internal_server_error"})


def coded(answer: Answer) -> TickfarmError | None:
    """Return the error of a known code, whatever the status. The texts beside it repeat what was asked."""
    body = answers.error_object(answer, b'"error')
    listed_errors = body.get("errors")
    first = listed_errors[0] if type(listed_errors) is list and listed_errors else None
    code = str(body.get("error") or (first.get("id") if type(first) is dict else "")).casefold()
    instrument = answers.only_instrument(answer)
    if code == "not_found" and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those it lists",), provider=_NAME)
        unknown.instrument, unknown.status = instrument, answer.status
        return unknown
    kind = SlowDown if code in _SLOW else TryAgain if code in _ITS_SIDE else None
    if kind is None:
        return None
    wait = answers.retry_after_s(answer.headers)
    said = f"{_NAME} can't answer {answer.request.path} now (HTTP {answer.status}): {code}"
    return kind(said, provider=_NAME, status=answer.status, retry_after_s=wait)


def bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a refusal in HTML: its own refusals are JSON, so that one is its CDN's, and passes."""
    if 400 <= answer.status < 500 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"{_NAME}: HTTP {answer.status} with an HTML page, as its CDN's bot check sends"
        return TryAgain(said, provider=_NAME, status=answer.status)
    return None
