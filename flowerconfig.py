"""Flower's own configuration file, read where it is started: /metrics asks for the password too.

Flower leaves two pages open: /metrics (names of workers and tasks, run times) and /healthcheck, which says "OK" and
nothing else and stays open for the container's health check. Deliberately not here: address, port and password, which
come from the command line and FLOWER_BASIC_AUTH. Invariant: with no password set, Flower is as open as Flower is.
"""

from __future__ import annotations

from flower.views.monitor import Metrics
from tornado.web import authenticated

Metrics.get = authenticated(Metrics.get)
