"""What every use case works with, made once a process and after the fork: database, Redis, payloads, HTTP client."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from pydantic import SecretStr
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from sqlalchemy.orm import Session, sessionmaker

from ingest.archive import Archive, FolderArchive
from ingest.errors import FixRequest
from ingest.payloads import Payloads
from ingest.pipeline.leases import LeaseKeeper
from ingest.pipeline.meters import Meters
from ingest.pipeline.provider_state import may_hold_connections, seed_of, sent_by
from ingest.settings import Settings
from ingest.transport.client import Client, open_client
from ingest.transport.connections import ConnectionLeases
from ingest.transport.gate import Gate
from models import open_engine
from models.partitions import ensure_partitions, partitions_between

_HOW = "set it in the environment or .env, or start the embedded servers with `tickfarm demo`"


#: provider, dataset, instrument, interval ('' where there is none)
SeriesKey = tuple[str, str, str, str]


@dataclass
class Context:
    """Opens each part on first use. Not shared between processes; `close` it before the process ends."""

    settings: Settings
    #: False in processes that fork: a connection per use, none inherited by children
    pooled: bool = True
    name: str = "tickfarm"
    #: what this process has seen committed; a series is never taken away, a partition is by retention
    series_ids: dict[SeriesKey, int] = field(default_factory=dict)
    _partitions: set[str] = field(default_factory=set)

    @cached_property
    def sessions(self) -> sessionmaker[Session]:
        """Return the maker of database sessions."""
        url = required(self.settings.database_url, "DATABASE_URL")
        engine = open_engine(url, application_name=self.name, pooled=self.pooled)
        return sessionmaker(engine, expire_on_commit=False)

    @cached_property
    def redis(self) -> Redis:
        """Return the Redis client; it returns bytes."""
        return open_redis(required(self.settings.redis_url, "REDIS_URL"))

    @cached_property
    def payloads(self) -> Payloads:
        """Return what keeps payloads and batches."""
        return Payloads(self.redis, self.archive)

    @cached_property
    def archive(self) -> Archive:
        """Return where payloads are kept for days."""
        return open_archive(self.settings)

    @cached_property
    def client(self) -> Client:
        """Return the HTTP client."""
        config = self.settings
        leases = ConnectionLeases(
            self.redis,
            most=config.tickfarm_most_connections,
            may_be_held=lambda: may_hold_connections(self.sessions),
        )
        return open_client(config.tickfarm_transport, connections=config.tickfarm_connections, leases=leases)

    @cached_property
    def gate(self) -> Gate:
        """Return the gate to the providers."""
        return Gate(
            self.redis,
            lambda ask: seed_of(self.sessions, ask),
            lambda ask, jobs: sent_by(self.sessions, ask, jobs),
        )

    @cached_property
    def leases(self) -> LeaseKeeper:
        """Return what renews the leases of running work."""
        return LeaseKeeper(self.sessions)

    @cached_property
    def meters(self) -> Meters:
        """Return what counts the work of this process."""
        return Meters(self.redis)

    def make_room(self, table: str, first: datetime, last: datetime) -> None:
        """Make the partitions rows of `[first, last]` need, in a transaction of its own. Free once they were seen."""
        # All of them: a batch may span years of which this process has only written the first and the last so far.
        if {name for name, _, _ in partitions_between(table, first, last)} <= self._partitions:
            return
        with self.sessions.begin() as session:
            made = ensure_partitions(session, table, first, last)
        self._partitions.update(made)

    def forget_partitions(self) -> None:
        """Look for partitions anew: retention has dropped one that this process had seen."""
        self._partitions.clear()

    def close(self) -> None:
        """Close what was opened."""
        opened = vars(self)
        if "meters" in opened:
            self.meters.flush()
        if "leases" in opened:
            self.leases.close()
        if "client" in opened:
            self.client.close()
        if "archive" in opened:
            self.archive.close()
        if "redis" in opened:
            self.redis.close()
        if "sessions" in opened:
            self.sessions.kw["bind"].dispose()


def open_archive(settings: Settings) -> Archive:
    """Return the folder or the bucket that the settings name."""
    bucket = settings.archive_bucket
    if bucket is None:
        return FolderArchive(settings.archive_dir)
    try:
        from ingest.bucket import BucketArchive  # noqa: PLC0415 - obstore may be absent
    except ImportError:
        raise FixRequest("TICKFARM_ARCHIVE_URL needs an extra package: pip install 'tickfarm[s3]'") from None
    return BucketArchive(bucket)


def open_redis(url: str, *, is_patient: bool = True) -> Redis:
    """Return a client with bounded waits: a dead Redis is an error within seconds, not a hang; an impatient one asks
    once, for two seconds.
    """
    return Redis.from_url(
        url,
        socket_timeout=15 if is_patient else 2,
        socket_connect_timeout=5 if is_patient else 1,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), 3 if is_patient else 0),
    )


def required(value: SecretStr | None, name: str) -> str:
    """Return a setting's value. Raises FixRequest that says how to set it."""
    if value is None:
        raise FixRequest(f"{name} is not set: {_HOW}")
    return value.get_secret_value()
