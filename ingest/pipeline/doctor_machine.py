"""What the doctor asks of this machine: the settings, the disk that keeps answers and state, the memory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ingest.pipeline.doctor_check import Check, Told, fullness
from ingest.settings import Settings, home

_PROC: Final = Path("/proc/meminfo")
#: What a container may use; absent, or "max", where nothing is set. Source: docs.kernel.org, cgroup-v2 (2026-11).
_CGROUP: Final = Path("/sys/fs/cgroup")


def checks(config: Settings) -> list[Check]:
    """Return every check of this machine."""
    settled = Check("settings", "pass", "they can be read")
    return [settled, _disk(config).named("disk"), _memory(_PROC, _CGROUP).named("memory")]


def _disk(config: Settings) -> Told:
    folder = config.archive_dir if config.archive_bucket is None else home()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    found = shutil.disk_usage(there)
    mend = "tickfarm retention; lower TICKFARM_KEEP_ARCHIVE_DAYS, or move TICKFARM_ARCHIVE_DIR to a larger disk"
    return fullness(found.used >> 30, (found.used + found.free) >> 30, f"GiB of the disk of {folder}", mend)


def _memory(proc: Path, cgroup: Path) -> Told:
    """Say how full the memory is: the container's where it has a bound, else the machine's."""
    mend = "fewer children (worker -c), or more memory; docs/operations.md says what takes how much"
    bound, used = cgroup / "memory.max", cgroup / "memory.current"
    if bound.exists() and used.exists() and bound.read_text().strip().isdigit():
        held = int(used.read_text()) - _of(cgroup / "memory.stat", "inactive_file ")
        return fullness(held >> 20, int(bound.read_text()) >> 20, "MiB of this container", mend)
    if not proc.exists():
        return Told("skip", "this system does not say")
    total, free = _of(proc, "MemTotal:"), _of(proc, "MemAvailable:")
    return fullness((total - free) >> 10, total >> 10, "MiB of this machine", mend)


def _of(file: Path, name: str) -> int:
    """Return the number that stands behind a name, 0 where it does not stand there."""
    lines: Mapping[str, str] = {line[: len(name)]: line[len(name) :] for line in file.read_text().splitlines()}
    return int(lines[name].split()[0]) if name in lines else 0
