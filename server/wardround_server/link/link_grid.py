"""Flower's Grid over the link state of the coordinator's process: questions go out, answers come in, once each."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from flwr.app import Error, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.constant import (
    SUPERLINK_NODE_ID,
    ErrorCode,
)
from flwr.proto.message_pb2 import ObjectTree
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import (
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
from flwr.supercore.object_store import NoObjectInStoreError
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.supercore.utils import uint64_to_int64

from wardround_common.errors import RoundError
from wardround_common.messages.object_trees import inflate, name_chunks, taken_apart
from wardround_common.storage import write_atomically
from wardround_server.link import pending
from wardround_server.link.link_core import LinkCore
from wardround_server.link.object_files import Written

log = logging.getLogger(__name__)

FORGOTTEN = "forgotten"
"""Why there is no answer: the hospital is there, took the question, and has neither it nor an answer any more."""
REST_S = 0.25
WRITERS = 4
TOGETHER = 16
"""Questions that one transaction keeps: a flush for all of them, and no long wait for whoever asks meanwhile."""
TTL_S = 100 * 365 * 86_400.0  # questions do not expire, also if the clock is set by years: a study has its deadlines


class LinkGrid(Grid):
    """Flower's Grid over the link state of this process.

    ``push_messages`` remembers on disk what is out. After a restart, a question with the same content to the same node
    is no new one: if its answer is here, or it waits here whole, that counts. If not, it is put again under its own
    name: a hospital that has it or its answer on its disk only confirms it, and one that has neither, whose answer a
    database that was rolled back does not know, works on it again. A process that asks the same twice gets two answers.
    """

    def __init__(self, link: LinkCore, run: int, patience_s: float) -> None:
        self._link = link
        self._run_id = run
        self._here = {"run": uint64_to_int64(run)}
        self._patience_s = patience_s
        # Node and type of message: digest of the content, id of the message, when it was made.
        self._out: dict[str, list[str]] = {}
        path = out_file(link.folder, run)
        try:
            noted = json.loads(path.read_bytes())
            self._out = {str(slot): [str(part) for part in parts] for slot, parts in noted.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError):  # as after a restored backup, all is asked again
            log.warning("the pending questions of run %d cannot be read (%s); they are asked again", run, path)
        self._fresh: set[str] = set()  # ids that this process has pushed or taken over
        self._node_of: dict[str, int] = {}
        self._undeliverable: set[str] = set()
        self._looked = 0  # how many answers had come when this one last looked
        # Flower stamps messages with what it takes for the one run of the process; ``push_messages`` says which it is.
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = SUPERLINK_NODE_ID

    def set_run(self, run: Run) -> None:
        """Do nothing: the run was named when the grid was made."""

    @property
    def run(self) -> Run:
        """The run as Flower describes it."""
        return self._link.run_of(self._run_id)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message (Flower's older form)."""
        return Message(content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Name the nodes that are there now."""
        return self._link.here()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Put questions, or take over those that are out already; they are on disk when this returns."""
        ids: list[str] = []
        new: list[Message] = []
        old: list[str] = []
        again: set[str] = set()
        out = dict(self._out)
        with no_object_id_recompute():
            for message in messages:
                node, what = message.metadata.dst_node_id, message.metadata.message_type
                name_chunks(message, inflatable_class_registry)
                content, slot = message.content.object_id, f"{node} {what}"
                digest, name, *made = out.get(slot, ["", ""])
                same = digest == content and name not in self._fresh
                if same and self._is_out(name):
                    taken_over = name
                else:
                    if same and made:  # an earlier version did not note it
                        message.metadata.__dict__["_created_at"] = float(made[0])
                    self._stamp(message)
                    taken_over = message.object_id
                    if taken_over == name:
                        again.add(name)
                    elif name:
                        old.append(name)
                        self._forget(name)
                    message.metadata.__dict__["_message_id"] = taken_over
                    new.append(message)
                    out[slot] = [content, taken_over, repr(message.metadata.created_at)]
                self._fresh.add(taken_over)
                self._node_of[taken_over] = node
                ids.append(taken_over)
            write_atomically(out_file(self._link.folder, self._run_id), json.dumps(out).encode())
            self._out = out
            self._drop(old)
            if old:
                self._link.forget_deleted()
            for start in range(0, len(new), TOGETHER):
                self._store(new[start : start + TOGETHER], again)
        for node in {self._node_of[each] for each in ids}:
            self._link.mail(node)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the answers that are here; for a hospital that was silent for too long, an error in its place."""
        wanted = set(message_ids)
        self._looked = self._link.came
        with self._link.transaction(), self._link.objects.rows() as rows:
            complete = {asked: answer for answer, asked in rows.execute(pending.COMPLETE, self._here)}
            known = {asked for (asked,) in rows.execute(pending.ASKED, self._here)}
        replies = []
        for question in wanted:
            node = self._node_of[question]
            if question in complete:
                replies.append(self._reply(question, node, complete[question]))
            elif question in self._undeliverable or node not in self._link.nodes():
                replies.append(self._absence(question, node, "revoked"))
            elif question not in known:  # a disk lost a part of it: nobody can be given it any more
                replies.append(self._absence(question, node, "lost"))
            elif question in self._link.forgotten:
                self._drop([question])
                replies.append(self._absence(question, node, FORGOTTEN))
            elif self._link.silence_s(node) > self._patience_s:
                self._drop([question])
                replies.append(self._absence(question, node, "silent"))
        return replies

    def take_back(self, questions: Mapping[str, str]) -> None:
        """Take back questions, each with its reason: an answer that comes now is refused, and what came of one is
        deleted unread.
        """
        for question, why in questions.items():
            node = self._node_of[question]
            log.warning("no answer from %s: %s", self._link.nodes().get(node, node), why)
        self._drop(questions)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask questions and wait for all answers, or until the timeout in seconds."""
        waiting, replies = set(self.push_messages(messages)), []
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while waiting and time.monotonic() < until:
            came = self.pull_messages(waiting)
            replies += came
            waiting -= {reply.metadata.reply_to_message_id for reply in came}
            if waiting and not came:
                self.rest()
        return replies

    def rest(self) -> None:
        """Wait until an answer has come since the last look, or for a moment: hospitals also fall silent."""
        self._looked = self._link.rest(self._looked, REST_S)

    def _forget(self, question: str) -> None:
        self._fresh.discard(question)
        self._node_of.pop(question, None)
        self._undeliverable.discard(question)

    def _stamp(self, message: Message) -> None:
        metadata = message.metadata.__dict__
        metadata["_run_id"] = self._run_id
        metadata["_src_node_id"] = SUPERLINK_NODE_ID
        metadata["_src_task_id"] = None
        metadata["_ttl"] = TTL_S

    def _is_out(self, question: str) -> bool:
        """Say whether a question needs nothing more: its answer is here, or it waits here whole to be given."""
        state, objects = self._link.state, self._link.objects
        with self._link.transaction():
            if state.query(f"{pending.COMPLETE} AND reply_to_message_id = :id", self._here | {"id": question}):
                return True
            if not state.query(pending.UNANSWERED, {"id": question}):
                return False
            try:
                tree = objects.get_object_tree(question)
            except NoObjectInStoreError:
                return False  # its receipt was confirmed
            return all(objects.sizes(part.object_id for part in iterate_object_tree(tree)).values())

    def _store(self, messages: list[Message], again: set[str]) -> None:
        """Keep questions, all in one transaction, when what is large of them is on the disk; those of ``again`` in the
        place of what is left of them, and of a part of their answers.
        """
        objects = self._link.objects
        apart = [taken_apart(message, inflatable_class_registry, ObjectTree) for message in messages]
        contents = {name: content for _, parts in apart for name, content in parts.items()}
        with ExitStack() as open_things:
            absent = [name for name in contents if not objects.has(name)]  # else it was written for another question

            def write(name: str) -> Written:
                return open_things.enter_context(objects.written(name, contents[name], named=True))

            with ThreadPoolExecutor(WRITERS) as pool:  # a disk flushes several files in little more than one's time
                written = dict(zip(absent, pool.map(write, absent), strict=True))
            open_things.enter_context(self._link.transaction())

            def at_hand(name: str) -> Written:
                if name not in written:  # removed in this moment
                    written[name] = write(name)
                return written[name]

            for message, (tree, _) in zip(messages, apart, strict=True):
                self._put(message, tree, at_hand, again=message.metadata.message_id in again)

    def _put(self, message: Message, tree: ObjectTree, at_hand: Callable[[str], Written], *, again: bool) -> None:
        """Make one question complete, in a transaction."""
        question, state = message.metadata.message_id, self._link.state
        told = again and state.query("SELECT 1 FROM message_ins WHERE message_id = :id", {"id": question})
        if again:
            if self._is_out(question):
                return  # its answer came in this moment
            self._drop([question])
        # So that nobody is given a question of which a part is missing.
        session = state.start_session(self._run_id)
        stored, missing = state.store_message_and_object_tree(remove_content_from_message(message), tree, session)
        if not stored:
            self._undeliverable.add(question)
            return
        if missing and not self._link.store(self._run_id, session, [at_hand(name) for name in missing]):
            raise RoundError("Flower did not keep a question", where=str(self._link.folder))
        if not told:
            self._link.tell("out", message.metadata.dst_node_id, message.metadata.message_type, question)

    def _reply(self, question: str, node: int, answer: str) -> Message:
        try:
            with self._link.transaction():
                tree = self._link.objects.get_object_tree(answer)
                names = {part.object_id for part in iterate_object_tree(tree)}
            contents = self._link.objects.contents(names)
            reply = inflate(answer, contents, inflatable_class_registry, self._link.limits.long_bytes)
        except Exception as error:  # noqa: BLE001  # it was made by somebody else: whatever is wrong is wrong with it
            return self._absence(question, node, "unreadable", type(error).__name__)
        # What the port checked is the envelope. The letter could name another sender.
        if not isinstance(reply, Message) or (
            (reply.metadata.src_node_id, reply.metadata.reply_to_message_id) != (node, question)
        ):
            return self._absence(question, node, "unreadable", "it names another sender or question than it came from")
        reply.metadata.__dict__["_message_id"] = answer
        return reply

    def _absence(self, question: str, node: int, why: str, more: str = "") -> Message:
        """Return an error with a fixed word in the place of an answer."""
        log.warning("no answer from %s: %s %s", self._link.nodes().get(node, node), why, more)
        metadata = Metadata(self._run_id, "", node, SUPERLINK_NODE_ID, question, "", time.time(), TTL_S, "query")
        return make_message(metadata, error=Error(ErrorCode.NODE_UNAVAILABLE, why))

    def _drop(self, questions: Iterable[str]) -> None:
        dropped = set(questions)
        if not dropped:
            return
        self._link.forgotten -= dropped
        with self._link.transaction():
            for question in dropped:
                rows = self._link.state.query(
                    "SELECT message_id FROM message_res WHERE reply_to_message_id = :id", {"id": question}
                )
                for name in [question, *(row["message_id"] for row in rows)]:
                    self._link.objects.delete(name)
            self._link.state.delete_messages(dropped)


def out_file(folder: Path, run: int) -> Path:
    """Name the file that keeps which questions of a run are out."""
    return folder / f"run-{run}.json"
