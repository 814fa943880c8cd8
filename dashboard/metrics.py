"""`/metrics`: the farm's figures for Prometheus, read from PostgreSQL and Redis when they are asked for.

Open like every page that only reads; no secret, address or instrument is in it. Deliberately not here: what is counted
while it happens (ingest/pipeline/meters.py, report.lua) and which figures there are (metrics_families.py). Invariant: a
server that is away is `tickfarm_up 0` in a 200, and what it would have said is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dashboard import metrics_families as families
from ingest.errors import FixRequest
from ingest.pipeline.context import Context, open_redis, required
from ingest.settings import Settings
from ingest.telemetry import redact

#: Two Prometheus servers, or an impatient one, cost the farm's servers no more than one.
CACHED_S: Final = 3.0
#: A scrape is given up after 10 s by default; a query that takes this long is none for a scrape.
_STATEMENT_MS: Final = 5_000
_AWAY = (SQLAlchemyError, RedisError, FixRequest)

router = APIRouter(include_in_schema=False)
log = structlog.get_logger(__name__)


class Exporter(Collector):
    """Reads the farm's figures, at most every three seconds."""

    def __init__(self, config: Settings) -> None:
        self._context = Context(config, name="tickfarm exporter")
        self._lock = threading.Lock()
        self._found: list[Metric] = []
        self._read_at = -CACHED_S
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Say nothing: registering must not read."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return every family."""
        with self._lock:
            if time.monotonic() - self._read_at >= CACHED_S:
                self._found = self._read()
                self._read_at = time.monotonic()
            return self._found

    def close(self) -> None:
        """Close its connections."""
        self._context.close()

    def _read(self) -> list[Metric]:
        began, now, context = time.monotonic(), datetime.now(UTC), self._context
        up = GaugeMetricFamily("tickfarm_up", "Whether a server of the farm answers.", labels=["server"])
        of_postgres = self._try("postgresql", lambda: self._of_postgres(now))
        of_redis = self._try("redis", self._of_redis)
        up.add_metric(["postgresql"], float(of_postgres is not None))
        up.add_metric(["redis"], float(of_redis is not None))
        found = [up, *(of_postgres or ()), *(of_redis or ()), *families.of_the_machine()]
        if of_postgres is not None and of_redis is not None:
            found += self._try("both", lambda: list(families.of_providers(context, now))) or ()
        took = GaugeMetricFamily("tickfarm_scrape_duration_seconds", "How long this reading took.")
        took.add_metric([], time.monotonic() - began)
        return [*found, took]

    def _try(self, server: str, read: Callable[[], list[Metric]]) -> list[Metric] | None:
        try:
            return read()
        except _AWAY as error:
            log.warning("scraped_without", server=server, error=redact(str(error).partition("\n")[0]))
            return None

    def _of_postgres(self, now: datetime) -> list[Metric]:
        with self._context.sessions() as session:
            session.execute(text(f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {_STATEMENT_MS}"))
            return list(families.of_postgres(session, now))

    def _of_redis(self) -> list[Metric]:
        if "redis" not in vars(self._context):
            url = required(self._context.settings.redis_url, "REDIS_URL")
            self._context.redis = open_redis(url, is_patient=False)
        return list(families.of_redis(self._context.redis, self._context.settings))


def _exporter(request: Request) -> Exporter:
    found: Exporter = request.app.state.exporter
    return found


@router.get("/metrics")
def metrics(exporter: Annotated[Exporter, Depends(_exporter)]) -> Response:
    """Return the figures in Prometheus' text format."""
    return Response(generate_latest(exporter.registry), media_type=CONTENT_TYPE_LATEST)
