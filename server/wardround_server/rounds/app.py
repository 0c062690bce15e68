"""The coordinator as a Flower ServerApp: questions go out by a Grid, answers come back. Nothing is decided here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry

from wardround_common.documents.proposal import ProposeRequest
from wardround_common.messages.object_trees import array_record, numbers
from wardround_common.messages.rounds import EvaluateRequest, Failure, Parts, PrepareRequest, TrainRequest
from wardround_common.messages.vote import VoteRequest
from wardround_common.secagg.messages import ConfirmRequest, OpenRequest
from wardround_server.rounds.exchange import Exchange

# Flower's kinds of message, with our own word behind the dot.
MESSAGE_TYPES = {
    ProposeRequest.kind: "query.propose",
    PrepareRequest.kind: "query.prepare",
    TrainRequest.kind: "train.train",
    EvaluateRequest.kind: "evaluate.evaluate",
    VoteRequest.kind: "evaluate.vote",
    ConfirmRequest.kind: "query.confirm",
    OpenRequest.kind: "query.open",
}
POLL_S = 0.05  # between two looks for replies, when none came


@runtime_checkable
class Restful(Protocol):
    """A Grid that knows when an answer has come, so that nobody need look for it again and again."""

    def rest(self) -> None:
        """Wait until an answer has come since the last look, or for a moment."""


class Postponed(Protocol):
    """Hospitals whose failure passes: they are asked the same again when it has passed, before the others are done."""

    def takes(self, hospital: str, failure: Failure) -> bool:
        """Take a failure for one that passes, and keep it instead of giving it as the answer."""

    def waiting(self) -> bool:
        """Say whether a failure is kept."""

    def due(self, answered: int, asked: int) -> tuple[list[str], list[tuple[str, Failure]]]:
        """Return those to be asked again now, and those that are no longer waited for.

        Args:
            answered: how many gave an answer that is no failure.
            asked: how many others have not answered.
        """


class NothingPostponed:
    """Every failure is an answer."""

    def takes(self, hospital: str, failure: Failure) -> bool:
        """Keep none."""
        return False

    def waiting(self) -> bool:
        """None is kept."""
        return False

    def due(self, answered: int, asked: int) -> tuple[list[str], list[tuple[str, Failure]]]:
        """Return none."""
        return [], []


class GridExchange:
    """Reaches hospitals through Flower's Grid; ``names`` says which node is which hospital.

    ``give_up`` is told which questions wait for which hospital, and how many answers came that are no failure; it
    gives those that are waited for no more, with the reason. ``postponed`` keeps those whose failure passes.
    """

    def __init__(
        self,
        grid: Grid,
        names: Mapping[int, str],
        give_up: Callable[[Mapping[str, str], int], Mapping[str, str]] = lambda waiting, answered: {},
        postponed: Postponed | None = None,
    ) -> None:
        self._postponed = NothingPostponed() if postponed is None else postponed
        self._grid = grid
        self._rest = grid.rest if isinstance(grid, Restful) else lambda: time.sleep(POLL_S)
        self._names = dict(names)
        self._give_up = give_up

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals whose nodes are there now, in the order of the names."""
        there = set(self._grid.get_node_ids())
        return sorted(name for node, name in self._names.items() if node in there)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Push all questions, then give the answers as they come; a crash at the hospital is a Failure."""
        contents: dict[int, RecordDict] = {}  # one record for each different question: a model is copied once
        waiting = self._push(kind, questions, contents)
        postponed, answered = self._postponed, 0
        while waiting or postponed.waiting():
            replies = list(self._grid.pull_messages(waiting)) if waiting else []
            for reply in replies:
                name = waiting.pop(reply.metadata.reply_to_message_id, self._names[reply.metadata.src_node_id])
                answer = _answer(reply)
                if isinstance(answer, Failure) and postponed.takes(name, answer):
                    continue
                answered += not isinstance(answer, Failure)
                yield name, answer
            if replies:
                continue
            for question, why in self._give_up(waiting, answered).items():
                yield waiting.pop(question), Failure(why)
            again, over = postponed.due(answered, len(waiting))
            yield from over
            waiting |= self._push(kind, {name: questions[name] for name in again}, contents)
            if waiting or postponed.waiting():
                self._rest()

    def _push(self, kind: str, questions: Mapping[str, Parts], contents: dict[int, RecordDict]) -> dict[str, str]:
        """Push questions; give the hospital of each by the name of its message."""
        node_of = {name: node for node, name in self._names.items()}
        messages = []
        for name, parts in questions.items():
            if id(parts) not in contents:
                contents[id(parts)] = _record(parts)
            messages.append(
                Message(
                    contents[id(parts)],
                    dst_node_id=node_of[name],
                    message_type=MESSAGE_TYPES[kind],
                    group_id=kind,
                )
            )
        return dict(zip(self._grid.push_messages(messages), questions, strict=True)) if messages else {}


def server_app(drive: Callable[[Exchange], None], names: Callable[[Grid], Mapping[int, str]]) -> ServerApp:
    """Wrap ``drive``, which runs a study over an exchange, as a ServerApp; ``names`` names the nodes."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        drive(GridExchange(grid, names(grid)))

    return app


def _answer(reply: Message) -> Parts | Failure:
    if reply.has_error():
        # What the link says of a hospital that it does not reach is a fixed word; what a hospital says is text.
        unreachable = reply.error.code == ErrorCode.NODE_UNAVAILABLE
        return Failure((unreachable and reply.error.reason) or "crashed")
    try:
        fields = dict(reply.content.config_records.get("fields", ConfigRecord()))
        records = reply.content.array_records.get("arrays", ArrayRecord())
        arrays = {name: numbers(array) for name, array in records.items()}
        if not set(reply.content) <= {"fields", "arrays"}:
            return Failure("message")
    except Exception:  # noqa: BLE001  # a hospital's bytes: whatever is wrong is wrong with them, and ends no run
        return Failure("message")
    if "failure" in fields:
        return Failure(str(fields["failure"]))
    return Parts(fields, arrays)  # type: ignore[arg-type]  # the parsers check each field's type


def _record(parts: Parts) -> RecordDict:
    arrays = array_record(parts.arrays, inflatable_class_registry)
    return RecordDict({"fields": ConfigRecord(dict(parts.fields)), "arrays": arrays})
