"""A hospital as a function from question to answer: the same in a simulation and behind a firewall."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wardround_client import networks
from wardround_client.hospital.secure_desk import Desk
from wardround_client.maps.in_lesions import rehearse as rehearse_maps
from wardround_client.maps.in_lesions import sums_in_lesions
from wardround_client.preparation.dataset import Dataset
from wardround_client.preparation.intensities import intensities_of
from wardround_client.site_shift.kept import Kept
from wardround_client.site_shift.parts import parts_of
from wardround_client.spending.account import Account
from wardround_client.tasks.registry import local_task
from wardround_client.training.devices import CPU, enough_memory, make_ready
from wardround_client.training.discrete_gaussian import discrete_gaussian
from wardround_client.training.evaluation import cells_of, patient_sums, sums_of
from wardround_client.training.features import features_of
from wardround_client.training.local_work import LocalRun, LocalWork, PrivacyPlan, gradient_sum, plan_privacy, train
from wardround_client.training.own_calibration import recalibrated_sums
from wardround_client.training.threads import use_threads
from wardround_client.training.withheld import withheld_sums
from wardround_common.errors import DataError, MessageError, ModelError, PrivacyError, StudyError
from wardround_common.messages.parameters import Layout, Vector, vector_digest, weights_digest
from wardround_common.messages.rounds import (
    Evaluated,
    EvaluateRequest,
    Parts,
    Prepared,
    PrepareRequest,
    Reply,
    TrainRequest,
    Update,
)
from wardround_common.messages.vote import Ballot, VoteRequest
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.metrics.intensities import LEAST_DEVIATION, Intensities, NoisyIntensities
from wardround_common.metrics.noised import NoisedCounts
from wardround_common.metrics.sums import LOSS_LIMIT, UNIT
from wardround_common.metrics.unlike import DistanceSums, FeatureSums, jackknifed
from wardround_common.privacy.noisy_evaluation import SPLITS, Judging, noise_in_evaluation
from wardround_common.privacy.noisy_intensities import noise_in_intensities
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.randomness import Stream
from wardround_common.results.map_sums import NOBODY, MapCell
from wardround_common.results.subgroup_sums import BySubgroup, Cell
from wardround_common.secagg.encoding import Encoding, encode_counts
from wardround_common.secagg.exchange import Masked
from wardround_common.secagg.messages import Confirmation, ConfirmRequest, MaskedAnswer, Opened, OpenRequest
from wardround_common.secagg.question import evaluated_digest, question_digest
from wardround_common.study.aggregation import Aggregation
from wardround_common.study.before import INPUT_TENSORS, Before, asks_before, asks_intensities
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.schedule import reach
from wardround_common.study.sums import counts_before_noise
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of

CORRECTED = 0.5
"""Of the bound of an update: how far a correction may carry it under secure sums. The rest is for its gradients."""
KNOWN = 0.5
"""The part of an update that may be nothing or clipped, which anybody can guess, where hospitals' steps differ."""


@dataclass(frozen=True, eq=False)
class Built:
    """The study's network as its seed gives it; one serves all hospitals of a process, since each question brings the
    parameters that it is about.
    """

    network: nn.Module
    layout: Layout
    """What is shared: what messages carry."""
    first_parameters: str
    """Digest of the parameters that the study's seed gives, or the one of the model that the study starts from."""
    own: Layout
    """What stays at each hospital; empty where nothing does."""
    first_own: Vector = field(repr=False)
    """What each hospital keeps, as it is before the first round: as the study's seed gives it, or zeros."""
    weights: bytes | None = field(default=None, repr=False)
    """The file with which the network begins, if the study names one."""


