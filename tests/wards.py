"""A coordinator's hospitals in this process, all of which approve every study: real ones, with a disk of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from consortium import identity, roster
from examples import STUDY, dataset, untrained
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_common.documents.proposal import ProposeRequest, sign_approval
from wardround_common.errors import WardroundError
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed

NAMES = "abc"
ONE_BY_ONE = threading.Lock()  # hospitals of one process share a network


def rostered(
    name: str = "test", rounds: int = 2, names: str = NAMES, external: Sequence[str] = (), **aggregation: Any
) -> Study:
    tables: dict[str, Any] = {section: dict(keys) for section, keys in STUDY.items()}
    tables["study"]["name"] = name
    tables["training"]["rounds"] = rounds
    tables["model"]["network"] = "tiny-cnn"
    tables["aggregation"] |= {"secure": True} | aggregation
    tables["evaluation"] |= {"external": list(external)}
    tables["roster"] = [Listed.of(one, identity(one).public).model_dump() for one in names]
    return Study.model_validate(tables)


class Wards:
    """Hospitals that approve everything, for any study, with what they keep on disk; ``fail`` is asked first."""

    def __init__(self, folder: Path, names: str = NAMES) -> None:
        self.folder = folder
        self.names = names
        self.fail = lambda name, kind: False
        self._open: dict[tuple[str, str], Hospital] = {}
        self._studies: dict[str, Study] = {}

    def hospitals(self) -> Sequence[str]:
        return list(self.names)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        for name, question in questions.items():
            with ONE_BY_ONE:
                answer = self._answer(name, kind, question)
            yield name, answer

    def _answer(self, name: str, kind: str, question: Parts) -> Parts | Failure:
        if self.fail(name, kind):
            return Failure("crashed")
        if kind == "propose":
            study = ProposeRequest.parse(question).study
            self._studies[study.digest()] = study
            return sign_approval(identity(name), study, name).parts()
        study = self._studies[str(question.fields["study"])]
        if (name, study.digest()) not in self._open:
            folder = self.folder / study.study.name / name
            desk = Desk(study, name, identity(name), roster(self.names), folder, os.urandom)
            mine = desk if study.aggregation.secure else None
            data = dataset(ord(name)) if study.trains(name) else untrained(ord(name))
            at = join(study, data, insecure_stream(0, name), build(study), mine)
            self._open[name, study.digest()] = at
        try:
            return self._open[name, study.digest()].answer(kind, question).parts()
        except WardroundError as error:
            return Failure(error.kind)
