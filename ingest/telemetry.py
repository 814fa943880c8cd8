"""Logs: structlog to stderr, as text on a terminal and JSON elsewhere, with secrets taken out; what a line belongs to.

Invariant: no line leaves a process with a registered secret in it, wherever it came from.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from html import escape
from typing import Any, Literal
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor

#: What carries a correlation id in a Celery message, and in a request of the API.
MESSAGE_HEADER, REQUEST_HEADER = "tickfarm_correlation_id", "X-Request-ID"
#: What a correlation id from outside may be: it stands in every line.
_CORRELATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
#: Shorter values would redact ordinary words.
_SHORTEST_SECRET = 6
_secrets: set[str] = set()


def register_secret(value: str) -> None:
    """Keep a value out of every log line and dead letter from now on, as it is, in a URL, in JSON and in a repr."""
    if len(value) >= _SHORTEST_SECRET:
        _secrets.update(_spellings(value))


def _spellings(value: str) -> set[str]:
    """Return how URLs, JSON (slashes escaped or not, ASCII or not), HTML and a repr write the value."""
    in_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    in_url = {quote(value, safe=""), quote(value), quote_plus(value)}
    return {
        value,
        repr(value)[1:-1],
        escape(value),
        escape(value, quote=False),
        *in_json,
        *(one.replace("/", "\\/") for one in in_json),
        *in_url,
        *(re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), one) for one in in_url),
    }


def redact(text: str) -> str:
    """Return the text with every registered secret replaced by ***."""
    # The longest first: a secret may begin another, whose end would be left standing. A copy, since threads register.
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def holds_secret(body: bytes) -> bool:
    """Say whether a registered secret stands in it: one search of 1.6 GB/s (measured) for each spelling of each."""
    return any(secret.encode(errors="surrogateescape") in body for secret in tuple(_secrets))


def redact_bytes(body: bytes) -> bytes:
    """Return a body with every registered secret replaced by ***, in UTF-8: whatever parsed before still parses.

    A secret of digits alone becomes 0, and only where no longer number holds it: in JSON it may stand without quotes.
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        spelling = secret.encode(errors="surrogateescape")
        if spelling in body:
            alone = re.compile(rb"(?<![0-9.])%b(?![0-9.])" % spelling)
            body = alone.sub(b"0", body) if spelling.isdigit() else body.replace(spelling, b"***")
    return body


def redact_error(error: Exception) -> None:
    """Take every registered secret out of an error's message, which may quote what a provider said."""
    error.args = tuple(redact(one) if isinstance(one, str) else one for one in error.args)


def correlate(correlation_id: str) -> None:
    """Put this id into every line of what runs from here on (this task, this request), until another one begins."""
    structlog.contextvars.bind_contextvars(correlation_id=correlation_id)


def correlation() -> str | None:
    """Return the id of what runs here."""
    found = structlog.contextvars.get_contextvars().get("correlation_id")
    return None if found is None else str(found)


def is_correlation(text: object) -> bool:
    """Say whether this may be taken for a correlation id."""
    return isinstance(text, str) and _CORRELATION.fullmatch(text) is not None


def setup_logs(style: Literal["auto", "json", "text"] = "auto", *, level: str = "info") -> None:
    """Send structlog and the standard library's logs through one redacting chain to stderr."""
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=text and "NO_COLOR" not in os.environ)
    if not text:
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_event,
                renderer,
                _redact_line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _redact_event(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Redact the texts before the renderer escapes what stands in them, once more than a secret's known spellings."""
    return {name: _redacted(value) for name, value in event.items()}


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {name: _redacted(one) for name, one in value.items()}
        case list() | tuple():
            return [_redacted(one) for one in value]
        case _:
            return value


def _redact_line(_logger: Any, _method: str, line: str | EventDict) -> str:
    """Redact the finished line too: names, and values whose text only the renderer made."""
    return redact(str(line))
