"""How questions reach hospitals and answers come back, and how many bytes that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wardround_common.messages.rounds import Failure, Parts
from wardround_common.study.file import Study


class Exchange(Protocol):
    """How questions reach hospitals and answers come back; the Flower shell is one."""

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals that can be asked now."""

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each hospital its question and give the answers as they come, one for each hospital."""


@dataclass(frozen=True)
class Some:
    """An exchange with some of the hospitals: those of one part in a study."""

    exchange: Exchange
    takes: Callable[[str], bool]

    def hospitals(self) -> Sequence[str]:
        """Name those of them that can be asked now."""
        return [name for name in self.exchange.hospitals() if self.takes(name)]

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each its question."""
        return self.exchange.ask(kind, questions)


def trainers(study: Study, exchange: Exchange) -> Exchange:
    """Return the exchange with those that train; it is the whole one where the study names none that does not."""
    return Some(exchange, study.trains) if study.evaluation.external else exchange


class Counted:
    """An exchange that counts the bytes of its messages: their arrays, and the text of their fields."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.sent = 0
        self.received = 0

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals that can be asked now."""
        return self._exchange.hospitals()

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each hospital its question."""
        self.sent += sum(_size(question) for question in questions.values())
        for name, answer in self._exchange.ask(kind, questions):
            self.received += 0 if isinstance(answer, Failure) else _size(answer)
            yield name, answer


def _size(parts: Parts) -> int:
    text = sum(len(name) + len(str(value)) for name, value in parts.fields.items())
    return text + sum(array.nbytes for array in parts.arrays.values())
