"""A round's local work: from the coordinator's parameters to an update, with or without differential privacy.

What a step does depends only on the study, the data, the hospital's stream and the step's number, so a round that is
done again after a crash, in another process or by another number of workers is the same round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround_client import networks
from wardround_client.networks._layers import BATCH
from wardround_client.preparation.examples import Examples
from wardround_client.tasks.contract import Loss
from wardround_client.tasks.registry import local_task, loss_of
from wardround_client.training.accounting import SampledGaussian, before_rounds, epsilon_of, noise_multiplier_for
from wardround_client.training.augmentation import Move, augment
from wardround_client.training.bookkeeping import BookKeeping, clipping_factors
from wardround_client.training.devices import CPU, enough_memory, too_small
from wardround_client.training.discrete_gaussian import discrete_gaussian
from wardround_client.training.memory import keep_memory
from wardround_client.training.noise import noise_maker
from wardround_client.training.optimiser import Optimiser, optimiser_of
from wardround_client.training.supply import Batch, Supply, sent, supply_of
from wardround_client.training.threads import use_threads
from wardround_common.counting import count
from wardround_common.errors import ModelError, PrivacyError
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.randomness import Stream
from wardround_common.study.before import INPUT_TENSORS
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.schedule import learning_rate

NOTHING = Layout((), ())
T = TypeVar("T")
AddUp = Callable[[BookKeeping, Iterable[tuple[torch.Tensor, list[int]]], float], list[torch.Tensor]]
"""Adds up the drawn patients' gradients, given their losses and how many images each has, clipped to a norm."""


@dataclass(frozen=True)
class LocalWork:
    """What one round's local work gave."""

    update: Vector = field(repr=False)
    steps: int
    mean_loss: float | None
    """None under dp-sgd: a loss without noise would say more of the patients than the privacy plan allows."""
    own: Vector | None = field(default=None, repr=False)
    """What the hospital keeps for itself after the round, (own,); None where it keeps nothing."""


@dataclass(frozen=True)
class PrivacyPlan:
    """What the study will cost this hospital's patients, known before the first step."""

    delta: float
    noise_multiplier: float
    """Over the clipping norm: of this hospital's noise, under ``trust = "distributed"`` of that of the whole sum."""
    sampling_rate: float
    steps_a_round: int
    before: SampledGaussian | None = None
    """What is added up with noise before the first round, if anything is."""

    def event(self, rounds: int) -> SampledGaussian:
        """Return what a number of rounds are to the accountant, without what comes before them."""
        return SampledGaussian(self.noise_multiplier, self.sampling_rate, rounds * self.steps_a_round)

    def epsilon_after(self, rounds: int) -> float:
        """Return the epsilon spent after a number of rounds and all before them, an upper bound."""
        return epsilon_of((*([self.before] if self.before else []), self.event(rounds)), self.delta)


def plan_privacy(study: Study, patients: int) -> PrivacyPlan | None:
    """Choose the noise that keeps all rounds of the study within its epsilon at a hospital with ``patients``.

    Raises:
        PrivacyError: delta is so large that it would permit publishing a patient outright, or there is no patient.
    """
    privacy = study.privacy
    if not isinstance(privacy, DpSgd):
        return None
    if patients < 1:
        raise PrivacyError(
            "there is no noise to plan for a hospital without training patients",
            do="Give 1 or more, or name the hospital in 'external' of [evaluation], so that it only evaluates.",
        )
    if privacy.delta * patients >= 1:
        raise PrivacyError(
            f"delta = {privacy.delta} does not protect anybody among {count(patients, 'training patient')}",
            do=f"Choose a delta well below {1 / patients:.0e} in [privacy].",
        )
    before = before_rounds(privacy)
    if isinstance(privacy, DistributedDpSgd):  # the noise of the whole sum: no hospital's own data decide it
        noise = noise_multiplier_for(privacy, privacy.sampling_rate, study.training.rounds)
        return PrivacyPlan(privacy.delta, noise, privacy.sampling_rate, 1, before)
    rate = min(1.0, study.training.batch_size / patients)
    steps = study.training.local_steps or max(1, round(study.training.passes / rate))
    noise = noise_multiplier_for(privacy, rate, study.training.rounds * steps)
    return PrivacyPlan(privacy.delta, noise, rate, steps, before)


