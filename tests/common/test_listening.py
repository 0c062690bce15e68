"""What listens sends small segments at once."""

from __future__ import annotations

import ast
import inspect
import socket
from pathlib import Path

import wardround_client
import wardround_common
import wardround_server
import wardround_simulation
from wardround_common.listening import listening

PACKAGES = (wardround_client, wardround_common, wardround_server, wardround_simulation)


def test_a_connection_sends_without_waiting_for_what_it_sent_before_to_be_acknowledged() -> None:
    with listening("127.0.0.1", 0) as port, socket.create_connection(port.getsockname()), port.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_no_other_socket_of_ours_listens() -> None:
    files = [file for package in PACKAGES for file in Path(inspect.getfile(package)).parent.rglob("*.py")]
    opens = {
        file.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "create_server" and ast.unparse(node.value) == "socket"
    }
    assert opens == {"listening.py"}
