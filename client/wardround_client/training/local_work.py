"""A round's local work: from the coordinator's parameters to an update, with or without differential privacy.

What a step does depends only on the study, the data, the hospital's stream and the step's number, so a round that is
done again after a crash, in another process or by another number of workers is the same round.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround_client import networks
from wardround_client.preparation.dataset import Examples
from wardround_client.training.accounting import SampledGaussian, epsilon_of, noise_multiplier_for
from wardround_client.training.augmentation import augment
from wardround_client.training.discrete_gaussian import discrete_gaussian
from wardround_client.training.threads import use_threads
from wardround_common.errors import ModelError, PrivacyError
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.randomness import Stream
from wardround_common.study.file import DistributedDpSgd, DpSgd, Study, Training
from wardround_common.study.schedule import learning_rate


@dataclass(frozen=True)
class LocalWork:
    """What one round's local work gave."""

    update: Vector = field(repr=False)
    steps: int
    mean_loss: float | None
    """None under dp-sgd: a loss without noise would say more of the patients than the privacy plan allows."""


@dataclass(frozen=True)
class PrivacyPlan:
    """What the study will cost this hospital's patients, known before the first step."""

    delta: float
    noise_multiplier: float
    """Over the clipping norm: of this hospital's noise, under ``trust = "distributed"`` of that of the whole sum."""
    sampling_rate: float
    steps_a_round: int

    def event(self, rounds: int) -> SampledGaussian:
        """Return what so many rounds are to the accountant."""
        return SampledGaussian(self.noise_multiplier, self.sampling_rate, rounds * self.steps_a_round)

    def epsilon_after(self, rounds: int) -> float:
        """Return the epsilon spent after so many rounds, an upper bound."""
        return epsilon_of(self.event(rounds), self.delta)


def plan_privacy(study: Study, patients: int) -> PrivacyPlan | None:
    """Choose the noise with which all rounds of the study keep to its epsilon at a hospital with so many patients.

    Raises:
        PrivacyError: delta is so large that it would allow to publish a patient outright.
    """
    privacy = study.privacy
    if not isinstance(privacy, DpSgd):
        return None
    if privacy.delta * patients >= 1:
        raise PrivacyError(
            f"delta = {privacy.delta} is no protection among {patients} training patients",
            do=f"Choose a delta well below {1 / patients:.0e} in [privacy].",
        )
    if isinstance(privacy, DistributedDpSgd):  # the noise of the whole sum: no hospital's own data decide it
        noise = noise_multiplier_for(privacy, privacy.sampling_rate, study.training.rounds)
        return PrivacyPlan(privacy.delta, noise, privacy.sampling_rate, 1)
    rate = min(1.0, study.training.batch_size / patients)
    steps = max(1, round(study.training.passes / rate))
    return PrivacyPlan(privacy.delta, noise_multiplier_for(privacy, rate, study.training.rounds * steps), rate, steps)


def train(
    study: Study,
    network: nn.Module,
    layout: Layout,
    parameters: Vector,
    examples: Examples,
    plan: PrivacyPlan | None,
    round_number: int,
    stream: Stream,
) -> LocalWork:
    """Do one round's local work on ``examples``, starting from ``parameters`` (parameters,) float32.

    ``stream`` is the hospital's own for this study; with ``plan`` the steps are DP-SGD and the guarantee holds only
    if nobody can repeat that stream.

    Raises:
        ModelError: the training diverged.
    """
    loss = _begin(study, network, layout, parameters, round_number, stream)
    if isinstance(study.privacy, DpSgd) and plan is not None:
        _private_steps(study, study.privacy, network, examples, plan, round_number, stream, loss)
        steps, total = plan.steps_a_round, 0.0
    else:
        steps, total = _plain_steps(study, network, examples, round_number, stream, loss)
    update = networks.read_vector(network) - parameters
    if not np.isfinite(update).all():
        raise ModelError(
            f"the training diverged in round {round_number}: parameters are no longer finite numbers",
            do="Lower the learning rate in [training], or clip_norm in [privacy].",
        )
    return LocalWork(update, steps, total / steps if plan is None else None)


