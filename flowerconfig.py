"""Flower's own configuration file, read where it is started: /metrics asks for the password too.

Flower leaves two pages open: /metrics (names of workers and tasks, run times) and /healthcheck, which says "OK" and
nothing else and stays open for the container's health check. The password stands in FLOWER_BASIC_AUTH, or in the file
that FLOWER_BASIC_AUTH_FILE names, as containers mount it. Deliberately not here: address and port, which come from the
command line. Invariant: with no password set, Flower is as open as Flower is.
"""

from __future__ import annotations

import os
from pathlib import Path

from flower.views.monitor import Metrics
from tornado.web import authenticated

Metrics.get = authenticated(Metrics.get)

if _file := os.environ.get("FLOWER_BASIC_AUTH_FILE"):
    basic_auth = [Path(_file).read_text(encoding="utf-8").strip()]
