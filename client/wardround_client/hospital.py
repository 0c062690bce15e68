"""A hospital as a function from question to answer: the same in a simulation and behind a firewall."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from wardround_client import networks
from wardround_client.dataset import Dataset
from wardround_client.evaluation import score_sums
from wardround_client.training import PrivacyPlan, plan_privacy, train
from wardround_common.errors import MessageError
from wardround_common.messages import (
    Evaluated,
    EvaluateRequest,
    Parts,
    Prepared,
    PrepareRequest,
    Reply,
    TrainRequest,
    Update,
)
from wardround_common.parameters import Layout, vector_digest
from wardround_common.randomness import Stream
from wardround_common.study import Study


@dataclass(frozen=True, eq=False)
class Built:
    """The study's network as its seed gives it; one serves all hospitals of a process, since each question brings the
    parameters that it is about.
    """

    network: nn.Module
    layout: Layout
    first_parameters: str
    """Digest of the parameters that the study's seed gives."""


@dataclass(frozen=True, eq=False)
class Hospital:
    """One hospital that takes part in one study: its data, the network it built, and its own randomness."""

    study: Study
    dataset: Dataset
    built: Built
    plan: PrivacyPlan | None
    stream: Stream = field(repr=False)

    def answer(self, kind: str, parts: Parts) -> Reply:
        """Answer one question of the coordinator.

        Raises:
            MessageError: it is of another study, or asks for what the study does not have.
        """
        match kind:
            case "prepare":
                return self._prepare(PrepareRequest.parse(parts))
            case "train":
                return self._train(TrainRequest.parse(parts, self.built.layout.size))
            case "evaluate":
                return self._evaluate(EvaluateRequest.parse(parts, self.built.layout.size))
            case _:
                raise MessageError(f"there is no question {kind!r}")

    def _prepare(self, request: PrepareRequest) -> Prepared:
        self._check_study(request.study)
        vector = networks.read_vector(networks.build(self.study)) if request.send_parameters else None
        return Prepared(request.study, self.built.layout, self.built.first_parameters, vector)

    def _train(self, request: TrainRequest) -> Update:
        self._check_study(request.study)
        rounds = self.study.training.rounds
        if not 1 <= request.round <= rounds:
            raise MessageError(f"round {request.round} is not one of the {rounds} rounds that the study has")
        if request.round == 1 and vector_digest(request.parameters) != self.built.first_parameters:
            # Parameters that were made up can turn an update into a copy of an image.
            raise MessageError("the first round does not start from the parameters that the study's seed gives")
        work = train(
            self.study,
            self.built.network,
            self.built.layout,
            request.parameters,
            self.dataset.train,
            self.plan,
            request.round,
            self.stream,
        )
        return Update(
            study=request.study,
            round=request.round,
            vector=work.update,
            examples=len(self.dataset.train.labels),
            steps=work.steps,
            mean_loss=work.mean_loss,
            epsilon=None if self.plan is None else self.plan.epsilon_after(request.round),
        )

    def _evaluate(self, request: EvaluateRequest) -> Evaluated:
        self._check_study(request.study)
        networks.write_vector(self.built.network, self.built.layout, request.parameters)
        sums = score_sums(self.built.network, self.dataset.split(request.split))
        return Evaluated(request.study, request.round, sums.to_vector())

    def _check_study(self, digest: str) -> None:
        if digest != self.study.digest():
            raise MessageError("the message is of another study than the one that this hospital takes part in")


def build(study: Study) -> Built:
    """Build the study's network, on CUDA when there is a device, else on the CPU."""
    network = networks.build(study)
    first = vector_digest(networks.read_vector(network))
    return Built(network.to(device()), networks.layout_of(network), first)


def device() -> str:
    """Name the device that this hospital trains on."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def join(study: Study, dataset: Dataset, stream: Stream, built: Built) -> Hospital:
    """Let a hospital take part in a study with its prepared data.

    Raises:
        PrivacyError: the study's privacy cannot be kept with so many patients.
    """
    return Hospital(study, dataset, built, plan_privacy(study, dataset.train.patient_count), stream)
