"""The commands about jobs: list, show, cancel.

Deliberately not here: owing work (fetch, follow) and giving dead work a new life (dead requeue).
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from commands.terminal import FAILED, Json, err, one_of, open_context, out, print_json, row_of, wake
from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline import jobs as pipeline
from ingest.pipeline.job_views import JobView, list_jobs, show_job
from local.shown_jobs import failures_table, fetches_table, job_table, jobs_table
from models.jobs import STATES
from tasks.known import lanes

JobId = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="the job's number, from `tickfarm jobs ls`")]
JobIds = Annotated[list[int], typer.Argument(min=1, max=2**63 - 1, help="jobs' numbers, from `tickfarm jobs ls`")]

jobs = typer.Typer(no_args_is_help=True, help="Jobs: list, show, cancel.")


@jobs.command("ls")
def list_all(
    lane: Annotated[str | None, typer.Option(help="live, standard, backfill or maintenance")] = None,
    state: Annotated[str | None, typer.Option(help=" | ".join(STATES))] = None,
    provider: Annotated[str | None, typer.Option(help="a provider's name")] = None,
    entry: Annotated[str | None, typer.Option(help="an entry of the schedule")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="so many of the newest")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest jobs, newest first."""
    one_of("lane", lane, lanes())
    one_of("state", state, STATES)
    if provider is not None:
        providers.get(provider)
    with open_context().sessions() as session:
        found = list_jobs(session, lane=lane, state=state, provider=provider, entry=entry, limit=limit)
        rows = [row_of(job) for job in found]
    if as_json:
        print_json(rows)
    elif rows:
        out.print(jobs_table(rows))
    else:
        err.print("no such jobs")


@jobs.command("show")
def show(job_id: JobId, as_json: Json = False) -> None:
    """Print all that is known about a job: its row, fetches, findings, children, dead letters."""
    with open_context().sessions() as session:
        view = show_job(session, job_id)
        if view is None:
            raise FixRequest(f"job {job_id} does not exist, or is so old that retention deleted it")
        document = _document(view)
    if as_json:
        print_json(document)
        return
    out.print(job_table(document["job"]))
    out.print(f"findings   {document['findings']}")
    if document["fetches"]:
        out.print(fetches_table(document["fetches"]))
    if document["failures"]:
        out.print("failed requests")
        out.print(failures_table(document["failures"]))
    if document["children"]:
        out.print("children")
        out.print(jobs_table(document["children"]))
    for letter in document["dead_letters"]:
        out.print(f"dead letter {letter['id']} ({letter['state']}): {letter['error']}", soft_wrap=True)


@jobs.command("cancel")
def cancel(job_ids: JobIds) -> None:
    """Cancel jobs that are not over. A running one writes nothing any more, but its requests are sent."""
    context = open_context()
    with context.sessions.begin() as session:
        count = pipeline.cancel(session, job_ids)
    out.print(f"{count} of {len(set(job_ids))} jobs are cancelled")
    if not count:
        err.print("the others are over, or do not exist")
        sys.exit(FAILED)
    wake(context)


def _document(view: JobView) -> dict[str, Any]:
    return {
        "job": row_of(view.job),
        "findings": view.findings,
        "fetches": [row_of(one) for one in view.fetches],
        "failures": [row_of(one) for one in view.failures],
        "children": [row_of(one) for one in view.children],
        "dead_letters": [row_of(one) for one in view.letters],
    }
