"""Flower's Grid within one machine: the same ServerApp and ClientApp, no network and no Ray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from wardround_simulation import jobs
from wardround_simulation.federation import Federation
from wardround_simulation.workers import Broke, Died, Job, Workers


class InProcessGrid(Grid):
    """Hands each message to a worker, which answers it with the hospital's own ClientApp."""

    def __init__(self, federation: Federation, names: Mapping[int, str], workers: Workers) -> None:
        # Flower stamps messages with the task that makes them; here there is one task, this run.
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
        self._federation = federation
        self._names = dict(names)
        self._workers = workers
        self._asked: dict[int, Message] = {}
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Run) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Run:
        """There is none to describe."""
        raise NotImplementedError("a simulation in this process has no Flower run")

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message (Flower's older form)."""
        return Message(content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Name the nodes of the hospitals."""
        return list(self._names)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queue each message for a worker and give the messages' ids."""
        pushed = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(uuid4())
            name = self._names[message.metadata.dst_node_id]
            number = self._workers.submit(Job(jobs.answer, (self._federation, name, message), affinity=name))
            self._asked[number] = message
            pushed.append(message.metadata.message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Wait for at least one reply, and give those of the ids that are there."""
        wanted = message_ids if isinstance(message_ids, Mapping) else set(message_ids)
        # A thousand hospitals are asked a thousand times for those that still wait: replies are few, ids are many.
        if not any(name in wanted for name in self._replies):
            for number, result in self._workers.done():
                message = self._asked.pop(number)
                self._replies[message.metadata.message_id] = _reply(message, result)
        return [self._replies.pop(name) for name in [*self._replies] if name in wanted]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push messages and wait for all replies."""
        waiting, replies = set(self.push_messages(messages)), []
        while waiting:
            replies += self.pull_messages(waiting)
            waiting -= {reply.metadata.reply_to_message_id for reply in replies}
        return replies


def _reply(message: Message, result: Any) -> Message:
    if isinstance(result, Message):
        return result
    if isinstance(result, Died):
        return Message(Error(ErrorCode.CLIENT_APP_CRASHED, f"the worker process {result.how()}"), reply_to=message)
    if isinstance(result, Broke):
        result.reraise()
    raise result  # the ClientApp answers its own errors: this one is of the simulation
