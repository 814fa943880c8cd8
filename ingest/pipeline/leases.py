"""Keeps the leases of running work: a thread per process that renews them all, in one statement, while work runs.

Work that takes less than the renewal period costs nothing. If the database is away, renewal is tried again until the
lease is over; then the fencing token keeps the late worker from writing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from ingest.pipeline import jobs

#: Two renewals may fail before a lease is lost.
RENEW_EVERY_S = jobs.LEASE_S / 3

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Holds the leases of this process's running jobs. Made after the fork; its thread starts on first use."""

    def __init__(self, sessions: sessionmaker[Session], *, renew_every_s: float = RENEW_EVERY_S) -> None:
        self._sessions = sessions
        self._renew_every_s = renew_every_s
        self._held: set[tuple[int, int]] = set()
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    @contextmanager
    def hold(self, job_id: int, attempt: int) -> Iterator[None]:
        """Keep this attempt's lease for as long as the block runs."""
        with self._lock:
            self._held.add((job_id, attempt))
            if self._thread is None:
                self._thread = Thread(target=self._run, name="lease-keeper", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard((job_id, attempt))

    def close(self) -> None:
        """Stop renewing."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._renew_every_s):
            with self._lock:
                held = sorted(self._held)
            if not held:
                continue
            try:
                with self._sessions.begin() as session:
                    jobs.relax_commit(session)
                    jobs.renew(session, held)
            except SQLAlchemyError as error:
                log.warning("lease_not_renewed", jobs=len(held), error=str(error).splitlines()[0])
