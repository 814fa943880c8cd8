"""The heartbeat file: its age says whether a worker's, or beat's, own loop still turns. For whoever restarts processes.

Deliberately not here: whether broker and database can be reached, which no restart of ours would mend; so who waits
for them is alive. Invariant: only the process that began it touches it, never a child that outlives it.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from ingest.settings import settings

#: The loop is taken for dead after a minute (deploy/k8s): children have 30 s to start, a call to a dead Redis 15.
BEAT_EVERY_S = 5.0

log = structlog.get_logger(__name__)

#: the process that begins here, and not those it forks
_owner: int | None = None


def begin() -> None:
    """Begin to beat in this process. An older file is another process's."""
    global _owner  # noqa: PLW0603 - one process, one heart
    _owner = os.getpid()
    for file in _files():
        file.unlink(missing_ok=True)
    beat()


def beat() -> None:
    """Touch the file, where TICKFARM_HEARTBEAT_FILE names one. Free enough for each turn of a loop."""
    for file in _files()[:1]:
        _touch(file)


def say_ready(is_ready: bool) -> None:
    """Make the file `<heartbeat>.ready` while this process takes work; a rolling update waits for it."""
    for file in _files()[1:]:
        if is_ready:
            _touch(file)
        else:
            file.unlink(missing_ok=True)


def _files() -> tuple[Path, ...]:
    """Return the heartbeat file and the one beside it; none where none is wanted, or in another process."""
    file = settings().tickfarm_heartbeat_file
    if file is None or _owner != os.getpid():
        return ()
    return file, file.with_name(f"{file.name}.ready")


def _touch(file: Path) -> None:
    try:
        file.touch()
    except OSError as error:
        log.warning("heartbeat_not_written", file=str(file), error=error.strerror)
