"""Hospitals and a coordinator of secure sums in this process: real keys, real bytes, nothing in between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from examples import study as example_study
from wardround_client.hospital.secure_desk import Desk
from wardround_common.keys.identity import Identity, Roster
from wardround_common.secagg.exchange import Masked, Upload
from wardround_common.secagg.terms import Member, Terms, What, write_members
from wardround_common.study.file import Study
from wardround_common.study.sums import encoding_for, margins_for, threshold_for
from wardround_server.rounds.secure_sum import Gathering, Total

RUN = bytes(range(16))
QUESTION = bytes(32)
SIZE, COUNTS = 40, 5


class MemoryJournal:
    """A coordinator's notes in memory."""

    def __init__(self) -> None:
        self.notes: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.notes.get(name)

    def write(self, name: str, content: bytes) -> None:
        self.notes[name] = content


def secure_study(**aggregation: Any) -> Study:
    return example_study(aggregation={"secure": True} | aggregation)


def identity(name: str) -> Identity:
    return Identity(name.encode().ljust(32, b"."))


def roster(names: Iterable[str]) -> Roster:
    return Roster({name: identity(name).public for name in names})


@dataclass
class Group:
    """A group of hospitals, each with a vector; ``vectors`` are what the sum must be of."""

    folder: Path
    names: str = "abcde"
    study: Study = field(default_factory=secure_study)

    def __post_init__(self) -> None:
        self.roster = roster(self.names)
        self.desks = {name: self.desk(name) for name in self.names}
        self.members: list[Member] = [self.desks[name].join(RUN) for name in self.names]
        rng = np.random.default_rng(1)
        dtype = encoding_for(self.study.aggregation, len(self.names)).dtype
        self.vectors = {
            name: Masked(rng.integers(0, 1000, SIZE).astype(dtype), rng.integers(0, 1000, COUNTS).astype("<u8"))
            for name in self.names
        }

    def desk(self, name: str, random: Callable[[int], bytes] = os.urandom) -> Desk:
        """Open a hospital's desk, as a process does that has just started."""
        return Desk(self.study, name, identity(name), self.roster, self.folder / name, random)

    def terms(self, what: What = "train", number: int = 1, question: bytes = QUESTION) -> Terms:
        threshold = threshold_for(self.study, len(self.names))
        members = tuple(self.members)
        margins = margins_for(self.study)
        roster = self.roster.digest
        return Terms(self.study.digest(), RUN, what, number, question, roster, members, threshold, *margins)

    def upload(
        self, name: str, what: What = "train", number: int = 1, question: bytes = QUESTION, cohort: bytes | None = None
    ) -> Upload:
        vector = self.vectors[name]
        cohort = write_members(self.members) if cohort is None else cohort
        make = lambda encoding, threshold: Masked(vector.update.copy(), vector.counts.copy())  # noqa: E731
        return self.desk(name).upload(what, number, question, cohort, make)

    def gathering(self, number: int = 1, what: What = "train") -> Gathering:
        vector = self.vectors[self.names[0]]
        zeros = Total(np.zeros_like(vector.update), np.zeros_like(vector.counts))
        return Gathering(self.terms(what, number), self.roster, zeros)

    def expected(self, names: Iterable[str]) -> tuple[bytes, bytes]:
        update = sum((self.vectors[name].update for name in names), start=np.zeros_like(self.vectors["a"].update))
        counts = sum((self.vectors[name].counts for name in names), start=np.zeros_like(self.vectors["a"].counts))
        return update.tobytes(), counts.tobytes()

    def sum(self, uploading: str, confirming: str, opening: str, number: int = 1) -> Total:
        """Do one whole sum with the hospitals that take part in each step."""
        gathering = self.gathering(number)
        for name in uploading:
            gathering.add(name, self.upload(name, number=number))
        confirmed = gathering.close()
        for name in confirming:
            confirmed.add(name, self.desk(name).confirm("train", number, confirmed.question()))
        opened = confirmed.close()
        for name in opening:
            opened.add(name, self.desk(name).open("train", number, opened.signatures(), opened.sealed_for(name)))
        return opened.total()


def readable(total: Total) -> tuple[bytes, bytes]:
    return total.update.tobytes(), total.counts.tobytes()
