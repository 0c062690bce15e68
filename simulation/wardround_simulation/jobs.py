"""What worker processes do: answer for a hospital, describe it, train a baseline, score models on its patients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from wardround_client.intake.duplicates import near_pairs
from wardround_client.intake.instance import Instance
from wardround_client.preparation.dataset import Intake
from wardround_client.preparation.examples import Examples
from wardround_client.spending.lineage import Lineage, lineage
from wardround_client.tasks.registry import local_task
from wardround_client.training.devices import describe as describe_device
from wardround_client.training.evaluation import cells_of, patient_sums, sums_of
from wardround_client.training.own_calibration import recalibrated_sums
from wardround_client.training.threads import use_threads
from wardround_client.training.withheld import withheld_by_patient
from wardround_common.errors import ModelError, RoundError
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.metrics import PatientSums
from wardround_common.results import PrivacySpent, SplitCounts
from wardround_common.results.map_sums import MapCell
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import Event, RoundEnds, State, run_study
from wardround_server.rounds.keeping import over
from wardround_server.rounds.secure_rounds import Consortium, open_consortium
from wardround_simulation.federation import (
    Federation,
    Site,
    alone_study,
    images_of,
    insecure_roster,
    open_hospital,
    shared_study,
    study_of_fewer,
)

BASELINE_CHECKPOINT_ROUNDS = 10


@dataclass(frozen=True)
class Description:
    """What a researcher may know of a simulated hospital."""

    train: SplitCounts
    validation: SplitCounts
    test: SplitCounts
    intake: Intake
    fingerprint: str
    privacy: PrivacySpent | None
    """What all rounds of the study will have cost."""
    device: str
    layout: Layout
    lineage: Lineage | None = None
    """What the training of the model that the study starts from cost these patients, by the ledger."""


@dataclass(frozen=True)
class Shared:
    """Near-copies that two hospitals have of one another's images."""

    pairs: int
    labels_disagree: int


def answer(federation: Federation, name: str, message: Message) -> Message:
    """Answer one message by the hospital's own ClientApp."""
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    node = message.metadata.dst_node_id
    context = Context(1, node, {"hospital": name}, RecordDict(), {})
    return federation.app(message, context)


def describe(federation: Federation, name: str) -> Description:
    """Prepare a hospital's data and say what it holds; its errors are raised as they are, with their text."""
    use_threads(federation.study)
    hospital = open_hospital(federation, name)
    data, plan = hospital.dataset, hospital.plan
    spent = None
    if plan is not None:
        rounds = federation.study.training.rounds
        spent = PrivacySpent(
            epsilon=plan.epsilon_after(rounds),
            delta=plan.delta,
            noise_multiplier=plan.noise_multiplier,
            sampling_rate=plan.sampling_rate,
            steps=rounds * plan.steps_a_round,
            noise_before=plan.before.noise_multiplier if plan.before else None,
        )
    started, privacy = None, federation.study.privacy
    if hospital.account and isinstance(privacy, DpSgd):
        started = lineage(hospital.account.asked, hospital.account.ledger, privacy.delta)
    return Description(
        _counts(data.train, federation.study),
        _counts(data.validation, federation.study),
        _counts(data.test, federation.study),
        data.intake,
        data.fingerprint,
        spent,
        describe_device(federation.device),
        hospital.built.layout,
        started,
    )


def shared_images(federation: Federation, names: Sequence[str]) -> dict[tuple[str, str], Shared]:
    """Compare the images of all hospitals with one another, as only a simulation can: who shares near-copies with whom.

    Raises:
        DataError: a folder cannot be read, or its labels do not fit.
    """
    images: list[Instance] = []
    words: list[str] = []
    hospital_of: list[str] = []
    for name in names:
        found, said = images_of(federation, name)
        # A series that lies in two hospitals is a copy, and its images are not excused as neighbours.
        images += [replace(instance, series_uid=name) for instance in found]
        words += said
        hospital_of += [name] * len(found)
    pairs: dict[tuple[str, str], list[bool]] = {}
    for one, other in near_pairs(images, hospital_of):
        which = (hospital_of[one], hospital_of[other])
        pairs.setdefault(which, []).append(words[one] != words[other])
    return {which: Shared(len(differ), sum(differ)) for which, differ in pairs.items()}


def train_baseline(federation: Federation, name: str, checkpoint: Path) -> Vector | None:
    """Train one site's model alone, by the same rounds and the same code; None if its training diverged."""
    study, site = alone_study(federation.study), federation.site(name)
    if study.training.local_steps:  # of all hospitals' images together as many steps as all of them make
        together = study.training.local_steps * len(site.sources)
        training = study.training.model_copy(update={"local_steps": together})
        study = study.model_copy(update={"training": training})
    alone = Federation(study, (site,), device=federation.device, **federation.begins)
    return _rounds_of(alone, [name], checkpoint, None)