@dataclass(frozen=True, eq=False)
class LocalRun:
    """What every round of a hospital's work in a study has in common."""

    study: Study
    network: nn.Module
    layout: Layout
    examples: Examples
    plan: PrivacyPlan | None
    """None without differential privacy."""
    stream: Stream = field(repr=False)
    """The hospital's own for this study; a guarantee holds only if nobody can repeat it."""
    own: Layout = NOTHING
    """What stays at the hospital, where something does; ``layout`` is then what is shared."""
    before: Vector | None = field(default=None, repr=False)
    """What the hospital had of it before the round, (own,)."""
    correction: Vector | None = field(default=None, repr=False)
    """What is added to the gradient of each step, (parameters,), where steps are corrected."""


@dataclass(eq=False)
class _AtOnce:
    """How many images go through the network at once in a round: what the study says, or fewer on a small card."""

    most: int | None
    """None: all of a batch."""
    images: int = 0
    """That went through last; 0 before the first of a try."""
    apart: bool = True
    """Whether they could be fewer."""

    def fewer(self) -> None:
        """Let half as many through.

        Raises:
            DeviceError: it was one patient's alone, the images of a batch belong together, or there was no room even to
                hold them.
        """
        if not self.apart or self.images < 2:
            raise too_small()
        self.most = self.images // 2


