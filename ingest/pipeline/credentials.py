"""Providers' credentials: which there are, where they were found, and which of them the provider refuses.

Deliberately not here: reading them, choosing one for a batch (ingest/settings/endpoints). Invariant: what is returned
for people names a key by its pool; a value never leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from ingest.providers.contract import Facts
from ingest.settings import Settings, credential_origin, credentials
from ingest.wire import Key, KeySpec
from models import ProviderHold, Series


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as people see it. `origin` is where it is set, `pool` which of several it is.

    `needed`: series are followed that can't be fetched without it, or that are asked for with it and refused.
    """

    provider: str
    variable: str
    required: bool
    state: Literal["present", "missing", "refused"]
    origin: str | None
    pool: str
    reason: str | None
    since: datetime | None
    needed: bool
    where_to_get: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the farm knows: providers of followed series, and by provider and pool the refusals that hold now."""

    followed: frozenset[str] = frozenset()
    refusals: Mapping[tuple[str, str], ProviderHold] = field(default_factory=dict)

    def refusal(self, provider: str, pool: str) -> ProviderHold | None:
        """Return the refusal of a credential: its own, or one of all that the provider was given (`*`)."""
        return self.refusals.get((provider, pool)) or self.refusals.get((provider, "*"))


def keys_of(config: Settings, facts: Facts) -> tuple[Key, ...]:
    """Return a provider's keys as they are set now. Raises BadSetting as `ingest.settings.credentials` does."""
    spec = facts.key
    if spec is None:
        return ()
    return credentials(config, name=facts.name, spec=spec)


def evidence(session: Session) -> Evidence:
    """Return what is followed, and which credentials are refused: a hold for want of entitlement that is not over."""
    followed = session.scalars(select(Series.provider).where(Series.followed).distinct())
    holds = session.scalars(
        select(ProviderHold).where(
            ProviderHold.kind == "entitlement", or_(ProviderHold.until.is_(None), ProviderHold.until > func.now())
        )
    )
    return Evidence(frozenset(followed), {(hold.provider, hold.pool): hold for hold in holds})


def credential_list(config: Settings, every: Iterable[Facts], known: Evidence) -> list[Credential]:
    """Return each credential of these providers, a row for each of several and for each part of one; none for none."""
    found = []
    for facts in every:
        if facts.key is not None:
            pools = [key.pool for key in keys_of(config, facts)]
            parts = facts.key.parts
            found += [_row(config, facts, part, known, pool=pool) for pool in pools or [""] for part in parts]
    return found


def _row(config: Settings, facts: Facts, spec: KeySpec, known: Evidence, *, pool: str) -> Credential:
    variable, origin = credential_origin(config, spec)
    hold = (known.refusal(facts.name, pool)) if pool else None
    state: Literal["present", "missing", "refused"]
    state = "missing" if not pool else "present" if hold is None else "refused"
    is_asked = facts.name in known.followed and config.of_provider(facts.name).enabled
    return Credential(
        provider=facts.name,
        variable=variable or spec.env,
        required=spec.required,
        state=state,
        origin=origin or None,
        pool=pool,
        reason=hold.reason if hold else None,
        since=hold.since if hold else None,
        needed=is_asked and (state == "refused" or (state == "missing" and spec.required)),
        where_to_get=spec.where_to_get,
    )