def _rounds_of(
    federation: Federation, names: Sequence[str], checkpoint: Path, consortium: Consortium | None
) -> Vector | None:
    study = federation.study
    # Under secure sums a hospital answers no round that lies behind its last one: each of them must be kept.
    every = 1 if consortium else BASELINE_CHECKPOINT_ROUNDS

    def keep(event: Event) -> None:
        if isinstance(event, RoundEnds) and (event.record.number % every == 0 or over(study, event.state.history)):
            write_checkpoint(checkpoint, study, event.state)

    before: State | None = None
    if checkpoint.exists():
        before = read_checkpoint(checkpoint, study)
    try:
        exchange = InOneProcess(federation, names)
        return run_study(study, exchange, keep, before, consortium, start=federation.first_model()).chosen.model
    except RoundError:  # the failure that this exchange gives a round: training diverged
        return None


def train_without(federation: Federation, name: str, folder: Path) -> Vector | None:
    """Train the federation of all hospitals but one, by the same rounds and the same code; None if that failed."""
    return _train_fewer(federation, tuple(site for site in federation.sites if site.name != name), folder)


def _train_fewer(federation: Federation, sites: tuple[Site, ...], folder: Path) -> Vector | None:
    study = study_of_fewer(shared_study(federation.study), len(sites))
    desks = (folder / "hospitals").resolve() if study.aggregation.secure else None
    others = Federation(study, sites, desks, device=federation.device, **federation.begins)
    consortium = None
    if study.aggregation.secure:
        consortium = open_consortium(folder / "coordinator", insecure_roster(others))
    return _rounds_of(others, [site.name for site in sites], folder / "checkpoint", consortium)


def train_shared(federation: Federation, folder: Path) -> Vector | None:
    """Train the federation whose hospitals keep nothing of the model for themselves; None if its training diverged."""
    return _train_fewer(federation, federation.sites, folder)


@dataclass(frozen=True)
class Judged:
    """What one hospital's patients say of one model."""

    validation: NDArray[np.int64]
    """The sums over its validation patients, as a vector."""
    test: PatientSums
    subgroups: tuple[tuple[PatientSums, ...], ...] = ()
    """Those of the study's subgroups, by their cells, as the hospital would let them leave."""


def score(federation: Federation, name: str, models: Sequence[Vector]) -> list[Judged]:
    """Judge each model on a hospital's validation and test patients."""
    study = federation.study
    use_threads(study)
    hospital = open_hospital(federation, name)
    network = hospital.built.network
    scores = []
    for parameters in models:
        hospital.show(parameters, to_ourselves=True)
        validation = sums_of(
            network, study, hospital.dataset.validation
        ).to_vector()  # empty of one that evaluates only
        test = patient_sums(network, study, hospital.dataset.test)
        codes = hospital.dataset.by_subgroup if hospital.tells_subgroups else ()
        groups = cells_of(study, test, codes) if study.evaluation.subgroups else ()
        scores.append(Judged(validation, test, tuple(map(tuple, groups))))
    return scores


def explain(federation: Federation, name: str, model: Vector) -> MapCell:
    """Sum up how much of a model's maps of a hospital's test images lies in lesions, as it would let it leave."""
    use_threads(federation.study)
    hospital = open_hospital(federation, name)
    hospital.show(model, to_ourselves=True)
    return hospital.maps_of_test()


def recalibrate(federation: Federation, name: str, model: Vector) -> tuple[NDArray[np.int64], bool]:
    """Sum up a model on a hospital's test patients by the hospital's own recalibration; tell whether there is one."""
    use_threads(federation.study)
    hospital = open_hospital(federation, name)
    hospital.show(model, to_ourselves=True)
    sums, fitted = recalibrated_sums(hospital.built.network, federation.study, hospital.dataset)
    return sums.to_vector(), fitted


def withhold(federation: Federation, name: str, model: Vector) -> list[tuple[int, PatientSums]]:
    """Sum up a model on each of a hospital's test patients with each input withheld."""
    use_threads(federation.study)
    hospital = open_hospital(federation, name)
    hospital.show(model, to_ourselves=True)
    return withheld_by_patient(hospital.built.network, federation.study, hospital.dataset.test)


class InOneProcess:
    """The exchange of a coordinator with hospitals in its own process, one after the other."""

    def __init__(self, federation: Federation, names: Sequence[str]) -> None:
        self._federation = federation
        self._names = names

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals."""
        return self._names

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each hospital its question; training that diverges is its answer, any other error is raised as it is."""
        for name, question in questions.items():
            try:
                yield name, open_hospital(self._federation, name).answer(kind, question).parts()
            except ModelError as error:
                yield name, Failure(error.kind)


def _counts(examples: Examples, study: Study) -> SplitCounts:
    of = local_task(study.task).members(study.task, examples.targets)[examples.once]  # (images, groups)
    per_class = tuple(int(count) for count in of.sum(axis=0))
    return SplitCounts(patients=examples.patient_count, images=len(of), per_class=per_class)
