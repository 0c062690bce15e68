"""The health check for containers and people: one request to gRPC's standard health service."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from wardround_common.control.channel import open_channel
from wardround_common.control.place import SILENT_S
from wardround_common.errors import ServiceError


def check_health(folder: Path, role: str) -> None:
    """Check that the service of a role in a folder serves and can work.

    Raises:
        ServiceAwayError: none serves there.
        ServiceError: it does not answer.
        WardroundError: what is in its way, such as ImagesAwayError, LinkError or FullDiskError.
    """
    with open_channel(folder, role) as channel:
        try:
            found = HealthStub(channel).Check(HealthCheckRequest(), timeout=SILENT_S).status
        except grpc.RpcError:
            found = None
        if found == HealthCheckResponse.SERVING:
            return
    from wardround_common.control.line import connected  # what a service that is well never needs

    with connected(folder, role) as line:
        for trouble in line.troubles():
            raise trouble
    if found not in (HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING):  # else it is well again just now
        raise ServiceError("the service did not answer the health check", where=str(folder), do="Check its log.")
