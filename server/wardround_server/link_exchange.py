"""The exchange of one run with hospitals over the network: whom it asks, and how long it waits for each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from threading import Event

from wardround_common.messages import Failure, Parts, optional_bytes
from wardround_common.secagg.terms import read_members
from wardround_common.study import Study
from wardround_server.app import GridExchange
from wardround_server.limits import TIMED, Clock, Limits, Reason, needed_of
from wardround_server.superlink import LinkGrid, SuperLink


class LinkExchange:
    """The exchange of one run over the links; a hospital that is enrolled later is there from then on.

    An answer that comes after its question was given up is dropped: the port refuses it, and what of it is here is
    deleted. Nothing of a masked upload that came late is ever read.

    ``stop``: when it is set, nobody who is silent is waited for in the hope of enough answers.
    """

    def __init__(self, study: Study, link: SuperLink, grid: LinkGrid, clock: Clock, stop: Event) -> None:
        self._study = study
        self._link = link
        self._grid = grid
        self._clock = clock
        self._stop = stop
        self._limits = Limits.of(study)
        self._cohorts: dict[str, int] = {}

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals that are connected now."""
        return GridExchange(self._grid, self._link.nodes()).hospitals()

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each its question and wait as the study says; one that is not enrolled any more has failed."""
        nodes = self._link.nodes()
        node_of = {name: node for node, name in nodes.items()}
        there = {name: parts for name, parts in questions.items() if name in node_of}
        yield from ((name, Failure("revoked")) for name in questions if name not in there)
        if not there:
            return
        asked = self._asked(kind, there)
        needed = needed_of(self._study, kind, len(questions), self._cohort_of(kind, there))

        def give_up(waiting: Mapping[str, str], answered: int) -> Mapping[str, str]:
            elapsed = time.monotonic() - asked
            still = 0 if self._stop.is_set() else len(waiting)
            over: dict[str, Reason] = {}
            for question, name in waiting.items():
                silence = self._link.silence_s(node_of[name])
                if why := self._limits.over(kind, elapsed, silence, answered, still, needed):
                    over[question] = why
            self._grid.take_back(over)
            return over

        yield from GridExchange(self._grid, nodes, give_up).ask(kind, there)

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
