"""Settings as `tickfarm config show` shows them: each with its value and where it comes from, and what that makes.

Deliberately not here: reading them (ingest/settings). Invariant: of a secret it is said whether it is set, and no more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr
from rich.table import Table

from ingest import providers
from ingest.pipeline.credentials import keys_of
from ingest.pipeline.terms import terms_of
from ingest.settings import Settings, credential_origin, env_file, home, origin
from ingest.settings.sources import PROVIDERS, secret_names
from ingest.transport.client import client_class
from ingest.wire import KeySpec, Limit


def setting_rows(config: Settings) -> list[dict[str, Any]]:
    """Return every setting: `name`, `value` (a secret's is "set" or "not set"), `origin`."""
    rows = [_row("TICKFARM_HOME", str(home())), _row("TICKFARM_ENV_FILE", _text(env_file()))]
    secrets = secret_names(Settings.model_fields)
    for field in Settings.model_fields:
        name, value = field.upper(), getattr(config, field)
        if name != PROVIDERS:
            rows.append(_row(name, _text(value), is_secret=name in secrets))
    for provider, own in sorted(config.tickfarm_providers.items()):
        for field in sorted(own.model_fields_set):
            rows.append(_row(f"{PROVIDERS}__{provider}__{field}".upper(), _text(getattr(own, field))))
    for spec in _key_specs():
        found, place = credential_origin(config, spec)
        value = "set" if found else "not set"
        rows.append({"name": found or spec.env, "value": value, "origin": place or "default"})
    return rows


def _row(name: str, value: Any, *, is_secret: bool = False) -> dict[str, Any]:
    place = origin(name, env_file(), is_secret=is_secret)
    if name in {"TICKFARM_HOME", "TICKFARM_ENV_FILE"}:  # nobody looks for these two in `.env`
        place = "environment" if os.environ.get(name) else "default"
    return {"name": name, "value": value, "origin": place}


def _text(value: Any) -> Any:
    """Return a value as JSON has it; a secret as whether it is set."""
    if isinstance(value, SecretStr):
        return "set"
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _key_specs() -> list[KeySpec]:
    keys = (providers.get(name).facts.key for name in providers.names())
    return [part for key in keys if key is not None for part in key.parts]


def provider_terms(config: Settings) -> list[dict[str, Any]]:
    """Return for each provider what holds for it now: address, limits at our pace, timeouts, connections, retries."""
    return [_terms(config, name) for name in providers.names()]


def _terms(config: Settings, name: str) -> dict[str, Any]:
    facts, own = providers.get(name).facts, config.of_provider(name)
    has_key = bool(keys_of(config, facts))
    terms = terms_of(config, facts, has_key=has_key)
    sandbox = config.tickfarm_sandbox_url
    return {
        "provider": name,
        "enabled": own.enabled,
        "base_url": f"{sandbox}/{name}" if sandbox else own.base_url or facts.base_url,
        "key": "none needed" if facts.key is None else "set" if has_key else "not set",
        "preset": terms.preset,
        "pace": terms.pace,
        "limits": [_limit(limit) for limit in terms.limits],
        "stated_limits": [_limit(limit) for limit in terms.stated],
        "timeout_s": terms.timeout_s,
        "request_timeout_s": terms.request_timeout_s,
        "connections": terms.connections,
        "retries": terms.policy.retries,
        "retry_base_s": terms.policy.base_s,
        "retry_cap_s": terms.policy.cap_s,
    }


def transport_row(config: Settings) -> dict[str, Any]:
    """Return which transport sends the requests, and what it lacks."""
    chosen = client_class(config.tickfarm_transport)
    return {"name": chosen.name, "lacks": list(chosen.lacks)}


def transport_line(row: Mapping[str, Any]) -> str:
    """Return the same as a sentence."""
    lacks = f"without {' and '.join(row['lacks'])}" if row["lacks"] else "lacks nothing"
    return f"transport: {row['name']}, {lacks}"


def _limit(limit: Limit) -> str:
    return f"{limit.amount} {limit.unit} per {limit.per_s} s"


def settings_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of settings."""
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for row in rows:
        value = row["value"]
        shown = ("not set" if row["origin"] == "default" else "-") if value is None else str(value)
        table.add_row(row["name"], shown, row["origin"])
    return table


def terms_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of what holds for each provider; a limit a line."""
    columns = ("provider", "asked at", "key", "preset", "limits", "batch", "request", "connections", "retries")
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        waits = f"{row['retries']}, {row['retry_base_s']:g} to {row['retry_cap_s']:g} s"
        address = row["base_url"] if row["enabled"] else "switched off"
        limits = "\n".join(row["limits"])
        times = f"{row['timeout_s']:g} s", f"{row['request_timeout_s']:g} s"
        names = row["provider"], address, row["key"], row["preset"], limits
        table.add_row(*names, *times, str(row["connections"]), waits)
    return table
