"""The `tickfarm` command: puts the groups of commands/ together and ends every foreseen error in one line.

stdout is data, stderr is messages. Exit codes: 0 ok, 1 failed, 2 usage, 3 finished with findings, 4 credentials.
Invariant: arguments are checked before anything is written or sent, and a foreseen error is one line, no traceback.
"""

from __future__ import annotations

import typer
from kombu.exceptions import OperationalError as BrokerError

from commands.backfill import backfill
from commands.config import config
from commands.coverage import coverage
from commands.data import data
from commands.dead import dead
from commands.doctor import doctor
from commands.farm import farm
from commands.findings import findings
from commands.gaps import gaps
from commands.health import health
from commands.imports import imports
from commands.instruments import instruments
from commands.jobs import jobs
from commands.keys import keys
from commands.migrate import migrate
from commands.providers import breaker, providers
from commands.replay import replay
from commands.retention import retention
from commands.schedule import schedule
from commands.series import series
from commands.terminal import fail
from commands.workers import workers
from local.shown import one_line

_HELP = """Keep PostgreSQL full of market data.

Data goes to stdout, messages to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 finished with findings,
4 a credential is missing or refused."""
cli = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help=_HELP)
for group in (
    farm,
    series,
    instruments,
    data,
    imports,
    health,
    doctor,
    migrate,
    providers,
    keys,
    replay,
    coverage,
    gaps,
    findings,
    retention,
):  # commands of their own
    cli.add_typer(group)
_GROUPS = {
    "backfill": backfill,
    "schedule": schedule,
    "jobs": jobs,
    "dead": dead,
    "workers": workers,
    "breaker": breaker,
    "config": config,
}
for name, group in _GROUPS.items():  # commands of a group: `tickfarm dead ls`
    cli.add_typer(group, name=name)


def main() -> None:
    """Run the command; turn every expected error into one line and an exit code."""
    try:
        cli(prog_name="tickfarm")
    except BrokerError as error:
        fail(f"can't reach Redis (REDIS_URL): {error}")
    except Exception as error:
        foreseen = one_line(error)
        if foreseen is None:
            raise
        fail(*foreseen)


if __name__ == "__main__":
    main()
