"""Schedule: what 1,000 active entries cost the beat that runs them, and how late their slots are.

The mix: 40 entries each 10 s, 120 each minute, 300 each five minutes, 340 each hour, 200 daily by cron, moved against
each other, which is 7 slots a second and never more than 10. Each slot is a real job that real workers fetch.

Deliberately not here: how long a job takes (latency). Invariant: lateness is from a slot to the moment another
connection sees its jobs leased, and no figure is printed unless every slot of the time measured was owed once.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 (a class with a lower-case name)

from benchmarks.cpu import cpu_s, spent
from benchmarks.stage import number, running_farm, stage, until
from ingest.pipeline.entries import read_entry
from local.port import free_port

NAME = "schedule"
HELP = "memory, CPU and lateness of beat with 1,000 active schedule entries"
PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "ADA-USDT", "DOGE-USDT", "LTC-USDT")
#: how many entries, how often, and by how much each is moved against the one before
MIX = ((40, "10s", 0.25), (120, "60s", 0.5), (300, "300s", 1.0), (340, "3600s", 10.5))
DAILY = 200
LANE = "standard"

# An entry's job is told when another connection can see that it was leased.
_TELL = """
CREATE FUNCTION tell_leased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('leased', json_build_object('id', NEW.id, 'due', extract(epoch FROM NEW.due_at))::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_leased AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.entry IS NOT NULL AND NEW.state = 'leased' AND OLD.state = 'due') EXECUTE FUNCTION tell_leased();
LISTEN leased;
"""


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--seconds", type=int, default=60, help="time that is measured (default: %(default)s)")
    options.add_argument("--warm-up", type=int, default=15, help="seconds before it (default: %(default)s)")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    with stage() as where, closing(where.database()) as connection:
        page = where.home / "beat_schedule.py"
        _save(page, {"alone": _entry("86400s", 0, PAIRS[0])})
        settings = {"TICKFARM_SCHEDULE_FILE": str(page)}
        with running_farm(where, settings, sandbox_port=free_port()) as supervisor:
            beat = supervisor.pids()["beat"]
            empty_mb = _settled_mb(beat, chosen.warm_up)
            with connection.cursor() as cursor:
                cursor.execute(_TELL)
            entries = dict(_entries())
            saved_at = time.monotonic()
            _save(page, entries)
            count = "SELECT count(*) FROM schedule"
            until(lambda: where.number(count) == len(entries), 30, "beat to take up the entries")
            taken_up_s = time.monotonic() - saved_at
            _leased(connection, chosen.warm_up)
            before, load, began = cpu_s({"beat": beat}), os.getloadavg()[0], datetime.now(UTC)
            late_ms = _leased(connection, chosen.seconds)
            used = spent(before, cpu_s({"beat": beat}), per=chosen.seconds / 100, digits=2)["beat"]
            ended = datetime.now(UTC)
            mb = _rss_mb(beat) - empty_mb
            time.sleep(1.0)
            slots = _verify(connection, entries, began, ended)
    hundredths = quantiles(late_ms, n=100, method="inclusive")
    return {
        "entries": len(entries),
        "slots": slots,
        "slots_per_s": round(slots / chosen.seconds, 1),
        "mb": round(mb, 1),
        "empty_mb": round(empty_mb, 1),
        "cpu_pct": used,
        "late_ms": round(hundredths[94], 1),
        "late_p50_ms": round(hundredths[49], 1),
        "late_max_ms": round(max(late_ms), 1),
        "taken_up_s": round(taken_up_s, 2),
        "machine": f"{os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} at the end",
    }


def _entries() -> Iterator[tuple[str, dict[str, Any]]]:
    for count, period, step_s in MIX:
        for at in range(count):
            yield f"each-{period}-{at}", _entry(period, at * step_s, PAIRS[at % len(PAIRS)])
    for at in range(DAILY):
        yield f"daily-{at}", _entry(f"{at % 60} {at * 7 % 24} * * *", 0, PAIRS[at % len(PAIRS)])


def _entry(schedule: str, offset_s: float, pair: str) -> dict[str, Any]:
    ours = {"priority": 3, "offset": f"{offset_s:g}s"}
    return {
        "task": "tasks.fetch.binance",
        "schedule": schedule,
        "kwargs": {"dataset": "quotes", "instruments": [pair]},
        "options": {"queue": LANE, "headers": {"tickfarm": ours}},
    }


def _save(page: Path, entries: dict[str, Any]) -> None:
    page.write_text(f'"""The benchmark\'s."""\n\nbeat_schedule = {entries!r}\n')


def _leased(connection: Connection, seconds: float) -> list[float]:
    """Watch for so long; return how late each job was leased, in ms."""
    late, until_s = [], time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        if not select.select([connection], [], [], min(left_s, 0.5))[0]:
            continue
        now = time.time()
        connection.poll()
        late += [(now - json.loads(one.payload)["due"]) * 1000 for one in connection.notifies]
        connection.notifies.clear()
    return late


def _settled_mb(pid: int, seconds: int) -> float:
    time.sleep(seconds)
    return _rss_mb(pid)


def _rss_mb(pid: int) -> float:
    """Return the resident memory of a process. Linux only."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def _verify(connection: Connection, entries: dict[str, Any], began: datetime, ended: datetime) -> int:
    """Compare the runs with the slots there were. Raises RuntimeError: then there is no figure."""
    expected = 0
    for name, spec in entries.items():
        ours = spec["options"]["headers"]["tickfarm"]
        fields = {"task": spec["task"], "schedule": spec["schedule"], "kwargs": spec["kwargs"], "lane": LANE, **ours}
        next_slot, slot = read_entry(name, fields, lanes=(LANE,)).next_slot, began
        while (slot := next_slot(slot)) <= ended:
            expected += 1
    with connection.cursor() as cursor:
        window = f"slot > '{began.isoformat()}' AND slot <= '{ended.isoformat()}'"
        owed = number(cursor, f"SELECT count(*) FROM schedule_runs WHERE {window} AND jobs = 1")
    if owed != expected:
        raise RuntimeError(f"expected {expected} slots, {owed} were owed")
    return owed
