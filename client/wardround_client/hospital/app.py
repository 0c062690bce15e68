"""The hospital as a Flower ClientApp: Flower's records in, the hospital's answer out. Nothing is decided here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry

from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import MessageError, WardroundError
from wardround_common.messages.object_trees import array_record, numbers
from wardround_common.messages.rounds import EvaluateRequest, Parts, PrepareRequest, TrainRequest
from wardround_common.messages.vote import VoteRequest
from wardround_common.secagg.messages import ConfirmRequest, OpenRequest

log = logging.getLogger(__name__)


class Reply(Protocol):
    """An answer to the coordinator."""

    def parts(self) -> Parts:
        """Return the wire form."""


class Answering(Protocol):
    """A hospital in one study, or in all that it approved."""

    def answer(self, kind: str, parts: Parts) -> Reply:
        """Answer one question of the coordinator."""


def client_app(find_hospital: Callable[[Context], Answering]) -> ClientApp:
    """Wrap hospitals as a ClientApp; ``find_hospital`` says which one Flower's context means.

    An error of ours becomes an answer with its fixed word: its text stays here, since it may name a file.
    """
    app = ClientApp()

    def answer(message: Message, context: Context, kind: str) -> Message:
        try:
            reply = _record(find_hospital(context).answer(kind, _parts(message.content)).parts())
        except WardroundError as error:
            log.error("%s", error)
            reply = _record(Parts({"failure": error.kind}))
        return Message(reply, reply_to=message)

    @app.query(ProposeRequest.kind)
    def propose(message: Message, context: Context) -> Message:
        return answer(message, context, ProposeRequest.kind)

    @app.query(PrepareRequest.kind)
    def prepare(message: Message, context: Context) -> Message:
        return answer(message, context, PrepareRequest.kind)

    @app.train(TrainRequest.kind)
    def train(message: Message, context: Context) -> Message:
        return answer(message, context, TrainRequest.kind)

    @app.evaluate(EvaluateRequest.kind)
    def evaluate(message: Message, context: Context) -> Message:
        return answer(message, context, EvaluateRequest.kind)

    @app.evaluate(VoteRequest.kind)
    def vote(message: Message, context: Context) -> Message:
        return answer(message, context, VoteRequest.kind)

    @app.query(ConfirmRequest.kind)
    def confirm(message: Message, context: Context) -> Message:
        return answer(message, context, ConfirmRequest.kind)

    @app.query(OpenRequest.kind)
    def open_sum(message: Message, context: Context) -> Message:
        return answer(message, context, OpenRequest.kind)

    return app


def beside(may: Callable[[str, Parts], bool]) -> Callable[[str, RecordDict], bool]:
    """Say of Flower's messages what ``may`` says of our questions: whether one can be answered beside another."""

    def may_be(message_type: str, content: RecordDict) -> bool:
        return may(message_type.partition(".")[2], _parts(content))

    return may_be


def _parts(content: RecordDict) -> Parts:
    if not set(content) <= {"fields", "arrays"}:
        raise MessageError("a question has records besides its fields and arrays")
    fields = dict(content.config_records.get("fields", ConfigRecord()))
    arrays = {name: numbers(array) for name, array in content.array_records.get("arrays", ArrayRecord()).items()}
    return Parts(fields, arrays)  # type: ignore[arg-type]  # the parsers check each field's type


def _record(parts: Parts) -> RecordDict:
    arrays = array_record(parts.arrays, inflatable_class_registry)
    return RecordDict({"fields": ConfigRecord(dict(parts.fields)), "arrays": arrays})