@dataclass(frozen=True, eq=False)
class Hospital:
    """One hospital that takes part in one study: its data, the network it built, and its own randomness."""

    study: Study
    dataset: Dataset
    built: Built
    plan: PrivacyPlan | None
    stream: Stream = field(repr=False)
    desk: Desk | None
    """Its half of secure sums; None if the study's are not secure."""
    account: Account | None
    """What its patients spend in this study; None for a baseline, which no hospital takes part in."""
    tells_subgroups: bool = True
    """Whether the hospital's policy lets it give its sums by subgroup."""
    tells_maps: bool = True
    """Whether it lets it give its sums over maps."""
    kept: Kept | None = None
    """What it keeps from round to round; None where the study has nothing of the kind, or nobody here is trained on."""
    judged: Mapping[str, Account] = field(default_factory=dict)
    """What the patients of a split spend on whom the model is judged with noise; without one nobody is charged."""

    def answer(self, kind: str, parts: Parts) -> Reply | MaskedAnswer | Confirmation | Opened | Ballot:
        """Answer one question of the coordinator.

        Raises:
            MessageError: it is of another study, or asks for what the study does not have.
        """
        match kind:
            case "prepare":
                return self._prepare(PrepareRequest.parse(parts))
            case "train":
                return self._answer_train(TrainRequest.parse(parts, self.built.layout.size))
            case "evaluate":
                return self._answer_evaluate(EvaluateRequest.parse(parts, self.built.layout.size))
            case VoteRequest.kind:
                return self._vote(VoteRequest.parse(parts, self.built.layout.size))
            case "confirm" if self.desk is not None:
                return self._confirm(ConfirmRequest.parse(parts), self.desk)
            case "open" if self.desk is not None:
                return self._open(OpenRequest.parse(parts), self.desk)
            case _:
                raise MessageError(f"there is no question {kind!r}")

    def _prepare(self, request: PrepareRequest) -> Prepared:
        self._check_study(request.study)
        seeded = request.send_parameters and self.study.model.start is None
        vector, fixed = None, None
        if seeded:
            network = networks.build(self.study, self.built.weights)
            vector, fixed = networks.read_vector(network, self.built.layout), networks.fixed_of(network)
        if self.desk is None:
            return Prepared(request.study, self.built.layout, self.built.first_parameters, vector, fixed=fixed)
        if request.run is None:
            raise MessageError("the study's sums are secure, and the coordinator named no run")
        accounts = [account for account in (self.account, *self.judged.values()) if account]
        if not self.desk.takes_part and any(account.was_charged() for account in accounts):
            raise PrivacyError(
                "this hospital answered in the study, and what it kept of its secure sums is gone: it could answer a "
                "round again, and the difference of two sums may be its own update",
                do="Put the study's folder 'desk' back as it was when the service last ran, or leave the study: "
                f"'wardround hospital close {self.study.study.name}'.",
            )
        member = self.desk.join(request.run)
        agreement = member.agreement + member.signature
        return Prepared(request.study, self.built.layout, self.built.first_parameters, vector, agreement, fixed)

    def _answer_train(self, request: TrainRequest) -> Update | MaskedAnswer:
        """Send the update itself only if the study says that sums are not secure: the question cannot choose."""
        if self.desk is None:
            sent = _bounded(self._train(request), self.study.aggregation)
            self._carry(request, sent.vector.astype(np.float64))
            return sent
        self._check_study(request.study)
        self._check_trains()
        self._check_round(request.round)
        number, privacy = request.round, self.study.privacy

        def masked(encoding: Encoding, threshold: int) -> Masked:
            if isinstance(privacy, DistributedDpSgd):
                form = NoisySum.of(self.study, privacy, encoding.hospitals, threshold)
                # Nothing besides the noisy sum: each count of patients or images would be a release without noise.
                return Masked(self._noisy_sum(request, form), encode_counts(np.empty(0, np.int64), encoding.hospitals))
            update = self._train(request)
            weight = encoding.weight(update.examples)
            rounding = self.stream.child("rounding", number)
            loss = round((update.mean_loss or 0.0) * weight / UNIT)
            clipped = int((np.abs(update.vector) > encoding.clip).sum())
            counts = np.array([weight, loss, clipped], np.int64)
            encoded = encoding.encode(update.vector, weight, rounding)
            if self.study.training.variates:
                self._carry(request, encoding.decode(encoded) / weight)
            return Masked(encoded, encode_counts(counts, encoding.hospitals))

        question, cohort = question_digest(request), _cohort(request)
        upload = self.desk.upload("train", number, question, cohort, masked)
        stated = self.study.aggregation.clip_statements
        return MaskedAnswer(
            request.study, number, upload, self.desk.statement("train", number, upload) if stated else b""
        )

    def _answer_evaluate(self, request: EvaluateRequest) -> Evaluated | MaskedAnswer:
        self._check_study(request.study)
        if request.split == "validation":
            self._check_trains()
            self._check_round(request.round)
            if self.study.noised and not self.study.judges(request.round):
                raise MessageError(f"the study judges no model in round {request.round}, and its noise is for fewer")
        elif request.split == "before":
            self._check_trains()
            if not asks_before(self.study) or request.round != 0:
                raise MessageError("nothing is added up but before the first round, and only where the study says so")
        elif request.split in ("features", "distances"):
            self._check_trains()
            if not self.study.evaluation.usual:
                raise MessageError("the study sums no features of its patients")
            if request.round != self.study.features_rounds[request.split == "distances"]:
                raise MessageError("features are summed once, after the last round")
        elif request.round != self._test_round():
            raise MessageError("the test patients judge the model once, after the last round")
        if self.desk is None:
            return self._evaluate(request)

        def masked(encoding: Encoding, threshold: int) -> Masked:
            sums = self._evaluate(request, encoding.hospitals, threshold).sums
            return Masked(np.empty(0, encoding.dtype), encode_counts(sums, encoding.hospitals))

        question, cohort, once = question_digest(request), _cohort(request), evaluated_digest(request)
        upload = self.desk.upload("evaluate", request.round, question, cohort, masked, once)
        return MaskedAnswer(request.study, request.round, upload)

    def _vote(self, request: VoteRequest) -> Ballot:
        self._check_study(request.study)
        self._check_round(request.round)
        margin = self.study.aggregation.vote_margin
        if margin is None:
            raise MessageError("the study holds no vote")
        if not len(self.dataset.validation):
            raise DataError("this hospital has no validation patients to vote with")

        def judge() -> bool:
            following = self._validation_loss(request.following)
            return following == math.inf or following > self._validation_loss(request.accepted) + margin

        if self.desk is None:
            return Ballot(request.study, request.round, judge())
        return Ballot(request.study, request.round, *self.desk.vote(request.round, request.models(), judge))

    def show(self, parameters: Vector, *, to_ourselves: bool = False) -> None:
        """Put shared parameters into the network, with what this hospital keeps for itself.

        A model of its own that was trained without noise is judged only ``to_ourselves``: what is said of it to others
        would say more of the training patients than the study's epsilon allows.
        """
        built, measure = self.built, self.study.training.measure
        networks.write_vector(built.network, built.layout, parameters)
        if measure is None:
            return
        if not measure.beside:
            networks.write_vector(built.network, built.own, self.kept.now() if self.kept else built.first_own)
        elif self.kept and self.kept.trained() and (to_ourselves or not isinstance(self.study.privacy, DpSgd)):
            networks.write_vector(built.network, built.own, self.kept.now())

    def _validation_loss(self, parameters: Vector) -> float:
        """Return the mean loss on our validation patients, in nats; infinity if the model gives no finite numbers."""
        use_threads(self.study)
        self.show(parameters)
        try:
            loss: float | None = sums_of(self.built.network, self.study, self.dataset.validation).mean_loss()
        except ModelError:
            return math.inf
        return math.inf if loss is None else loss

    def _confirm(self, request: ConfirmRequest, desk: Desk) -> Confirmation:
        self._check_study(request.study)
        signature = desk.confirm(request.what, request.round, request.survivors)
        return Confirmation(request.study, request.round, signature)

    def _open(self, request: OpenRequest, desk: Desk) -> Opened:
        self._check_study(request.study)
        shares = desk.open(request.what, request.round, request.confirmations, request.sealed)
        return Opened(request.study, request.round, shares)

    def _test_round(self) -> int:
        """Return the number under which our test patients are asked for, and no other: so they are in one sum only."""
        return self.study.test_round if self.dataset.trains else self.study.external_round

    def _check_trains(self) -> None:
        if not self.dataset.trains:
            raise MessageError(
                "this hospital only evaluates: the study neither trains on its patients nor chooses by them"
            )

    def _check_train(self, request: TrainRequest) -> None:
        self._check_study(request.study)
        self._check_trains()
        self._check_round(request.round)
        self._check_control(request)
        if request.round == 1 and self._first_digest(request.parameters) != self.built.first_parameters:
            # Parameters that were made up can turn an update into a copy of an image.
            what = "of the model that it starts from" if self.study.model.start else "that the study's seed gives"
            raise MessageError(f"the first round does not start from the parameters {what}")

    def _check_control(self, request: TrainRequest) -> None:
        if (request.control is not None) != (self.study.training.variates is not None):
            raise MessageError("the mean of the hospitals' control variates is missing, or the study has none")
        if request.round == 1 and request.control is not None and (request.counted or np.any(request.control)):
            raise MessageError("the first round does not start from control variates of zero")

    @property
    def _hides_by_masks_alone(self) -> bool:
        """Whether nothing but the secure sum keeps an update from the coordinator: no noise, with its epsilon, does."""
        return self.desk is not None and self.plan is None

    def _check_correction(self, correction: Vector, number: int) -> None:
        """Check that a round's correction alone carries no number of the update far on the way to where it is clipped.

        By made-up models and means, with some hospitals left out, a coordinator could have all but one keep so much
        that their next updates are clipped whole: each number then is one of two known ones, and a secure sum would
        show the update of the one.
        """
        most = self.study.aggregation.clip * CORRECTED
        if (
            self._hides_by_masks_alone
            and np.abs(correction).max(initial=0.0) * reach(self.study.training, number) > most
        ):
            raise MessageError(
                f"the correction alone would move a number of the model by more than {most:g} in this round, so near "
                "to the bound of its update that a secure sum could show another hospital's",
                do="If the coordinator is honest, the study needs a larger [aggregation] update_clip or smaller steps.",
            )

    def _check_work(self, work: LocalWork, before: Vector | None) -> None:
        """Check that what this hospital keeps did not take its update out of a secure sum, or will in the next round.

        A model that was made up can move what hospitals keep so far that their next updates are nothing, or clipped
        whole: the sum then shows the update of a hospital that was left out of that round.
        """
        training, most = self.study.training, self.study.aggregation.clip
        by_own_part = training.measure is not None and not training.measure.beside
        if not self._hides_by_masks_alone or not (by_own_part or training.variates):
            return
        if by_own_part and work.own is not None and before is not None:
            # Running means are of the images' own scale; what else stays moves as what is shared.
            parts = [part for name, _, part in self.built.own.slices() if ".running_" not in name]
            moves = (float(np.abs(work.own[part].astype(np.float64) - before[part]).max()) for part in parts)
            moved = max(moves, default=0.0)
            if not moved <= most:
                raise MessageError(
                    f"this round would move the hospital's own part by {moved:.3g}, and an update goes no further than "
                    f"{most:g}",
                    do="Nothing of it was kept. If the coordinator is honest, the study needs a lower learning rate.",
                )
        if _known(work.update, self.built.layout, most) > KNOWN * self.built.layout.size:
            raise MessageError(
                "more than half of the update is nothing, or clipped: a secure sum would show the other hospitals'",
                do="If the coordinator is honest, the study needs a larger [aggregation] update_clip or smaller steps.",
            )

    def _carry(self, request: TrainRequest, sent: NDArray[np.float64]) -> None:
        """Keep the control variate that follows from a round's update as it is sent, (parameters,), if there is one."""
        training = self.study.training
        if training.variates is None or request.control is None or self.kept is None:
            return
        before = self.kept.before(request.round, request.counted)
        after = training.variates.own(before, request.control, sent, reach(training, request.round))
        self.kept.keep(request.round, before, after)

    def _first_digest(self, parameters: Vector) -> str:
        if self.study.model.start is None:
            return networks.first_digest(self.built.network, self.built.layout, self._as_seeded(parameters))
        return weights_digest(self.built.layout.tensors(parameters))

    def _as_seeded(self, parameters: Vector) -> Vector:
        """Return parameters with mean and deviation of the input as they are before anything was added up.

        Raises:
            MessageError: what was added up is not possible.
        """
        if not asks_intensities(self.study):
            return parameters
        seeded = parameters.copy()
        for name, _, part in self.built.layout.slices():
            if name in INPUT_TENSORS:
                least, first = (LEAST_DEVIATION / 2, 1.0) if INPUT_TENSORS[name] == "deviation" else (0.0, 0.0)
                if not np.all((parameters[part] >= least) & (parameters[part] <= 1)):
                    raise MessageError("mean or deviation of all hospitals' images is not that of numbers from 0 to 1")
                seeded[part] = first
        return seeded

    def _noisy_sum(self, request: TrainRequest, form: NoisySum) -> NDArray[np.uint32]:
        self._check_train(request)
        if self.plan is None:
            raise PrivacyError("this hospital has no privacy plan for the study")
        with charged(
            self.account, self.stream, request.round, request.parameters, share=f"{form.hospitals} {form.survivors}"
        ):
            return gradient_sum(self._run(), request.parameters, request.round, form)

    def _before(self, request: EvaluateRequest, hospitals: int, threshold: int) -> Before:
        """Sum up of our training patients what the study needs before its first round.

        Under differential privacy with noise, charged first: what this hospital alone needs, or its share in a cohort
        of ``hospitals`` of whom ``threshold`` open a sum.
        """
        data, study = self.dataset.train, self.study
        classes: ClassCounts | None = None
        intensities: Intensities | NoisyIntensities | None = None
        if study.training.count_classes:
            members = local_task(study.task).members(study.task, data.targets)[data.once]
            classes = ClassCounts(tuple(int(count) for count in members.sum(axis=0)))
        if asks_intensities(study) and self.plan is None:
            intensities = intensities_of(data)
        elif asks_intensities(study):
            variance = noise_in_intensities(study, hospitals, threshold)
            with charged(self.account, self.stream, request.round, request.parameters, share=str(variance)):
                exact = intensities_of(data).centred()
                noise = discrete_gaussian(variance, len(exact), self.stream.child("noise", request.round))
                intensities = NoisyIntensities(1, exact + noise)
        return Before(classes, intensities)

    def _weighted(self, request: TrainRequest) -> Study:
        """Return the study with the weights that follow from the classes that all hospitals counted.

        Raises:
            MessageError: the counts are missing, or not the study's.
        """
        training = self.study.training
        if not training.count_classes:
            return self.study
        if request.classes is None or len(request.classes.counts) != len(self.study.groups):
            raise MessageError("the study counts classes, and the coordinator sent no count of them")
        changed = training.model_copy(update={"class_weights": request.classes.weights(), "count_classes": False})
        return self.study.model_copy(update={"training": changed})

    def _run(
        self, before: Vector | None = None, study: Study | None = None, correction: Vector | None = None
    ) -> LocalRun:
        built, data = self.built, self.dataset.train
        given = (built.network, built.layout, data, self.plan, self.stream, built.own)
        return LocalRun(study or self.study, *given, before, correction)

    def _train(self, request: TrainRequest) -> Update:
        self._check_train(request)
        weighted, correction = self._weighted(request), None
        told = None if request.control is None else request.counted
        before = self.kept.before(request.round, told) if self.kept else None
        if request.control is not None and before is not None:
            correction = request.control - before
            self._check_correction(correction, request.round)
        with charged(self.account, self.stream, request.round, request.parameters, request.control, before):
            run = self._run(before if correction is None else None, weighted, correction)
            work = train(run, request.parameters, request.round)
            self._check_work(work, before)
            if self.kept and before is not None and work.own is not None:
                self.kept.keep(request.round, before, work.own)
        return Update(
            study=request.study,
            round=request.round,
            vector=work.update,
            examples=len(self.dataset.train),
            steps=work.steps,
            mean_loss=None if work.mean_loss is None else min(work.mean_loss, LOSS_LIMIT),
            epsilon=None if self.plan is None else self.plan.epsilon_after(request.round),
        )

    def _evaluate(self, request: EvaluateRequest, hospitals: int = 1, threshold: int = 1) -> Evaluated:
        self._check_study(request.study)
        use_threads(self.study)
        if request.split == "before":
            return Evaluated(request.study, request.round, self._before(request, hospitals, threshold).to_vector())
        self.show(request.parameters)
        if self.study.noised and request.split in SPLITS:
            return Evaluated(request.study, request.round, self._noised(request, hospitals, threshold).to_vector())
        if request.split in ("features", "distances"):
            return Evaluated(request.study, request.round, self._likeness(request.everybody))
        network, study, examples = self.built.network, self.study, self.dataset.split(request.split)
        if request.split != "test":
            return Evaluated(request.study, request.round, sums_of(network, study, examples).to_vector())
        more = [self.maps_of_test().to_vector()] if study.evaluation.maps else []
        if study.evaluation.recalibrated:
            more.append(recalibrated_sums(network, study, self.dataset)[0].to_vector())
        if not study.evaluation.subgroups:
            sums = sums_of(network, study, examples)
            more += self._withheld(sums)
            return Evaluated(request.study, request.round, np.concatenate([sums.to_vector(), *more]))
        by_patient = patient_sums(network, study, examples)
        codes = self.dataset.by_subgroup if self.tells_subgroups else ()
        task = task_of(study.task)
        groups = BySubgroup(
            tuple(
                tuple(Cell(cell.patients, task.read(cell.total(), study.task)) for cell in cells)
                for cells in cells_of(study, by_patient, codes)
            )
        )
        more += self._withheld(task.read(by_patient.total(), study.task))
        return Evaluated(request.study, request.round, np.concatenate([by_patient.total(), groups.to_vector(), *more]))

    def _noised(self, request: EvaluateRequest, hospitals: int, threshold: int) -> NoisedCounts:
        """Count the patients of a split with noise, charged first: what this hospital alone needs, or its share."""
        study, split = self.study, cast(Judging, request.split)
        variance = noise_in_evaluation(study, split, hospitals, threshold)
        with charged(self.judged.get(split), self.stream, request.round, request.parameters, share=str(variance)):
            each = patient_sums(self.built.network, study, self.dataset.split(split), finite=True)
            exact = counts_before_noise(study, each)
            noise = discrete_gaussian(variance, len(exact), self.stream.child(f"noise in {split}", request.round))
        return NoisedCounts(1, task_of(study.task).noised_sums().blocks(study.task), exact + noise)

    def _withheld(self, whole: Sums) -> list[NDArray[np.int64]]:
        """Return what leaves of the model without each input, behind the rest; nothing where the study does not ask."""
        if not self.study.evaluation.withheld:
            return []
        found = withheld_sums(self.built.network, self.study, self.dataset.test, whole, self.stream)
        return [one.to_vector() for one in found]

    def maps_of_test(self) -> MapCell:
        """Sum up how much of the maps of our test images lies in lesions, by the parameters that the network has."""
        return sums_in_lesions(self.built.network, self.study, self.dataset) if self.tells_maps else NOBODY

    def _likeness(self, everybody: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Sum up our validation patients' features, or given everybody's sums, how far each image is from the others.

        Raises:
            ModelError: a feature is not a finite number.
        """
        features, patients = features_of(self.built.network, self.study, self.dataset.validation)
        if everybody is None:
            return FeatureSums.of(features).to_vector()
        return DistanceSums.of(jackknifed(features, patients, FeatureSums.from_vector(everybody))).to_vector()

    def _check_round(self, number: int) -> None:
        rounds = self.study.training.rounds
        if not 1 <= number <= rounds:
            raise MessageError(f"round {number} is not one of the study's {rounds} rounds")

    def _check_study(self, digest: str) -> None:
        if digest != self.study.digest():
            raise MessageError("the message belongs to another study, not the one that this hospital takes part in")


def build(study: Study, device: str = CPU, weights: bytes | None = None) -> Built:
    """Build the study's network on a device that :func:`devices.choose` has chosen.

    ``weights``: the file with which it begins, if the study names one.

    Raises:
        StudyError: the study names a file, and it is not here, or another one.
        ModelError: the file does not fit the network.
        DeviceError: the card has too little memory.
    """
    if study.model.weights is not None and weights is None:
        raise StudyError(
            f"the study's network begins with the file of weights '{study.model.weights.name}', which is not here",
            do="Give the file with --weights FILE.",
        )
    network = networks.build(study, weights)
    start, parts = study.model.start, parts_of(network, study)
    vector = networks.read_vector(network, parts.shared)
    first = start.weights if start else networks.first_digest(network, parts.shared, vector)
    make_ready(device)
    first_own = np.zeros(parts.shared.size, np.float32) if study.training.variates else parts.first
    with enough_memory():
        network.to(device)
    return Built(network, parts.shared, first, parts.own, first_own, weights)


def join(
    study: Study,
    dataset: Dataset,
    stream: Stream,
    built: Built,
    desk: Desk | None = None,
    account: Account | None = None,
    tells_subgroups: bool = True,
    keeps: Kept | None = None,
    tells_maps: bool = True,
    judged: Mapping[str, Account] | None = None,
) -> Hospital:
    """Let a hospital take part in a study with its prepared data; ``desk`` is its half of secure sums.

    With an ``account``, a question that comes again is answered from the same ``stream`` as before, or not at all: a
    hospital keeps the stream's key as long as the study lasts.

    A hospital that only evaluates has neither plan nor account: nothing of it is trained on.

    ``keeps``: where it keeps its own part of the model, or its control variate; needed if the study has one and it
    trains.

    Raises:
        StudyError: its maps cannot be made of its network.
        PrivacyError: the study's privacy cannot be guaranteed with this number of patients, its sums are secure
            and the hospital has no desk, or the account's study was not approved as it is now.
    """
    for one in (account, *(judged or {}).values()):
        if one:
            one.check_approved()
    rehearse_maps(study)
    if study.aggregation.secure != (desk is not None):
        raise PrivacyError("the study's sums are secure, and this hospital has no key for them")
    if dataset.trains and study.training.keeps != (keeps is not None):
        raise StudyError("each hospital keeps something of the study from round to round, and this one has no place")
    plan = plan_privacy(study, dataset.train.patient_count) if dataset.trains else None
    kept = keeps if dataset.trains else None
    return Hospital(study, dataset, built, plan, stream, desk, account, tells_subgroups, tells_maps, kept, judged or {})


@contextmanager
def charged(
    account: Account | None, stream: Stream, number: int, *begins: Vector | None, share: str = ""
) -> Iterator[None]:
    """Charge a round to an account's patients before its work, and note afterwards that the work was done.

    ``begins``: all on which the answer depends, besides our patients and our stream; ``share``: which share of the
    noise it has. Without an account nobody is charged.
    """
    if account:
        given = [vector for vector in begins if vector is not None]
        together = given[0] if len(given) == 1 else np.concatenate(given)
        account.charge(number, vector_digest(together), stream, share)
    yield
    if account:
        account.confirm(number)


def _known(update: Vector, layout: Layout, most: float) -> int:
    """Count the numbers of an update that are clipped, or of an output that no gradient reached at all.

    Single numbers are also nothing where steps are small: a large weight plus next to nothing is that weight.
    """
    known = np.count_nonzero(np.abs(update) >= most)
    for _, shape, part in layout.slices():
        if len(shape) > 1:
            rows = update[part].reshape(shape[0], -1)
            known += np.count_nonzero(~rows.any(axis=1)) * rows.shape[1]
    return int(known)


def _bounded(update: Update, aggregation: Aggregation) -> Update:
    """Clip an update that is sent in the clear, and its weight, where the study states limits."""
    vector, examples = update.vector, update.examples
    if aggregation.update_clip is not None:
        vector = np.clip(vector, -aggregation.update_clip, aggregation.update_clip)
    if aggregation.largest_weight is not None:
        examples = min(examples, aggregation.largest_weight)
    return replace(update, vector=vector, examples=examples)


def _cohort(request: TrainRequest | EvaluateRequest) -> bytes:
    if request.cohort is None:
        raise MessageError("the study's sums are secure, and the coordinator named no cohort")
    return request.cohort
