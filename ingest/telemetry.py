"""Logs: structlog to stderr, as text on a terminal and JSON elsewhere, with secrets taken out.

Invariant: no line leaves a process with a registered secret in it, wherever it came from.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any, Literal
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor

#: Shorter values would redact ordinary words.
_SHORTEST_SECRET = 6
_secrets: set[str] = set()


def register_secret(value: str) -> None:
    """Keep a value out of every log line and dead letter from now on, as it is, in a URL, in JSON and in a repr."""
    if len(value) >= _SHORTEST_SECRET:
        _secrets.update((value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]))


def redact(text: str) -> str:
    """Return the text with every registered secret replaced by ***."""
    # The longest first: a secret may begin another, whose end would be left standing. A copy, since threads register.
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def setup_logs(style: Literal["auto", "json", "text"] = "auto", *, level: int = logging.INFO) -> None:
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
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
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
    root.setLevel(level)


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
