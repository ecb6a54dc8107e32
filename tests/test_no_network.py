"""W7: the guard in conftest.py holds, so a test that passes has used no network."""

import socket

import pytest


def test_a_connection_is_refused_at_once():
    with socket.socket() as connection, pytest.raises(AssertionError, match="no network"):
        connection.connect(("192.0.2.1", 80))
    with socket.socket() as connection, pytest.raises(AssertionError, match="no network"):
        connection.connect_ex(("localhost", 80))


def test_sockets_of_this_machine_work(tmp_path):
    place = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(place)
        server.listen()
        client.connect(place)
