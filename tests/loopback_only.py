"""No test reaches the network: sockets to anything but loopback are refused, libcurl's too.

Deliberately not here: processes that tests start; those are given loopback addresses only. Invariant: a refusal is
loud (`OffLimits` names the address), so a test that needs the network fails rather than passing by luck.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pycurl
import pytest


class OffLimits(Exception):
    """A test tried to leave this machine. Not an OSError, so that no retry swallows it."""


def is_local(address: Any) -> bool:
    """Say whether an address as given to `connect` stays on this machine."""
    if not isinstance(address, tuple):  # a unix socket's path
        return True
    host = str(address[0])
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:  # a name: looking it up would leave the machine already
        return False


def require_local(caller: socket.socket, address: Any) -> None:
    if not is_local(address):
        caller.close()  # callers close it on an OSError only
        raise OffLimits(f"tests connect to loopback only, not to {address!r}")


class LoopbackCurl(pycurl.Curl):
    """libcurl opens its sockets past Python's `socket` module, but asks this hook first."""

    def __init__(self) -> None:
        super().__init__()
        self._guard()

    def reset(self) -> None:
        super().reset()
        self._guard()

    def _guard(self) -> None:
        self.setopt(pycurl.OPENSOCKETFUNCTION, _open_socket)


class _HandedOver(socket.socket):
    """A socket for libcurl. pycurl duplicates it and drops ours, which must close then, and without a warning."""

    def __del__(self) -> None:
        self.close()


def _open_socket(_purpose: int, address: Any) -> Any:
    if not is_local(address.addr):
        return pycurl.SOCKET_BAD
    return _HandedOver(address.family, address.socktype, address.protocol)


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Guard every test of the session."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: Any) -> None:
        require_local(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        require_local(self, address)
        return connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(pycurl, "Curl", LoopbackCurl)
        yield