@dataclass(frozen=True, eq=False)
class _Round:
    """One round of it, with the network made ready."""

    of: LocalRun
    number: int
    loss: Loss
    weights: list[nn.Parameter]
    rows_of: list[NDArray[np.int64]]
    """Each patient's places in the examples; empty without a plan."""
    supply: Supply
    corrections: list[torch.Tensor]
    """What is added to the gradient of each weight; empty where nothing is."""
    at_once: _AtOnce

    @property
    def moved(self) -> Move | None:
        return local_task(self.of.study.task).moved

    @property
    def device(self) -> torch.device:
        return self.supply.device

    def batch(self, rows: NDArray[np.int64], step: int) -> Batch:
        return self._seen(self.supply.batch(rows, self._views(step)), step)

    def batches(self, orders: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        for step, batch in enumerate(self.supply.batches(orders, self._views)):
            yield self._seen(batch, step)

    def _views(self, step: int) -> Stream:
        """Return the stream that the views of a step are drawn from, and its patches."""
        return self.of.stream.child("views", self.number, step)

    def _seen(self, batch: Batch, step: int) -> Batch:
        (images, targets), training = batch, self.of.study.training
        if training.augmentations:
            views, targets = augment(images, targets, training.augmentations, self._views(step), self.moved)
            data = self.of.study.data
            images = networks.with_padding_of(views, images, page=data.numbers > 0) if data.bagged else views
        return images.contiguous(), targets  # as they lie in memory without augmentation


def train(run: LocalRun, parameters: Vector, round_number: int) -> LocalWork:
    """Do one round's local work, starting from ``parameters`` (parameters,) float32; with a plan it is DP-SGD.

    Raises:
        ModelError: the training diverged.
        DeviceError: the card has too little memory, even for the images of one patient.
    """
    study, plan = run.study, run.plan
    with enough_memory():
        if isinstance(study.privacy, DpSgd) and plan is not None:
            for add_up in (_clipped_sums, _finite_sums):
                this = _begin(run, parameters, round_number)
                _private_steps(this, study.privacy, plan, add_up)
                if all(torch.isfinite(weight).all() for weight in this.weights):
                    break
            steps, total = plan.steps_a_round, 0.0
        else:
            this = _begin(run, parameters, round_number)
            steps, total = _plain_steps(this, this.weights, study.training.proximal)
        update = networks.read_vector(run.network, run.layout) - parameters
        own = None if run.before is None else _own_part(run, parameters, round_number)
    if own is not None and study.training.ditto_lambda is not None and plan is not None and not np.isfinite(own).all():
        own = parameters  # begins again as the shared one: whether an update is sent says nothing without noise
    if not (np.isfinite(update).all() and (own is None or np.isfinite(own).all())):
        raise ModelError(
            f"the training diverged in round {round_number}: parameters are no longer finite numbers",
            do="Lower the learning rate in [training], or clip_norm in [privacy].",
        )
    return LocalWork(update, steps, total / steps if plan is None else None, own)


def _own_part(run: LocalRun, parameters: Vector, round_number: int) -> Vector:
    """Return what the hospital keeps for itself after a round's work: the part trained with it, or a model of its own.

    A model of its own (Ditto, Li et al., ICML 2021, algorithm 1) is trained from the one it had, held to the shared
    parameters that the round began with, and without privacy: it never leaves.
    """
    training = run.study.training
    if training.ditto_lambda is None or run.before is None:
        return networks.read_vector(run.network, run.own)
    beside = replace(run, plan=None, stream=run.stream.child("own model"))
    this = _begin(beside, parameters, round_number)
    anchors = [weight.detach().clone() for weight in this.weights]
    networks.write_vector(run.network, run.own, run.before)
    _plain_steps(this, anchors, training.ditto_lambda)
    return networks.read_vector(run.network, run.own)


def gradient_sum(run: LocalRun, parameters: Vector, round_number: int, form: NoisySum) -> NDArray[np.uint32]:
    """Return the sum of the drawn patients' clipped gradients at ``parameters``, with our share of the noise.

    The result (parameters,) are levels of ``form`` modulo 2^32. By itself it has too little noise to be read: it may
    leave only masked, in a sum over at least ``form.survivors`` hospitals; and nobody may be able to repeat the run's
    stream.

    Raises:
        DeviceError: the card has too little memory, even for the images of one patient.
        ModelError: the network has numbers that no gradient moves.
        PrivacyError: the study shares no noise out, or the noise that it needs does not fit the ring.
    """
    plan, privacy, layout = run.plan, run.study.privacy, run.layout
    if plan is None or not isinstance(privacy, DistributedDpSgd):
        raise PrivacyError("this hospital has no plan for distributed noise")
    with enough_memory():
        this = _begin(run, parameters, round_number)
    weights = [name for name, weight in run.network.named_parameters() if weight.requires_grad]
    still = [name for name in layout.names if name in INPUT_TENSORS]
    if set(weights) != set(layout.names) - set(still):
        raise ModelError("the network has parameters that no gradient changes, and noise would change them")
    nothing = {name: torch.zeros(shape, device=this.device) for name, shape, _ in layout.slices() if name in still}

    def summed(books: BookKeeping) -> NDArray[np.int64]:
        total = np.zeros(layout.size, np.int64)
        books.drop()
        for losses, counts in _drawn(this, privacy, plan, 0):
            for gradient in books.each(losses, counts):  # one at a time: all of them would fill the memory
                named = nothing | dict(zip(weights, gradient, strict=True))
                flat = torch.cat([named[name].flatten() for name in layout.names])
                total += form.cut(flat.cpu().numpy())  # a card is waited for once
        return total

    with enough_memory(), BookKeeping(run.network) as books:
        total = _with_room(this, lambda: summed(books))
    noise = discrete_gaussian(form.share(plan.noise_multiplier), layout.size, run.stream.child("noise", round_number))
    for name, _, part in layout.slices():
        if name in still:  # mean and deviation of the input stay as they are
            noise[part] = 0
    return form.in_ring(total + noise)


def _begin(run: LocalRun, parameters: Vector, round_number: int) -> _Round:
    """Make the network ready for a round.

    Raises:
        ModelError: a step in parts would not be that of its batch.
    """
    apart = not any(isinstance(module, BATCH) for module in run.network.modules())
    if run.study.training.micro_batch is not None and not apart:
        raise ModelError(
            "the network has batch normalisation, whose means are of the images that go through it at once: with "
            "micro_batch a step would not be that of its batch",
            do="Remove micro_batch from [training], or choose a network with group normalisation.",
        )
    use_threads(run.study)
    keep_memory()
    networks.write_vector(run.network, run.layout, parameters)
    if run.before is not None and run.study.training.ditto_lambda is None:
        networks.write_vector(run.network, run.own, run.before)
    run.network.train()
    weights = [parameter for parameter in run.network.parameters() if parameter.requires_grad]
    device = weights[0].device
    seed = run.stream.child("layers", round_number).below(2**63)  # for layers that drop at random
    if device.type == CPU:
        torch.default_generator.manual_seed(seed)  # for those of other devices torch first notes down who asked
    else:
        torch.manual_seed(seed)
    loss = loss_of(run.study, device)
    places = run.examples.places_by_patient() if run.plan else []
    at_once = _AtOnce(run.study.training.micro_batch, apart=apart)
    supply = supply_of(run.examples, device)
    return _Round(run, round_number, loss, weights, places, supply, _corrections(run, device), at_once)


def _with_room(this: _Round, work: Callable[[], T]) -> T:
    """Do a part of a step; if the card's memory runs out, again from its beginning with half as many images at once.

    The sum over a batch's images or patients is the same but for the order in which it is added up, as between devices:
    what a patient is clipped to does not depend on who goes through the network beside them.

    Raises:
        DeviceError: the card has no room for the batch itself, or for one patient's images in the network.
    """
    while True:
        this.at_once.images = 0
        try:
            return work()
        except torch.OutOfMemoryError:
            pass  # once this is over, all that was made is let go
        this.at_once.fewer()
        if this.device.type == "cuda":
            torch.cuda.empty_cache()  # of pieces that are too small for the next


def _corrections(run: LocalRun, device: torch.device) -> list[torch.Tensor]:
    """Return what is added to the gradient of each weight that learns, in the network's order."""
    if run.correction is None:
        return []
    named = run.layout.tensors(run.correction)
    learns = [name for name, weight in run.network.named_parameters() if weight.requires_grad]
    return [torch.from_numpy(named[name]).to(device) for name in learns]


def _optimiser(this: _Round) -> Optimiser:
    training = this.of.study.training
    return optimiser_of(training, this.of.network.parameters(), learning_rate(training, this.number))


def _batches(study: Study, split: Examples, round_number: int, stream: Stream) -> Iterator[NDArray[np.int64]]:
    """Walk through the images in a new order each epoch; a round goes on where the one before stopped."""
    training, examples = study.training, len(split)
    chances = _balanced(study, split) if training.sampling == "balanced" else None
    an_epoch = math.ceil(examples / training.batch_size)
    a_round = training.local_steps or max(1, round(training.passes * an_epoch))
    order, of_epoch = np.empty(0, np.int64), -1
    for step in range((round_number - 1) * a_round, round_number * a_round):
        epoch, place = divmod(step, an_epoch)
        if epoch != of_epoch:
            draw, of_epoch = stream.child("order", epoch), epoch
            order = draw.permutation(examples) if chances is None else _drawn_by(chances, draw)
        yield order[place * training.batch_size : (place + 1) * training.batch_size]


def _balanced(study: Study, split: Examples) -> NDArray[np.float64]:
    """Return the chance of each image in a draw, (images,): each class here has as much, shared by its images."""
    strata = local_task(study.task).strata(study.task, split.targets)
    _, of, counts = np.unique(strata, return_inverse=True, return_counts=True)
    chances: NDArray[np.float64] = 1 / (len(counts) * counts[of])
    return chances


def _drawn_by(chances: NDArray[np.float64], draw: Stream) -> NDArray[np.int64]:
    """Draw as many images as there are, with replacement."""
    upto = np.cumsum(chances)
    places: NDArray[np.int64] = np.searchsorted(upto, draw.uniform(len(chances)) * upto[-1], side="right")
    return places.clip(max=len(chances) - 1)  # a last place that rounding made


def _plain_steps(this: _Round, held_to: Sequence[torch.Tensor], mu: float) -> tuple[int, float]:
    """Make a round's steps, held to some weights by ``mu``; return how many, and the sum of their mean losses."""
    run, optimiser = this.of, _optimiser(this)
    anchors = [weight.detach().clone() for weight in held_to] if mu else []
    steps, total = 0, torch.zeros((), device=this.device)

    def computed(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        optimiser.zero_grad()
        return _mean_loss(this, images, targets)

    for images, targets in this.batches(_batches(run.study, run.examples, this.number, run.stream)):
        value = _with_room(this, partial(computed, images, targets))
        _pull_to_anchors(this.weights, anchors, mu)
        _correct(this)
        optimiser.step()
        steps, total = steps + 1, total + value
    return steps, float(total)


def _mean_loss(this: _Round, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return a batch's mean loss and add up its gradient, a few images at a time if the study says so."""
    network, most = this.of.network, this.at_once.most
    this.at_once.images = len(images) if most is None else min(most, len(images))
    if most is None or len(images) <= most:
        value = this.loss(network(images), targets).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()
    total = torch.zeros((), device=this.device)
    for some, told in zip(torch.split(images, most), torch.split(targets, most), strict=True):
        part = this.loss(network(some), told).sum() / len(images)
        part.backward()  # type: ignore[no-untyped-call]
        total += part.detach()
    return total


def _pull_to_anchors(weights: list[nn.Parameter], anchors: list[torch.Tensor], mu: float) -> None:
    """FedProx (Li et al., *Federated optimization in heterogeneous networks*, MLSys 2020, section 3.2).

    The gradient of mu/2 times the squared distance to the round's first parameters is added to the loss's own. It does
    not touch the data, so under dp-sgd it costs no privacy.
    """
    for weight, anchor in zip(weights, anchors, strict=False):
        if mu and weight.grad is not None:
            weight.grad.add_(weight.detach() - anchor, alpha=mu)


def _correct(this: _Round) -> None:
    """Add to each gradient what the round's steps are corrected by (Karimireddy et al., ICML 2020, algorithm 1).

    It is made of what left in earlier rounds and not of the step's patients: under dp-sgd it is added after the noise.
    """
    for weight, correction in zip(this.weights, this.corrections, strict=False):
        if weight.grad is not None:
            weight.grad.add_(correction)


def _private_steps(this: _Round, privacy: DpSgd, plan: PrivacyPlan, add_up: AddUp) -> None:
    """DP-SGD by patients (Abadi et al. 2016, algorithm 1; McMahan et al., ICLR 2018, for whole users' records).

    Every step draws each patient with the sampling rate. A drawn patient contributes the mean gradient over up to
    ``images_per_patient`` of their images, clipped to ``clip_norm`` as one record. The sum gets Gaussian noise and is
    divided by the *expected* number of patients, so that the number drawn stays unknown; a step that drew nobody is a
    step of noise alone.
    """
    run, mu = this.of, this.of.study.training.proximal
    optimiser = _optimiser(this)
    anchors = [weight.detach().clone() for weight in this.weights] if mu else []
    scale, expected = plan.noise_multiplier * privacy.clip_norm, plan.sampling_rate * len(this.rows_of)
    numbers = sum(weight.numel() for weight in this.weights)
    with BookKeeping(run.network) as books, noise_maker(numbers, scale, this.device) as maker:
        for step in range(plan.steps_a_round):
            noise = maker.begin(run.stream.child("noise", this.number, step))  # made while the step computes
            optimiser.zero_grad()
            sums = _with_room(this, partial(_step_sums, this, books, privacy, plan, step, add_up))
            for weight, noisy in zip(this.weights, noise.add(sums, expected), strict=True):
                weight.grad = noisy
            del sums, noisy  # the next step would begin beside them
            _pull_to_anchors(this.weights, anchors, mu)
            _correct(this)
            optimiser.step()


def _step_sums(
    this: _Round, books: BookKeeping, privacy: DpSgd, plan: PrivacyPlan, step: int, add_up: AddUp
) -> list[torch.Tensor]:
    """Return a step's sum of clipped gradients, from its beginning."""
    books.drop()
    return add_up(books, _drawn(this, privacy, plan, step), privacy.clip_norm)


def _clipped_sums(
    books: BookKeeping, drawn: Iterable[tuple[torch.Tensor, list[int]]], clip_norm: float
) -> list[torch.Tensor]:
    """Return the sum of all drawn patients' clipped gradients, for each weight."""
    sums = None
    for losses, counts in drawn:
        some = books.clipped_sum(losses, counts, clip_norm)
        sums = some if sums is None else [before.add_(more) for before, more in zip(sums, some, strict=True)]
    return [torch.zeros_like(weight) for weight in books.weights] if sums is None else sums


def _finite_sums(
    books: BookKeeping, drawn: Iterable[tuple[torch.Tensor, list[int]]], clip_norm: float
) -> list[torch.Tensor]:
    """Return the sum of the drawn patients' clipped gradients, one by one: those that are not finite are left out.

    A training that broke off would say of one patient, without noise, that they are in it: parameters can be made up so
    that the numbers of a single known image overflow. A card is waited for with each patient, so that a round is done
    in this way only if it came to no finite numbers otherwise.
    """
    sums = [torch.zeros_like(weight) for weight in books.weights]
    for losses, counts in drawn:
        for gradient in books.each(losses, counts):
            norm = nn.utils.get_total_norm(gradient)
            if torch.isfinite(norm):
                factor = clipping_factors(norm, clip_norm)
                for total, part in zip(sums, gradient, strict=True):
                    total.add_(part * factor)
    return sums


def _drawn(this: _Round, privacy: DpSgd, plan: PrivacyPlan, step: int) -> Iterator[tuple[torch.Tensor, list[int]]]:
    """Draw patients; yield the losses of their images, (images,), and how many images each of them has, for as many
    patients at a time as may go through the network at once, or one.

    Losses add up to each patient's mean. A patient is never divided: its gradient is clipped as one.
    """
    draw = this.of.stream.child("patients", this.number, step)
    chances = draw.uniform(len(this.rows_of))
    drawn = [rows for rows, chance in zip(this.rows_of, chances, strict=True) if chance < plan.sampling_rate]
    orders = draw.permutations([len(rows) for rows in drawn])
    chosen = [rows[order[: privacy.images_per_patient]] for rows, order in zip(drawn, orders, strict=True)]
    if not chosen:
        return
    images, targets = this.batch(np.concatenate(chosen), step)
    begin = 0
    for counts in _together([len(some) for some in chosen], this.at_once.most):
        some = slice(begin, begin + sum(counts))
        begin, this.at_once.images = some.stop, sum(counts) if len(counts) > 1 else 1
        losses = this.loss(this.of.network(images[some]), targets[some])
        if max(counts) > 1:
            shares = np.repeat(np.float32(1) / np.array(counts, np.float32), counts)
            losses = losses * sent(shares, losses.device)
        yield losses, counts


def _together(counts: Sequence[int], most: int | None) -> Iterator[list[int]]:
    """Divide patients, by their numbers of images, into groups of ``most`` images, or of one patient that has more."""
    group: list[int] = []
    for images in counts:
        if group and most is not None and sum(group) + images > most:
            yield group
            group = []
        group.append(images)
    yield group