def gradient_sum(
    study: Study,
    privacy: DistributedDpSgd,
    network: nn.Module,
    layout: Layout,
    parameters: Vector,
    examples: Examples,
    plan: PrivacyPlan,
    form: NoisySum,
    round_number: int,
    stream: Stream,
) -> NDArray[np.uint32]:
    """Give the sum of the drawn patients' clipped gradients at ``parameters``, with this hospital's share of the noise.

    The result (parameters,) are levels of ``form`` modulo 2^32. By itself it has too little noise to be read: it may
    leave only masked, in a sum over at least ``form.survivors`` hospitals; and nobody may be able to repeat ``stream``.

    Raises:
        ModelError: the network has numbers that no gradient moves.
        PrivacyError: the noise that the study needs does not fit the ring.
    """
    loss = _begin(study, network, layout, parameters, round_number, stream)
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    if set(weights) != set(layout.names):
        raise ModelError("the network has numbers that no gradient moves, and noise would move them")
    total = np.zeros(layout.size, np.int64)
    rows_of = examples.places_by_patient()
    with gradients_per_image(network) as sampled:
        means = _drawn_means(
            study, privacy, sampled, examples, rows_of, plan.sampling_rate, round_number, 0, stream, loss
        )
    if means:
        named = dict(zip(weights, means, strict=True))
        for patient in range(len(means[0])):  # one at a time: all of them in float64 would be the most of the memory
            gradient = torch.cat([named[name][patient].flatten() for name in layout.names])
            total += form.cut(gradient.cpu().numpy())
    noise = discrete_gaussian(form.share(plan.noise_multiplier), layout.size, stream.child("noise", round_number))
    return form.in_ring(total + noise)


def _begin(
    study: Study, network: nn.Module, layout: Layout, parameters: Vector, round_number: int, stream: Stream
) -> nn.Module:
    """Make the network ready for a round; give the study's loss of each image."""
    use_threads(study)
    networks.write_vector(network, layout, parameters)
    network.train()
    device = next(network.parameters()).device
    torch.manual_seed(stream.child("layers", round_number).below(2**63))  # for layers that drop at random
    weights = study.training.class_weights
    return nn.CrossEntropyLoss(None if weights is None else torch.tensor(weights, device=device), reduction="none")


def _optimiser(training: Training, network: nn.Module, round_number: int) -> torch.optim.Optimizer:
    rate = learning_rate(training, round_number)
    if training.optimiser == "adamw":
        # Its state is fresh in each round, so its memory is short.
        return torch.optim.AdamW(network.parameters(), rate, betas=(0.9, 0.99), weight_decay=training.weight_decay)
    return torch.optim.SGD(network.parameters(), rate, momentum=training.momentum, weight_decay=training.weight_decay)


def _batches(training: Training, examples: int, round_number: int, stream: Stream) -> Iterator[NDArray[np.int64]]:
    """Walk through the images in a new order each epoch; a round goes on where the one before stopped."""
    an_epoch = math.ceil(examples / training.batch_size)
    a_round = max(1, round(training.passes * an_epoch))
    order, of_epoch = np.empty(0, np.int64), -1
    for step in range((round_number - 1) * a_round, round_number * a_round):
        epoch, place = divmod(step, an_epoch)
        if epoch != of_epoch:
            order, of_epoch = stream.child("order", epoch).permutation(examples), epoch
        yield order[place * training.batch_size : (place + 1) * training.batch_size]


