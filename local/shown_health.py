"""What a person, or a script, sees of providers and of the farm's health: rows for JSON, tables for the terminal.

Deliberately not here: what a state means (ingest/pipeline/health.py) and what is asked of whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ingest import providers
from ingest.pipeline.events import Event
from ingest.pipeline.figures import Target
from ingest.pipeline.health_figures import FarmReport, ProviderReport, Used
from ingest.transport.traffic import WINDOW_S, Traffic
from ingest.wire import Limit

_SPANS = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}


def provider_row(name: str, report: ProviderReport | None, *, has_key: bool) -> dict[str, Any]:
    """Return what is told of a provider: what it offers, and how it is; None for that where it can't be asked."""
    facts = providers.get(name).facts
    return {
        "provider": facts.name,
        "title": facts.title,
        "datasets": list(facts.datasets),
        "intervals": list(facts.intervals),
        "limits": [_limit(limit) for limit in facts.limits],
        "key": facts.key.env if facts.key else None,
        "key_present": has_key if facts.key else None,
        "lifecycle": facts.lifecycle,
        "lifecycle_note": facts.lifecycle_note,
        "paid": dict(facts.paid),
        "aliases": list(facts.aliases),
        "enabled": None if report is None else report.enabled,
        "state": None if report is None else report.judged.state,
        "breaker": None if report is None else breaker_state(report),
        "budget_used": None if report is None else [_used_row(one) for one in report.budget],
        "held": None if report is None else bool(report.holds),
    }


def providers_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of providers; a limit a line, with what is in use of it."""
    table = _table("provider", "state", "breaker", "datasets", "intervals", "limits", "in use", "key")
    for row in rows:
        key = "none needed" if row["key"] is None else f"{row['key']}{'' if row['key_present'] else ' (missing)'}"
        used = "\n".join(_used_text(one) for one in row["budget_used"] or ()) or "-"
        state = f"{row['state'] or '-'}{', held' if row['held'] else ''}"
        if row["lifecycle"] != "live":
            state += f"\n{row['lifecycle']} {row['lifecycle_note']}"
        about = " ".join(row["datasets"]), " ".join(row["intervals"]), "\n".join(row["limits"])
        table.add_row(row["provider"], state, row["breaker"] or "-", *about, used, key)
    return table


def health_row(report: FarmReport) -> dict[str, Any]:
    """Return the farm's health as one JSON object: the verdict first, then what it was made from."""
    figures, traffic = report.figures, report.figures.traffic
    return {
        "verdict": report.judged.state,
        "reasons": list(report.judged.reasons),
        "at": report.at,
        "farm": {
            **_traffic_row(traffic),
            "requests_per_s": round(traffic.per_s, 3),
            "error_share": round(traffic.share(traffic.errors), 4),
            "rejected_share": round(traffic.share(traffic.rejected), 4),
            "leads": figures.has_leader,
            "up_since": report.since,
            "uptime_s": None if report.since is None else round((report.at - report.since).total_seconds(), 1),
            "workers": len(report.workers),
            "lanes": dict(figures.lanes),
            "lanes_without_workers": [lane for lane, children in figures.lanes.items() if not children],
            "jobs_of_the_last_hour": asdict(figures.jobs) | {"failed": figures.jobs.failed},
            "connections": {"leased": report.connections, "most": report.most_connections},
            "targets": [asdict(one) for one in report.targets],
        },
        "providers": [health_of_provider(one) for one in report.providers],
    }


def health_of_provider(report: ProviderReport) -> dict[str, Any]:
    """Return a provider's health for JSON."""
    traffic = report.traffic
    return {
        "provider": report.provider,
        "state": report.judged.state,
        "reasons": list(report.judged.reasons),
        **_traffic_row(traffic),
        "error_share": round(traffic.share(traffic.errors), 4),
        "consecutive_failures": report.failing,
        "budget_used": [_used_row(one) for one in report.budget],
        "batches_out": report.batches_out,
        "breaker": breaker_state(report),
        "breakers": [
            {
                "scope": one.breaker.scope,
                "base_url": one.base_url,
                "dataset": one.breaker.dataset or None,
                "state": one.breaker.state,
                "until": one.breaker.until,
                "reason": one.reason,
            }
            for one in report.breakers
        ],
        "holds": [
            {"pool": hold.pool, "kind": hold.kind, "since": hold.since, "until": hold.until, "reason": hold.reason}
            for hold in report.holds
        ],
        "limit": None
        if report.limit is None
        else {"percent": report.limit.percent, "until": report.limit.until, "reason": report.limit.reason},
    }


