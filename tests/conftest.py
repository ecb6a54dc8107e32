"""Shared by all tests: no socket is opened to another machine, whatever a library would like to fetch."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest


class NetworkForbiddenError(AssertionError):
    """A test tried to use the network."""


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse every connection of this process but those to sockets of this machine's file system."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(original: Any) -> Any:
    def call(self: socket.socket, address: Any) -> Any:
        if self.family != getattr(socket, "AF_UNIX", None):
            raise NetworkForbiddenError(f"a test wanted to connect to {address!r}; tests use no network")
        return original(self, address)

    return call