def _tensors(
    study: Study, examples: Examples, rows: NDArray[np.int64], stream: Stream, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(examples.images(rows)).to(device)  # (rows, channels, size, size)
    labels = torch.from_numpy(examples.labels[rows]).to(device)  # (rows,)
    if study.training.augmentations:
        images = augment(images, study.training.augmentations, stream)
    return images.contiguous(), labels  # Opacus' rules read what is permuted in memory as if it were in order


def _plain_steps(
    study: Study, network: nn.Module, examples: Examples, round_number: int, stream: Stream, loss: nn.Module
) -> tuple[int, float]:
    optimiser = _optimiser(study.training, network, round_number)
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    anchors = [weight.detach().clone() for weight in weights] if study.training.proximal_mu else []
    device = weights[0].device
    steps, total = 0, torch.zeros((), device=device)
    for rows in _batches(study.training, len(examples.labels), round_number, stream):
        images, labels = _tensors(study, examples, rows, stream.child("views", round_number, steps), device)
        optimiser.zero_grad()
        losses = loss(network(images), labels)
        value = losses.mean()
        value.backward()
        _pull_to_anchors(weights, anchors, study.training.proximal_mu)
        optimiser.step()
        steps, total = steps + 1, total + value.detach()
    return steps, float(total)


def _pull_to_anchors(weights: list[nn.Parameter], anchors: list[torch.Tensor], mu: float | None) -> None:
    """FedProx (Li et al., *Federated optimization in heterogeneous networks*, MLSys 2020, section 3.2).

    The gradient of mu/2 times the squared distance to the round's first parameters is added to the loss's own. It does
    not touch the data, so under dp-sgd it costs no privacy.
    """
    for weight, anchor in zip(weights, anchors, strict=False):
        if mu and weight.grad is not None:
            weight.grad.add_(weight.detach() - anchor, alpha=mu)


def _private_steps(
    study: Study,
    privacy: DpSgd,
    network: nn.Module,
    examples: Examples,
    plan: PrivacyPlan,
    round_number: int,
    stream: Stream,
    loss: nn.Module,
) -> None:
    """DP-SGD by patients (Abadi et al. 2016, algorithm 1; McMahan et al., ICLR 2018, for whole users' records).

    Every step draws each patient with the sampling rate. A drawn patient contributes the mean gradient over up to
    ``images_per_patient`` of their images, clipped to ``clip_norm`` as one record. The sum gets Gaussian noise and is
    divided by the *expected* number of patients, so that the number drawn stays unknown; a step that drew nobody is a
    step of noise alone.
    """
    optimiser = _optimiser(study.training, network, round_number)
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    anchors = [weight.detach().clone() for weight in weights] if study.training.proximal_mu else []
    device = weights[0].device
    rows_of = examples.places_by_patient()
    scale, expected = plan.noise_multiplier * privacy.clip_norm, plan.sampling_rate * len(rows_of)
    with gradients_per_image(network) as sampled:
        for step in range(plan.steps_a_round):
            optimiser.zero_grad()
            means = _drawn_means(
                study, privacy, sampled, examples, rows_of, plan.sampling_rate, round_number, step, stream, loss
            )
            sums = (
                _clipped_sums(means, privacy.clip_norm) if means else [torch.zeros_like(weight) for weight in weights]
            )
            noise = stream.child("noise", round_number, step)
            for weight, clipped in zip(weights, sums, strict=True):
                drawn_noise = torch.from_numpy(noise.normal(weight.numel()) * scale).to(device, weight.dtype)
                weight.grad = (clipped + drawn_noise.view_as(weight)) / expected
            _pull_to_anchors(weights, anchors, study.training.proximal_mu)
            optimiser.step()


@contextmanager
def gradients_per_image(network: nn.Module) -> Iterator[nn.Module]:
    """Let a network's backward pass keep the gradient of each image, until the end."""
    from opacus import GradSampleModule

    sampled = GradSampleModule(network, loss_reduction="sum")
    try:
        # torch remarks that images need no gradient, which is so.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield sampled
    finally:
        sampled.to_standard_module()


def _drawn_means(
    study: Study,
    privacy: DpSgd,
    sampled: nn.Module,
    examples: Examples,
    rows_of: list[NDArray[np.int64]],
    sampling_rate: float,
    round_number: int,
    step: int,
    stream: Stream,
    loss: nn.Module,
) -> list[torch.Tensor]:
    """Draw patients and give the mean gradient of each, not yet clipped: per weight (patients, *shape).

    ``rows_of``: each patient's places in ``examples``. An empty list if nobody was drawn.
    """
    draw = stream.child("patients", round_number, step)
    drawn = [rows for rows in rows_of if draw.uniform(1)[0] < sampling_rate]
    chosen = [rows[draw.permutation(len(rows))[: privacy.images_per_patient]] for rows in drawn]
    if not chosen:
        return []
    weights = [parameter for parameter in sampled.parameters() if parameter.requires_grad]
    views = stream.child("views", round_number, step)
    images, labels = _tensors(study, examples, np.concatenate(chosen), views, weights[0].device)
    loss(sampled(images), labels).sum().backward()
    return _patient_means(weights, [len(some) for some in chosen])


def _patient_means(weights: list[nn.Parameter], images_of: list[int]) -> list[torch.Tensor]:
    """Average each patient's per-image gradients: per weight (patients, *shape)."""
    counts = torch.tensor(images_of, device=weights[0].device)
    patient = torch.repeat_interleave(torch.arange(len(images_of), device=counts.device), counts)  # (images,)
    means = []
    for weight in weights:
        per_image = weight.grad_sample  # type: ignore[attr-defined]  # Opacus adds it: (images, *shape)
        weight.grad_sample = None  # type: ignore[attr-defined]
        if max(images_of) > 1:
            summed = per_image.new_zeros(len(images_of), *weight.shape).index_add_(0, patient, per_image)
            means.append(summed.div_(counts.view(-1, *[1] * weight.dim())))
        else:  # one image each: it is the mean, and large
            means.append(per_image)
    return means


def _clipped_sums(means: list[torch.Tensor], clip_norm: float) -> list[torch.Tensor]:
    """Clip each patient's gradient to ``clip_norm``, and add the patients up."""
    norms = torch.stack([torch.linalg.vector_norm(mean.flatten(1), dim=1) for mean in means])  # (weights, patients)
    factors = (clip_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    return [torch.einsum("p,p...->...", factors, mean) for mean in means]
