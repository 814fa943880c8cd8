"""Loopback ports: finding a free one, and refusing early when a wanted one is taken.

Deliberately not here: who listens. Invariant: nothing is left bound.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from local.state import Refused

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port that was free a moment ago; its taker must be ready to lose the race and ask again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def require_free(wanted: Mapping[str, int]) -> None:
    """Refuse if one of these ports is taken. Keys are the settings that change them (`TICKFARM_FLOWER_PORT`)."""
    for setting, port in wanted.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free to a listener
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise Refused(
                    f"port {port} on {LOOPBACK} can't be used ({error.strerror}): stop what listens there, "
                    f"or choose another port with {setting} (0: any free one)"
                ) from error
