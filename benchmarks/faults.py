"""Faults: a real farm, a provider that is ill in every way of the table, one after the other, and a healthy one beside.

Deliberately not here: the faults (fault_table), how one is played (fault_play) and judged (fault_verdict). Invariant:
every provider's address is on this machine, whatever environment and `.env` say.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from benchmarks.fault_play import Played, days, play
from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import (
    HEALTHY,
    HEALTHY_INSTRUMENT,
    ILL,
    ILL_INSTRUMENTS,
    MAX_ANSWER_BYTES,
    SCENARIOS,
    SHORT_WAITS,
    WELL,
)
from benchmarks.fault_verdict import Neighbour, healthy_failed, healthy_s, healthy_stored, neighbour
from benchmarks.forwarder import Forwarder, forwarding
from benchmarks.sandboxed import sandboxed
from benchmarks.stage import Stage, context_of, running_farm, until
from ingest import providers
from ingest.pipeline.context import Context
from ingest.pipeline.workers import wake_leader
from local.port import LOOPBACK

NAME = "faults"
HELP = "what becomes of the data, and of a healthy provider, while another one is ill in every way"
#: summed over the faults
VERDICTS = ("unreported", "duplicates", "sent_while_banned")
MUST_BE_0 = (*VERDICTS, "neighbour_noticed")
PATIENCE_S = 120.0
NOWHERE = "http://ill-provider.invalid"
#: Coinbase allows ten requests a second, and the pace is the real one.
POLL_EVERY_S = 0.25
#: The first polls after a start meet cold processes.
WARM_UP_POLLS = 25
#: Taken before each fault and pooled, so that what else this machine does weighs on both sides alike.
QUIET_POLLS = 15
LAST_POLLS = 3
#: As long the provider is well before each fault.
WELL_S = 1.5
#: One fault's part of the verdict: one that waits for a minute would outweigh all others.
MOST_POLLS = 20

#: Slots overlap, or those that fell due while a poll was slow would be left out, and be missing from the figure.
_SCHEDULE = f'''"""The fault matrix's: one live poll of the provider that stays well."""

