"""Asks a service that shows pages for an address at which one browser can come in."""

from __future__ import annotations

from pathlib import Path

from wardround_common.control.control_pb2 import Nothing
from wardround_common.control.control_pb2_grpc import PagesStub
from wardround_common.control.line import connected


def address_of(folder: Path, role: str) -> str:
    """Return a new address of a service's pages, good once and for a quarter of an hour; an earlier one is void.

    Raises:
        ServiceAwayError: no service serves from the folder.
        ServiceError: it shows no pages, or does not answer.
    """
    with connected(folder, role) as line:
        return line.ask(PagesStub(line.channel).Invite, Nothing(), lambda answer: str(answer.address))
