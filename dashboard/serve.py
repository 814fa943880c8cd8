"""Serve the application. Deliberately not here: what it is (app.py). Invariant: one process; threads read."""

from __future__ import annotations

import gc

import uvicorn

from dashboard.app import create_app
from ingest.settings import settings
from ingest.telemetry import setup_logs

#: An open page's stream of events is cut off after so long when the server is told to stop.
STOP_S = 5
#: A page of the heat-map holds some 20,000 objects at once, and none when it is sent.
_COLLECT_AFTER = 50_000


def serve() -> None:
    """Serve until told to stop. Raises BadSetting for settings that can't be."""
    config = settings()
    setup_logs(config.tickfarm_log_format, level=config.tickfarm_log_level)
    app = create_app(config)
    # Looking through all that was loaded for garbage took 150 ms of every seventh home page.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    uvicorn.run(
        app,
        host=config.tickfarm_dashboard_host,
        port=config.tickfarm_dashboard_port,
        log_config=None,
        access_log=False,  # who read what is logged by the application, without what a query may hold
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