beat_schedule = {{
    "healthy": {{
        "task": "tasks.fetch.{HEALTHY}",
        "schedule": {POLL_EVERY_S},
        "kwargs": {{"dataset": "quotes", "instruments": ["{HEALTHY_INSTRUMENT}"]}},
        "options": {{"queue": "live", "headers": {{"tickfarm": {{"priority": 1, "overlap": True}}}}}},
    }},
}}
'''


class RealFarm:
    """A `Ground` (fault_play): worker processes, beat and Flower, which only a change of the name stops and starts."""

    def __init__(
        self, where: Stage, context: Context, sandbox: SandboxControl, forwarder: Forwarder, transport: str
    ) -> None:
        self.sandbox, self.sessions = sandbox, context.sessions
        self._where, self._context, self._forwarder = where, context, forwarder
        self._farm = ExitStack()
        page = where.home / "fault_schedule.py"
        page.write_text(_SCHEDULE)
        self._settings = _settings(sandbox.url, page, transport)

    def start(self, *, ill_at: str | None = None) -> None:
        """Start the farm, and wait until the healthy provider's polls run smoothly."""
        ill_at = ill_at or f"http://{LOOPBACK}:{self._forwarder.port}/{ILL}"
        self._farm.enter_context(running_farm(self._where, self._settings | {_address_of(ILL): ill_at}))
        self.polls(WARM_UP_POLLS)

    def stop(self) -> None:
        """Stop the farm."""
        self._farm.close()

    def polls(self, count: int) -> list[float]:
        """Return the seconds of the polls from now on until so many are stored."""
        since = datetime.now(UTC)

        def have_come() -> bool:
            with self.sessions() as session:
                return healthy_stored(session, since) >= count

        self.work(have_come, f"{count} polls of {HEALTHY}")
        with self.sessions() as session:
            return list(healthy_s(session, since, datetime.now(UTC)))

    def work(self, until_this: Callable[[], bool], what: str) -> None:
        until(until_this, PATIENCE_S, what, every_s=0.05)

    def owed(self) -> None:
        wake_leader(self._context.redis)

    def lose(self, what: Literal["connection", "name"]) -> None:
        if what == "connection":
            self._forwarder.shut()
        else:
            self._restart(ill_at=NOWHERE)

    def restore(self, what: Literal["connection", "name"]) -> None:
        if what == "connection":
            self._forwarder.open()
        else:
            self._restart()

    def _restart(self, *, ill_at: str | None = None) -> None:
        """Change the ill provider's address: it is a setting, and settings are read when a process starts.

        Polls that fell due while the fault was measured end first, or the restart would be counted as their waiting.
        """
        self.polls(LAST_POLLS)
        self.stop()
        self.start(ill_at=ill_at)


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    names = [one.name for one in SCENARIOS]
    most = len(ILL_INSTRUMENTS)
    options.add_argument("--only", nargs="+", choices=names, default=names, metavar="FAULT", help="play only these")
    options.add_argument("--rows", type=int, default=1_440, help="rows of a day, 5,000 at most (default: %(default)s)")
    options.add_argument("--series", type=int, default=1, choices=range(1, most + 1), help="series, a job each")
    options.add_argument("--seconds", type=float, default=6.0, help="a fault lasts at least (default: %(default)s)")
    options.add_argument("--transport", choices=("auto", "curl", "requests"), default="auto")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Play the matrix, and return it with its totals."""
    unasked = days(chosen.rows, chosen.series)
    with _ground(chosen.transport) as ground:
        ground.start()
        quiet, well, played, load = list[float](), list[float](), list[Played](), os.getloadavg()[0]
        try:
            for scenario in (one for one in SCENARIOS if one.name in chosen.only):
                quiet += ground.polls(QUIET_POLLS)
                well += play(ground, WELL, unasked, at_least_s=min(WELL_S, chosen.seconds)).healthy
                played.append(play(ground, scenario, unasked, at_least_s=chosen.seconds))
                _tell(played[-1])
            with ground.sessions() as session:
                failed = healthy_failed(session)
        finally:
            ground.stop()
    matrix = {one.scenario.name: one.figures(quiet) for one in played}
    ill = [one for each in played for one in each.healthy[:MOST_POLLS]]
    return {
        "transport": chosen.transport,
        "matrix": matrix,
        **{name: sum(row[name] for row in matrix.values()) for name in VERDICTS},
        "as_expected": sum(row["as_expected"] for row in matrix.values()),
        "faults": len(matrix),
        **neighbour(Neighbour(quiet, well, ill), is_machine_quiet=load <= (os.cpu_count() or 1)),
        "neighbour_failed": failed,
        "machine": f"{os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} at the end",
    }


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether a figure that must be 0 is not."""
    return any(figures[name] for name in MUST_BE_0)


@contextmanager
def _ground(transport: str) -> Iterator[RealFarm]:
    with (
        sandboxed() as (where, sandbox),
        forwarding(int(sandbox.url.rpartition(":")[2])) as forwarder,
        context_of(where) as context,
    ):
        _note_commits(where)
        yield RealFarm(where, context, sandbox, forwarder, transport)


def _note_commits(where: Stage) -> None:
    """Have the server remember when a row was committed."""
    with closing(where.database()) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    assert where.servers.postgres is not None
    where.servers.postgres.stop()
    where.servers.postgres.start()


def _settings(sandbox_url: str, schedule: Path, transport: str) -> dict[str, str]:
    """Return the farm's environment. Without TICKFARM_SANDBOX_URL, which would give all providers one address."""
    ours = {f"TICKFARM_PROVIDERS__{ILL.upper()}__{name.upper()}": str(value) for name, value in SHORT_WAITS.items()}
    return {
        "TICKFARM_SANDBOX_URL": "",
        "TICKFARM_SCHEDULE_FILE": str(schedule),
        "TICKFARM_TRANSPORT": transport,
        "TICKFARM_MAX_ANSWER_BYTES": str(MAX_ANSWER_BYTES),
        **{_address_of(name): f"{sandbox_url}/{name}" for name in providers.names()},
        **ours,
    }


def _address_of(provider: str) -> str:
    return f"TICKFARM_PROVIDERS__{provider.upper()}__BASE_URL"


def _tell(played: Played) -> None:
    states = " and ".join(played.states)
    print(f"{played.scenario.name}: {states}, {len(played.healthy)} healthy polls", file=sys.stderr)
