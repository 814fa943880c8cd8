"""`python -m dashboard`: serve until SIGTERM or Ctrl-C, on TICKFARM_DASHBOARD_HOST and TICKFARM_DASHBOARD_PORT."""

from __future__ import annotations

from dashboard.serve import serve

serve()
