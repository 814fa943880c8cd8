"""The doctor: what keeps a farm from working, or soon will, and the exact command or setting that mends each.

Reads only, and asks PostgreSQL and Redis at the same time, so that two dead servers cost as long as one. Deliberately
not here: what is asked of each (doctor_postgres, doctor_redis, doctor_machine). Invariant: every check is told, also
where its server can't be asked: then it is skipped, never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from ingest.pipeline import doctor_machine, doctor_postgres, doctor_redis
from ingest.pipeline.doctor_check import Check, State
from ingest.settings import Settings

ORDER: Final[Sequence[State]] = ("fail", "warn", "skip", "pass")
_SET_IT: Final = "tickfarm up, which brings servers along; or set {name} in .env (docs/operations.md)"


def examine(config: Settings, queues: Sequence[str], clock: Callable[[], datetime]) -> list[Check]:
    """Return every check, failures first. Takes 2 s where servers can't be reached, a fraction of one otherwise."""
    with ThreadPoolExecutor(max_workers=2) as threads:
        database = threads.submit(_of_database, config, clock)
        store = threads.submit(_of_redis, config, queues, clock)
        found = [*doctor_machine.checks(config), *database.result(), *store.result()]
    return sorted(found, key=lambda check: ORDER.index(check.state))


def refused(error: Exception) -> list[Check]:
    """Return the only check that can be made where the settings can't be read."""
    mend = "mend that line of .env or of the environment; .env.example says what is accepted"
    return [Check("settings", "fail", str(error), mend)]


def verdict(checks: Sequence[Check]) -> State:
    """Return the worst of the checks; what was skipped is as good as passed, because its cause has failed."""
    worst: Sequence[State] = ("fail", "warn")
    return next((state for state in worst if any(check.state == state for check in checks)), "pass")


def _of_database(config: Settings, clock: Callable[[], datetime]) -> list[Check]:
    if config.database_url is None:
        return _not_set("PostgreSQL", "DATABASE_URL", doctor_postgres.CHECKS)
    return doctor_postgres.checks(config, _plain(config.database_url), clock)


def _of_redis(config: Settings, queues: Sequence[str], clock: Callable[[], datetime]) -> list[Check]:
    if config.redis_url is None:
        return _not_set("Redis", "REDIS_URL", doctor_redis.CHECKS)
    return doctor_redis.checks(config, _plain(config.redis_url), queues, clock)


def _not_set(server: str, name: str, others: Iterable[str]) -> list[Check]:
    first = Check(server, "fail", f"{name} is not set, and no farm of this machine runs one", _SET_IT.format(name=name))
    return [first, *(Check(other, "skip", f"{server} can't be asked") for other in others)]


def _plain(secret: SecretStr) -> str:
    return secret.get_secret_value()
