"""Alerts where beat can't send any: the dashboard looks twice a minute, and so tells when nobody leads.

Deliberately not here: what is told, and that it is told once (ingest/pipeline/alerts.py). Invariant: without addresses
to tell, nothing runs; and it ends with the application, within the time a message takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from ingest.pipeline.alerts import tell
from ingest.pipeline.context import Context

EVERY_S: Final = 30.0


@contextmanager
def watching(context: Context) -> Iterator[None]:
    """Tell what changed while the block runs."""
    if context.settings.tickfarm_alert_urls is None:
        yield
        return
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY_S):
            tell(context, datetime.now(UTC))

    thread = threading.Thread(target=watch, name="alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(EVERY_S)
