"""Who asks, and whether they may write.

Reads are open: keep the address on loopback, or behind a proxy that knows its people. Writes need the token
(`Authorization: Bearer`, or a sign-in whose cookie is HttpOnly and SameSite=Strict), the same origin, and a dashboard
that writes at all: on loopback, or where TICKFARM_DASHBOARD_WRITES is on. Deliberately not here: the acts themselves.
Invariant: what may not write is refused here, whatever a page shows.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request

from ingest.settings import Settings

COOKIE = "tickfarm"
#: Who signed in without a name.
NOBODY = "dashboard"
_SAME_ORIGIN = ("same-origin", "none")


@dataclass(frozen=True, slots=True)
class Access:
    """What a request may do: `writes`, whether this dashboard takes any; `actor`, who is signed in (None: nobody)."""

    writes: bool
    actor: str | None

    @property
    def may_write(self) -> bool:
        """Whether buttons work for this request."""
        return self.writes and self.actor is not None


def access_of(request: Request) -> Access:
    """Return what this request may do."""
    config: Settings = request.app.state.context.settings
    return Access(takes_writes(config), _actor(request, config))


def takes_writes(config: Settings) -> bool:
    """Say whether this dashboard writes at all."""
    if config.tickfarm_dashboard_writes != "auto":
        return config.tickfarm_dashboard_writes == "on"
    host = config.tickfarm_dashboard_host
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def sign_in(config: Settings, token: str, name: str) -> str:
    """Return the cookie of who knows the token. Raises 403."""
    known = _token(config)
    if known is None or not hmac.compare_digest(known.encode(), token.encode()):
        raise HTTPException(403, "that is not the token")
    name = " ".join(name.split())[:80] or NOBODY
    return f"{name.encode().hex()}.{_seal(known, name)}"


def may_write(request: Request) -> str:
    """Return who asks; a dependency of every route that writes. Raises 405 read-only, 403 cross-site, 401 unknown."""
    access = access_of(request)
    if not access.writes:
        raise HTTPException(405, "this dashboard is read-only (TICKFARM_DASHBOARD_WRITES)", {"Allow": "GET, HEAD"})
    if not _is_same_origin(request):
        raise HTTPException(403, "a page of another site asked for this")
    if access.actor is None:
        raise HTTPException(401, "sign in with the dashboard's token", {"WWW-Authenticate": "Bearer"})
    return access.actor


#: `def route(actor: Writer)`
Writer = Annotated[str, Depends(may_write)]


def _actor(request: Request, config: Settings) -> str | None:
    known = _token(config)
    if known is None:
        return None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(known.encode(), token.strip().encode()):
        return "api"
    name, _, seal = request.cookies.get(COOKIE, "").partition(".")
    try:
        said = bytes.fromhex(name).decode()
    except ValueError:
        return None
    return said if said and hmac.compare_digest(_seal(known, said), seal) else None


def _is_same_origin(request: Request) -> bool:
    """Say whether one of our own pages asks, or no browser at all."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in _SAME_ORIGIN
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _seal(token: str, name: str) -> str:
    return hmac.new(token.encode(), b"tickfarm dashboard\0" + name.encode(), hashlib.sha256).hexdigest()


def _token(config: Settings) -> str | None:
    secret = config.tickfarm_dashboard_token
    return None if secret is None else secret.get_secret_value()
