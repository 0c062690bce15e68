"""Flower's SuperLink in the coordinator's process: its state and its messages, without its interfaces.

Used of Flower are the durable link state (``SqlLinkState``, SQLite in WAL mode), the content-addressed objects that
messages are cut into, and the protobuf messages of the Fleet interface. Its web application is not: of that, anybody
who reaches the port could start runs and register nodes. These are private parts of ``flwr==1.42.0``;
``tests/server/test_superlink.py`` says which of them another version changed. Questions and answers outlive this
process: a coordinator that starts again and asks the same gets the answer to what it had asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from flwr.common.constant import (
    HEARTBEAT_DEFAULT_INTERVAL,
    NOOP_ACCOUNT_NAME,
    NOOP_FLWR_AID,
    Status,
    SubStatus,
)
from flwr.supercore.constant import (
    NOOP_FEDERATION_ID,
    TaskType,
)
from flwr.supercore.utils import uint64_to_int64

from wardround_common.audit.passage import Passage
from wardround_common.errors import MessageError, RoundError
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.storage import alone_in
from wardround_server.link.fleet import Fleet
from wardround_server.link.link_core import LinkCore, Node, pem_of, read_key
from wardround_server.link.link_grid import LinkGrid, out_file
from wardround_server.link.port import Doorway, Port


class SuperLink(LinkCore):
    """The coordinator's end of all links: which hospitals may connect, and the runs that they take part in.

    ``folder`` keeps the database (``superlink.db``), the contents of messages (``objects``) and, for each run, which
    questions are out. ``hold_s``: how long a hospital's question for new messages is held open when there is none.
    ``passed`` is told of each message before it can be fetched or is acknowledged: if it raises StorageError, neither
    happens. ``heart`` is told of each hospital's heartbeat with its headers, and gives those of its answer.
    ``limits``: what is taken from a hospital at most.

    Raises:
        StorageError: another process works with the folder, or its database is damaged or cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        hold_s: float = 4.0,
        passed: Callable[[Passage], None] = lambda passage: None,
        heart: Callable[[str, Mapping[str, str]], Mapping[str, str]] = lambda name, headers: {},
        limits: LinkLimits | None = None,
    ) -> None:
        self._alone = ExitStack()
        self._alone.enter_context(alone_in(folder))
        logging.getLogger("flwr").setLevel(logging.CRITICAL)  # it calls each answer that is dropped an error
        try:
            super().__init__(folder, passed, heart, limits or LinkLimits())
        except BaseException:
            self._alone.close()
            raise
        self._fleet = Fleet(self, hold_s)

    def serve(self, host: str, port: int, certificate: Path, key: Path, doorway: Doorway | None = None) -> Port:
        """Open the public port; ``port`` 0 takes a free one, which ``Port.number`` names.

        Raises:
            StorageError: the port is taken, or the certificate or its key cannot be used.
        """
        self.port = Port(self._fleet, host, port, certificate, key, self.limits, doorway)
        self.port.start()
        return self.port

    def stop(self) -> None:
        """Close the port. Runs and what is in them stay, for the next start."""
        self._fleet.wake_all()
        if self.port is not None:
            self.port.stop()
            self.port = None
        for part in (self.state, self.objects):
            engine = part._engine
            if engine is not None:
                engine.dispose()
        self._alone.close()

    def enrol(self, name: str, key: bytes) -> int:
        """Let the hospital of this key connect, from now on and under this name; give its node.

        ``key``: a public key on a NIST curve, as PEM or as OpenSSH writes it. A hospital that is enrolled already gets
        the new key in the place of the old: its node stays, and so do the questions that are out.

        Raises:
            MessageError: it is not such a key, it is another hospital's, or it was revoked.
        """
        public = read_key(name, key)
        pem = pem_of(public)
        with self.transaction():
            owner = self._nodes.get(pem)
            if owner is not None:
                if owner.name != name:
                    raise MessageError(f"{name} has the key of {owner.name}", do="Each hospital makes its own key.")
                return owner.number
            before = next((node for node in self._nodes.values() if node.name == name), None)
            try:
                if before is None:
                    number = self.state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, pem, 0, name=name)
                    # Flower keeps no question for a node that was never active.
                    self.state.activate_node(number, HEARTBEAT_DEFAULT_INTERVAL)
                    self.state.deactivate_node(number)
                else:
                    number = before.number
                    self._taken(pem)
                    self.state.query(
                        "UPDATE node SET public_key = :key WHERE node_id = :node",
                        {"key": pem, "node": uint64_to_int64(number)},
                    )
            except ValueError:
                raise MessageError(
                    f"the key of {name} was revoked", do="Have the hospital make a new key and send a new request."
                ) from None
        if before is not None:
            self._forget(before)
        self._nodes[pem] = Node(number, name, public)
        return number

    def revoke(self, name: str) -> None:
        """Refuse a hospital from now on, and close its connections. Its key cannot be enrolled again.

        Raises:
            MessageError: there is no such hospital.
        """
        node = next((node for node in self._nodes.values() if node.name == name), None)
        if node is None:
            raise MessageError(f"no hospital is enrolled as {name!r}")
        self._forget(node)
        with self.transaction():
            self.state.delete_node(NOOP_FLWR_AID, node.number)

    def new_run(self) -> int:
        """Begin a run and give its number, which goes on being valid when this process starts again."""
        with self.transaction():
            run: int = self.state.create_run(
                None, None, None, {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
            )
            task = self.run_of(run).primary_task_id
            if not (run and task and self.state.claim_task(task) and self.state.activate_task(task)):
                raise RoundError("Flower did not start the run")
        return run

    def grid(self, run: int, patience_s: float = 600.0) -> LinkGrid:
        """Return the grid of a run, new or begun before this process started.

        A hospital that is not heard for ``patience_s`` while a question to it is out is given up for that question.

        Raises:
            RoundError: there is no such run, or it has ended.
        """
        if self._status(run) != Status.RUNNING:
            raise RoundError(f"there is no run {run}, or it has ended", do="Start a new one.")
        return LinkGrid(self, run, patience_s)

    def end_run(self, run: int) -> None:
        """End a run: what is out in it is forgotten, and hospitals are told that no answer is wanted."""
        with self.transaction():
            task = self.run_of(run).primary_task_id
            if task is not None:
                self.state.finish_task(task, SubStatus.COMPLETED, "")
            self.state.cleanup_run(run)
        self.forget_deleted()
        out_file(self.folder, run).unlink(missing_ok=True)

    def mail(self, node: int) -> None:
        """Let a node that waits for questions ask again."""
        self._fleet.wake(node)

    def _taken(self, pem: bytes) -> None:
        if self.state.query("SELECT 1 FROM node WHERE public_key = :key", {"key": pem}):
            raise ValueError

    def _forget(self, node: Node) -> None:
        self._nodes.pop(pem_of(node.key), None)
        self._seen.pop(node.number, None)
        if self.port is not None:
            self.port.expel(node.number)