def breaker_state(report: ProviderReport) -> str:
    """Return the breaker of the provider's best address: CLOSED as long as one of them can be asked."""
    states = {one.breaker.base: one.breaker.state for one in report.breakers if not one.breaker.dataset}
    each = [states.get(place, "CLOSED") for place in range(len(report.bases))]
    return min(each, key=("CLOSED", "HALF_OPEN", "OPEN").index, default="CLOSED")


def health_table(reports: Iterable[ProviderReport]) -> Table:
    """Return the table of the providers' health."""
    table = _table(
        "provider", "state", "requests", "errors", "in a row", "p50", "p95", "p99", "in use", "breaker", "why"
    )
    for column in table.columns[2:8]:
        column.justify = "right"
    for one in reports:
        traffic = one.traffic
        latencies = (_ms(traffic.percentile_ms(percent)) for percent in (50, 95, 99))
        fullest = max(one.budget, key=lambda used: used.used / used.amount, default=None)
        table.add_row(
            one.provider,
            one.judged.state,
            f"{traffic.requests:,}",
            f"{traffic.share(traffic.errors):.1%}" if traffic.requests else "-",
            str(one.failing),
            *latencies,
            "-" if fullest is None else f"{fullest.used / fullest.amount:.0%}",
            breaker_state(one),
            "\n".join((*one.judged.reasons, *_breaker_lines(one))),
        )
    return table


def verdict_lines(report: FarmReport) -> list[str]:
    """Return the verdict for people, with its figures and reasons."""
    figures, traffic, jobs = report.figures, report.figures.traffic, report.figures.jobs
    up = "" if report.since is None else f", led since {report.since:%Y-%m-%d %H:%M:%S} UTC"
    shares = f"{traffic.share(traffic.errors):.1%} errors, {traffic.share(traffic.rejected):.1%} rejected"
    lanes = ", ".join(f"{lane} {children}" for lane, children in figures.lanes.items())
    return [
        f"the farm is {report.judged.state}{up}",
        *(f"  {reason}" for reason in report.judged.reasons),
        f"last {WINDOW_S // 60} minutes: {traffic.per_s:.1f} requests/s, mean {_ms(traffic.mean_ms)}, {shares}",
        *(f"  {_target_line(one)}" for one in report.targets if one.is_met is False),
        f"last hour: {jobs.succeeded:,} jobs succeeded, {jobs.dead:,} dead, {jobs.expired:,} expired",
        f"children: {lanes}; connections: {report.connections:,} of {report.most_connections:,}",
    ]


def _target_line(target: Target) -> str:
    return f"target missed: {target.name} is {target.found:.4g}, wanted {target.wanted:g}"


def event_row(event: Event) -> dict[str, Any]:
    """Return an event for JSON."""
    return {"at": event.at, **{name: value for name, value in asdict(event).items() if name != "at"}}


def event_line(event: Event) -> str:
    """Return an event as one line for people."""
    what = f"{event.kind} {event.scope}".strip()
    until = f" until {event.until:%Y-%m-%d %H:%M:%S} UTC" if event.until else ""
    why = f": {event.reason}" if event.reason else ""
    return f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.provider}  {what}  {event.before} -> {event.after}{until}{why}"


def _breaker_lines(report: ProviderReport) -> Sequence[str]:
    return [
        f"{one.breaker.dataset or one.base_url} {one.breaker.state}"
        + (f" until {one.breaker.until:%H:%M:%S} UTC" if one.breaker.until else "")
        + (f": {one.reason}" if one.reason else "")
        for one in report.breakers
    ]


def _traffic_row(traffic: Traffic) -> dict[str, Any]:
    return {
        "window_s": round(traffic.covered_s, 1),
        "requests": traffic.requests,
        "succeeded": traffic.ok,
        "failed": traffic.errors,
        "throttled": traffic.throttled,
        "refused": traffic.refused,
        "size_bytes": traffic.size_bytes,
        "mean_ms": _rounded(traffic.mean_ms),
        **{f"p{percent}_ms": _rounded(traffic.percentile_ms(percent)) for percent in (50, 95, 99)},
    }


def _used_row(used: Used) -> dict[str, Any]:
    return {
        "unit": used.unit,
        "per_s": used.per_s,
        "datasets": list(used.datasets),
        "amount": used.amount,
        "used": used.used,
        "used_share": round(used.used / used.amount, 4),
    }


def _used_text(row: Mapping[str, Any]) -> str:
    of = f"{row['used']:,} of {row['amount']:,}"
    return f"{of} at once" if not row["per_s"] else f"{of} per {_span(row['per_s'])}"


def _limit(limit: Limit) -> str:
    return f"{limit.amount} {limit.unit} per {limit.per_s} s"


def _span(per_s: int) -> str:
    return _SPANS.get(per_s, f"{per_s} s")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)
