"""Credentials as `tickfarm keys` shows them.

Deliberately not here: finding them (ingest/pipeline/credentials). Invariant: none has a value that could be shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ingest.pipeline.credentials import Credential


def key_row(credential: Credential) -> dict[str, Any]:
    """Return a credential as JSON has it."""
    return asdict(credential)


def keys_table(credentials: Iterable[Credential]) -> Table:
    """Return the table for people: one that is missing or refused says where to get one."""
    table = Table("provider", "variable", "key", "state", "from", "", box=None, pad_edge=False)
    for one in credentials:
        state = f"{one.state} ({'required' if one.required else 'optional'})" if one.state == "missing" else one.state
        said = [] if one.reason is None else [f"since {one.since:%F %R} UTC: {one.reason}"]
        said += [] if one.state == "present" else [f"get one at {one.where_to_get}"]
        table.add_row(one.provider, one.variable, one.pool or "-", state, one.origin or "-", "; ".join(said))
    return table
