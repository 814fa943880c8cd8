"""Where the farm is on this machine: the checkout, the state folder, the embedded servers' file of addresses."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def home() -> Path:
    """Return the state folder: `TICKFARM_HOME`, or `.tickfarm/` in the checkout."""
    return Path(os.environ.get("TICKFARM_HOME") or CHECKOUT / ".tickfarm").resolve()


def servers_file() -> Path:
    """Return where the embedded servers write their addresses (mode 0600; gone when they stop)."""
    return home() / "servers.json"
