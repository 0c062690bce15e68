"""The exchange of one run with hospitals over the network: whom it asks, and how long it waits for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event

from wardround_common.audit.witness import IMAGES_AWAY, PAUSED
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.messages.rounds import Failure, Parts, PrepareRequest, optional_bytes
from wardround_common.secagg.terms import read_members
from wardround_common.study.file import Study
from wardround_server.link.link_grid import FORGOTTEN, LinkGrid
from wardround_server.link.superlink import SuperLink
from wardround_server.rounds.app import GridExchange
from wardround_server.rounds.limits import TIMED, Clock, Limits, Reason, needed_of

PASSING = (PAUSED, IMAGES_AWAY, FORGOTTEN)
"""Reasons of failures that pass: before anything was begun, or of a question that the hospital has lost."""
ASK_AGAIN_S = 2.0
MOST_FORGOTTEN = 3  # times that a hospital is asked again what it lost


@dataclass
class _Postponed:
    """Who is asked again when its reason has passed, as long as the round would be lost without it."""

    held: Callable[[], Mapping[str, str]]
    lost_without: Callable[[int, int], bool]
    _forgot: Counter[str] = field(default_factory=Counter)
    _kept: dict[str, tuple[Failure, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._kept)

    def takes(self, hospital: str, failure: Failure) -> bool:
        self._forgot[hospital] += failure.reason == FORGOTTEN
        if failure.reason not in PASSING or self._forgot[hospital] > MOST_FORGOTTEN:
            return False
        self._kept[hospital] = failure, time.monotonic() + ASK_AGAIN_S
        return True

    def waiting(self) -> bool:
        return bool(self._kept)

    def due(self, answered: int, asked: int) -> tuple[list[str], list[tuple[str, Failure]]]:
        if not self._kept:
            return [], []
        over: list[tuple[str, Failure]] = []
        again: list[str] = []
        if not self.lost_without(answered, asked + len(self._kept)):
            over = [(name, failure) for name, (failure, _) in self._kept.items()]
        else:
            held, now = self.held(), time.monotonic()
            again = [name for name, (_, after) in self._kept.items() if name not in held and now > after]
        for name in [*again, *(name for name, _ in over)]:
            del self._kept[name]
        return again, over


class LinkExchange:
    """The exchange of one run over the links; a hospital that is enrolled later is there from then on.

    An answer that comes after its question was given up is dropped: the port refuses it, and what of it is here is
    deleted. Nothing of a masked upload that came late is ever read.

    A hospital that has paused, or whose images are away, answers so before it begins anything. As long as the round
    would be lost without it, it is waited for like one that is silent, until the deadline, and asked again when
    ``held`` does not name it any more. So is one that lost its question, immediately.

    ``others`` names those of the study's roster under whose name another hospital is enrolled now: nobody is asked.

    ``stop``: when it is set, nobody who is silent or postponed is waited for in the hope of enough answers.
    """

    def __init__(
        self,
        study: Study,
        link: SuperLink,
        grid: LinkGrid,
        clock: Clock,
        stop: Event,
        held: Callable[[], Mapping[str, str]] = dict,
        others: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._held = held
        self._others = others
        self._study = study
        self._link = link
        self._grid = grid
        self._clock = clock
        self._stop = stop
        self._limits = Limits.of(study)
        self._cohorts: dict[str, int] = {}

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals that are connected now."""
        return GridExchange(self._grid, self._nodes()).hospitals()

    def _nodes(self) -> dict[int, str]:
        """Name the enrolled hospitals of the study by their nodes."""
        others = self._others()
        return {node: name for node, name in self._link.nodes().items() if name not in others}

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each its question and wait as the study says; one that is not enrolled any more has failed."""
        nodes = self._nodes()
        node_of = {name: node for node, name in nodes.items()}
        there = {name: parts for name, parts in questions.items() if name in node_of}
        yield from ((name, Failure("revoked")) for name in questions if name not in there)
        if not there:
            return
        asked = self._asked(kind, there)
        needed = needed_of(self._study, kind, len(questions), self._cohort_of(kind, there))

        lacking = min(needed, self._lacking(there)) if kind == PrepareRequest.kind else needed

        def lost_without(answered: int, waiting: int) -> bool:
            in_time = time.monotonic() - asked <= self._limits.deadline_s
            return in_time and not self._stop.is_set() and answered < lacking <= answered + waiting

        postponed = None if kind == ProposeRequest.kind else _Postponed(self._held, lost_without)

        def give_up(waiting: Mapping[str, str], answered: int) -> Mapping[str, str]:
            elapsed = time.monotonic() - asked
            still = 0 if self._stop.is_set() else len(waiting) + len(postponed or ())
            over: dict[str, Reason] = {}
            for question, name in waiting.items():
                silence = self._link.silence_s(node_of[name])
                if why := self._limits.over(kind, elapsed, silence, answered, still, needed):
                    over[question] = why
            self._grid.take_back(over)
            return over

        yield from GridExchange(self._grid, nodes, give_up, postponed).ask(kind, there)

    def _lacking(self, asked: Collection[str]) -> int:
        """Say how many of those who are asked to prepare a round needs besides the others, who did so before."""
        others = {one.name for one in self._study.roster if self._study.trains(one.name)} & set(self.hospitals()) - set(
            asked
        ) - set(self._held())
        return max(0, self._study.aggregation.min_hospitals - len(others))

    def _cohort_of(self, kind: str, questions: Mapping[str, Parts]) -> int:
        """Say with how many hospitals the secure sum was begun that a question is about."""
        question = next(iter(questions.values()))
        cohort = optional_bytes(question, "cohort")
        if cohort is not None:
            self._cohorts[kind] = len(read_members(cohort))
        return self._cohorts.get(str(question.fields.get("what", kind)), len(questions))

    def _asked(self, kind: str, questions: Mapping[str, Parts]) -> float:
        """Say since when the question is out, also if it was asked by a process before this one."""
        fields = next(iter(questions.values())).fields
        number = fields.get("round")
        if kind not in TIMED or not isinstance(number, int):
            return time.monotonic()
        return self._clock.asked(f"{kind} {fields.get('what', '')}".strip(), number, self._limits.deadline_s)
