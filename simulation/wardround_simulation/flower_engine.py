"""Flower's own simulation engine (Ray), for a federation that outgrows one machine: the same apps, the same result."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Mapping

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from wardround_client.hospital.answering import Hospital
from wardround_client.hospital.app import client_app
from wardround_client.training.devices import CPU
from wardround_common.errors import DeviceError, RoundError, WardroundError
from wardround_server.rounds.app import server_app
from wardround_server.rounds.exchange import Exchange
from wardround_simulation.federation import Federation, open_hospital

Scalar = int | float | str | bytes | bool | list[int] | list[float] | list[str] | list[bytes] | list[bool]

FIRST_CARD = "cuda:0"
CLUSTER = "RAY_ADDRESS"
"""Environment variable with the address of Ray's cluster, as Ray's own programs read it."""
HOST_AND_PORT = re.compile(r"\[?([^/\[\]]+)\]?:(\d+)")
CONNECT_S = 10.0
POLL_S = 0.1
LOST = ("ray.exceptions.Actor", "The actor ", "when processing a message by RayBackend")
"""What Flower's log has, with tracebacks, of an actor that is gone."""
NODES_WAIT_S = 300.0
"""Ray's processes each import torch first, one after the other on a busy machine."""


def run_with_flower(federation: Federation, drive: Callable[[Exchange], None], actors: int) -> None:
    """Run ``drive`` as a ServerApp in Flower's engine, with one virtual node per hospital and a number of Ray actors.

    Where the environment names a cluster of Ray, it is joined; then each of its CPUs is an actor.

    Raises:
        RoundError, DeviceError: as :func:`check_engine`; or the engine ended before ``drive`` did.
        WardroundError: what ``drive`` raised.
    """
    check_engine(federation.device)
    init: dict[str, Scalar] = {"include_dashboard": False, "logging_level": "error", "log_to_driver": False}
    if not os.environ.get(CLUSTER):
        # Ray takes this machine's outside address else, and serves there without asking who it is that calls.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # Without an address Ray would join the cluster that somebody started on this machine, and refuse the number.
        init |= {"address": "local", "num_cpus": actors}
    from flwr.simulation import run_simulation

    errors: list[WardroundError] = []
    finished: list[bool] = []

    def keep_error(exchange: Exchange) -> None:
        try:
            drive(exchange)
        except WardroundError as error:
            errors.append(error)
        finished.append(True)

    flower = logging.getLogger("flwr")
    flower.setLevel(logging.ERROR)
    flower.addFilter(_tells_more)
    # An actor with no share of a card is shown none by Ray; with a share it is shown the one, as cuda:0.
    share = 1 / actors if federation.device == FIRST_CARD else 0.0
    actor: dict[str, Scalar] = {"num_cpus": 1, "num_gpus": share}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray and Flower speak of their own future versions
        run_simulation(
            server_app=server_app(keep_error, lambda grid: _ask_names(grid, len(federation.sites))),
            client_app=_naming_app(federation),
            num_supernodes=len(federation.sites),
            backend_config={"init_args": init, "client_resources": actor},
        )
    if errors:
        raise errors[0]
    if not finished:
        raise RoundError("Flower's engine ended before the study did", do="Run again with --resume.")


def check_engine(device: str) -> None:
    """Check that the engine can begin, before a run is; join the cluster of Ray that the environment names, if any.

    Raises:
        RoundError: Ray is not installed, or its cluster cannot be joined.
        DeviceError: the engine cannot train on this device.
    """
    if importlib.util.find_spec("ray") is None:
        raise RoundError("Flower's engine needs Ray, which is not installed", do="Install 'wardround[ray]'.")
    if device not in (CPU, FIRST_CARD):
        raise DeviceError(
            f"Flower's engine cannot train on {device}: it shows its processes one CUDA card, as the first",
            do="Set CUDA_VISIBLE_DEVICES to the number of the card, and train with --device cuda.",
        )
    if address := os.environ.get(CLUSTER):
        _join(address)  # Flower's engine takes the cluster that its process has joined


def _tells_more(record: logging.LogRecord) -> bool:
    """Tell whether Flower says more than that an actor was lost, as with its node: the round's own error says whose
    answers are missing.
    """
    said = record.getMessage()
    return not any(lost in said for lost in LOST)


def _join(address: str) -> None:
    """Join the cluster that Ray's variable names, if this process has not joined it before.

    Raises:
        RoundError: nothing there answers as a cluster of this Ray and this Python.
    """
    import ray

    if ray.is_initialized():
        return
    try:
        if port := HOST_AND_PORT.fullmatch(address):  # Ray would try for minutes
            socket.create_connection((port[1], int(port[2])), CONNECT_S).close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray speaks of its own future versions
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        raise RoundError(
            f"no cluster of Ray can be joined at {address}, which {CLUSTER} names: {str(error).splitlines()[0]}",
            do=f"See with 'ray status' whether it runs, with this Python and Ray {ray.__version__}; or unset it.",
        ) from error


def _naming_app(federation: Federation) -> ClientApp:
    """Wrap the hospitals as a ClientApp that also says which of them a virtual node is."""

    def name_of(context: Context) -> str:
        return federation.sites[int(context.node_config["partition-id"])].name

    def find(context: Context) -> Hospital:
        return open_hospital(federation, name_of(context))

    app = client_app(find)

    @app.query("name")
    def name(message: Message, context: Context) -> Message:
        return Message(RecordDict({"fields": ConfigRecord({"name": name_of(context)})}), reply_to=message)

    return app


def _ask_names(grid: Grid, hospitals: int) -> Mapping[int, str]:
    # Flower numbers virtual nodes at random; only they know which partition they are.
    until = time.monotonic() + NODES_WAIT_S
    while len(nodes := list(grid.get_node_ids())) < hospitals:
        if time.monotonic() > until:
            raise RoundError(f"{len(nodes)} of {hospitals} virtual nodes came up in {NODES_WAIT_S:.0f} s")
        time.sleep(POLL_S)
    questions = [Message(RecordDict(), dst_node_id=node, message_type="query.name") for node in nodes]
    replies = list(grid.send_and_receive(questions, timeout=NODES_WAIT_S))
    names = {
        reply.metadata.src_node_id: str(reply.content.config_records["fields"]["name"])
        for reply in replies
        if not reply.has_error()
    }
    if len(names) < hospitals:
        failed = sum(reply.has_error() for reply in replies)
        raise RoundError(
            f"{len(names)} of {hospitals} virtual nodes said which hospital they are; {failed} failed, and "
            f"{hospitals - len(replies)} did not answer in {NODES_WAIT_S:.0f} s",
            do="Run again with --resume; with fewer --workers it needs less memory.",
        )
    return names
