"""Remember what was asked: counters per provider and the last thousand requests.

Deliberately not here: bodies and headers.
Invariant: a query is masked before it is kept.
"""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sandbox.secrets_mask import mask_secrets

KEPT_REQUESTS = 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request and the status it got; 0 where none was sent. `fault` names the fault it met, if any."""

    time_s: float
    provider: str
    path: str
    query: str
    status: int
    fault: str


class RequestLog:
    """Counters since the start or the last reset."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_REQUESTS)
        self._statuses: Counter[tuple[str, int]] = Counter()

    def record(self, provider: str, path: str, *, query: str, status: int, fault: str, now_s: float) -> None:
        self._statuses[provider, status] += 1
        self._entries.append(Entry(now_s, provider, path, mask_secrets(query), status, fault))

    def reset(self) -> None:
        self._entries.clear()
        self._statuses.clear()

    def counters(self) -> dict[str, dict[str, object]]:
        """Return per provider the number of requests and the number by status."""
        by_provider: dict[str, dict[str, int]] = {}
        for (provider, status), count in sorted(self._statuses.items()):
            by_provider.setdefault(provider, {})[str(status)] = count
        return {name: {"total": sum(by.values()), "by_status": by} for name, by in by_provider.items()}

    def entries(self) -> list[dict[str, object]]:
        """Return the last requests, oldest first."""
        return [
            {"time": datetime.fromtimestamp(entry.time_s, UTC).isoformat(timespec="milliseconds")}
            | _without_time(entry)
            for entry in self._entries
        ]


def _without_time(entry: Entry) -> dict[str, object]:
    fields = asdict(entry)
    del fields["time_s"]
    return fields
