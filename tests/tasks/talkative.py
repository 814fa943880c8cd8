"""What a worker loads beside the farm's tasks (`--include`) to be as careless with a key as can be.

The key goes into the query string, and answers that hold the word BUG make the provider's file fail, quoting them.
"""

from __future__ import annotations

from dataclasses import replace

from ingest.errors import TickfarmError
from ingest.providers import nasdaq_data_link as provider
from ingest.wire import Answer

_careful = provider.error_of


def _quoting(answer: Answer) -> TickfarmError | None:
    if b"BUG" in answer.body:
        raise RuntimeError(f"can't read {answer.body!r} of {answer.request}")
    return _careful(answer)


if provider.facts.key is not None:
    provider.facts = replace(provider.facts, key=replace(provider.facts.key, place="query", name="api_key"))
provider.error_of = _quoting
