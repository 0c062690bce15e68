"""Gradient inversion: does what a hospital sends show an image?

After Zhu, Liu and Han, *Deep leakage from gradients* (NeurIPS 2019), with the cosine distance of Geiping et al.,
*Inverting gradients* (NeurIPS 2020, equation 4), layer by layer: the attacker looks for an image whose gradient points
where the hospital's does. The setting is the attacker's best: one made-up image, one step of plain SGD, the label known
(from the sign of the last bias' gradient, Zhao et al., *iDLG*, 2020), and a network like Zhu's, smooth and without
pooling. The hospital's step, its noise and its masks are the real ones. Real studies have many images and steps in a
round and other networks, which makes it harder; that an attack fails is no proof that none succeeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from wardround_client import networks
from wardround_client.hospital.secure_sum import Participant
from wardround_client.preparation.examples import Examples
from wardround_client.training.local_work import LocalRun, PrivacyPlan, train
from wardround_common.keys.identity import Identity, Roster
from wardround_common.messages.parameters import Vector
from wardround_common.randomness import Stream
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import Masked
from wardround_common.secagg.terms import Member, Terms
from wardround_common.secagg.thresholds import default_threshold
from wardround_common.study.aggregation import Aggregation
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd, NoPrivacy
from wardround_common.study.sums import encoding_for
from wardround_common.tasks.classification import TWO_CLASSES
from wardround_common.tasks.registry import task_of
from wardround_simulation.phantoms.anatomy import draw_patient, posed, render

Image = NDArray[np.float64]
"""(size, size), 0 to 1."""
Watch = Callable[[int, int], None]

SIZE = 32
HOSPITALS = 4
FINDING = 1
ITERATIONS = 400
ATTACKED = ("tiny-cnn", "small-cnn")  # of a study's own networks those that are quick to attack
SECURE = Aggregation(min_hospitals=HOSPITALS, secure=True)
MOST_PSNR_DB = 120.0


@dataclass(frozen=True)
class Inversion:
    """What an attacker made of one thing that a hospital sent."""

    seen: str
    """What the attacker had."""
    image: Image = field(repr=False)
    psnr_db: float
    """Peak signal to noise, higher is nearer; about 10 is what a wrong image of the same kind gets."""
    ssim: float
    """Structural similarity, 1 for the same image."""


@dataclass(frozen=True)
class InversionReport:
    """The image that a hospital trained on, and what was made of its update under each protection."""

    original: Image = field(repr=False)
    inversions: tuple[Inversion, ...]


def attack(
    study: Study, plan: PrivacyPlan | None, stream: Stream, watch: Watch, *, iterations: int = ITERATIONS
) -> InversionReport:
    """Attack one update: bare, with the study's noise, masked, and as the sum over hospitals.

    Without a plan, or where only a sum has enough noise, the noise is left out. A study's own network is attacked too
    where it is one of ``ATTACKED``, bare, at the same 32 × 32 pixels. ``stream`` makes patients, noise and keys;
    ``watch`` is told how many of the attacks are done and how many there are.
    """
    images = [phantom(stream.child("patient", number)) for number in range(HOSPITALS)]
    network = _network(stream)
    start = networks.read_vector(network)
    bare = [_update(study, network, start, image, None, stream.child("hospital", k)) for k, image in enumerate(images)]
    seen = {"the bare update": bare[0]}
    if plan is not None and type(study.privacy) is DpSgd:
        seen["the update with the study's clipping and noise"] = _update(study, network, start, images[0], plan, stream)
    seen["the masked update"] = _masked(bare[0], stream)
    seen[f"the sum over {HOSPITALS} hospitals"] = np.stack(bare).mean(0)
    attempts = [(name, network, start, update) for name, update in seen.items()]
    if attacks_own(study):
        own = networks.build(study)
        first = networks.read_vector(own)
        update = _update(study, own, first, images[0], None, stream)
        attempts.append((f"the bare update of the study's own network, {study.model.network}", own, first, update))
    inversions: list[Inversion] = []
    for name, attacked, before, update in attempts:
        watch(len(inversions), len(attempts))
        made = invert(attacked, before, update, stream.child("start"), iterations=iterations)
        inversions.append(Inversion(name, made, psnr_db(images[0], made), ssim(images[0], made)))
    watch(len(attempts), len(attempts))
    return InversionReport(images[0], tuple(inversions))


def attacks_own(study: Study) -> bool:
    """Tell whether a study's own network is attacked: a small one that tells two classes of a single grey image."""
    two_classes = len(task_of(study.task).weighted(study.task)) == 2
    single = study.data.channels == 1 and not study.data.bagged
    return study.model.network in ATTACKED and single and two_classes


def phantom(stream: Stream, size: int = SIZE) -> Image:
    """Draw one made-up mammogram with a finding, 0 to 1."""
    rng = np.random.default_rng(stream.below(2**63))
    y, x = np.meshgrid(np.linspace(-1, 1, size), np.linspace(0, 1.8, size), indexing="ij")
    image = render(draw_patient(rng, has_finding=True), *posed(rng, x, y))
    scaled: Image = (image - image.min()) / (image.max() - image.min())
    return scaled


def invert(network: nn.Module, start: Vector, update: Vector, stream: Stream, *, iterations: int = ITERATIONS) -> Image:
    """Look for the image of the class ``FINDING`` whose gradient has the direction of minus ``update`` in each layer.

    Starts from noise of ``stream`` and takes a number of iterations of L-BFGS in float64.
    """
    networks.write_vector(network, networks.layout_of(network), start)
    double = network.double()
    weights = [weight for weight in double.parameters() if weight.requires_grad]
    sizes = [weight.numel() for weight in weights]
    parts = torch.split(torch.from_numpy(-update.astype(np.float64)), sizes)
    wanted = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
    image = torch.from_numpy(stream.uniform(SIZE * SIZE)).view(1, 1, SIZE, SIZE).requires_grad_()
    label = torch.tensor([FINDING])
    optimiser = torch.optim.LBFGS(
        [image], max_iter=iterations, history_size=100, line_search_fn="strong_wolfe",
        tolerance_grad=1e-14, tolerance_change=1e-16,
    )  # fmt: skip

    def distance() -> float:
        loss = functional.cross_entropy(double(image), label)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)
        away = torch.stack([_away(one, other) for one, other in zip(gradients, wanted, strict=True)]).mean()
        (image.grad,) = torch.autograd.grad(away, image)
        return float(away.detach())

    optimiser.step(distance)  # type: ignore[no-untyped-call]
    found: Image = image.detach().clamp(0, 1).view(SIZE, SIZE).numpy()
    network.float()
    return found


def psnr_db(original: Image, made: Image) -> float:
    """Return the peak signal-to-noise ratio in decibels, of images from 0 to 1; at most 120, that of equal images."""
    from monai.metrics.regression import PSNRMetric

    return min(float(torch.as_tensor(PSNRMetric(max_val=1.0)(_batch(made), _batch(original)))), MOST_PSNR_DB)


def ssim(original: Image, made: Image) -> float:
    """Return the mean structural similarity (Wang et al., IEEE TIP 2004), flat windows of 7 pixels."""
    from monai.metrics.regression import SSIMMetric

    measure = SSIMMetric(spatial_dims=2, data_range=1.0, kernel_type="uniform", win_size=7)
    return float(torch.as_tensor(measure(_batch(made), _batch(original))))


def _batch(image: Image) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]


def _away(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return 1 - functional.cosine_similarity(one.flatten(), other.flatten(), dim=0, eps=1e-30)


def _network(stream: Stream) -> nn.Module:
    """Build a network like that of Zhu et al. 2019 for one channel and two classes: 9,074 parameters."""
    network = nn.Sequential(
        nn.Conv2d(1, 12, 5, 2, 2), nn.Sigmoid(),
        nn.Conv2d(12, 12, 5, 2, 2), nn.Sigmoid(),
        nn.Conv2d(12, 12, 5, 1, 2), nn.Sigmoid(),
        nn.Flatten(), nn.Linear(12 * (SIZE // 4) ** 2, 2),
    )  # fmt: skip
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            weight.copy_(
                torch.from_numpy(stream.child("weights", number).uniform(weight.numel()) - 0.5).view_as(weight)
            )
    return network


def _update(
    study: Study, network: nn.Module, start: Vector, image: Image, plan: PrivacyPlan | None, stream: Stream
) -> Vector:
    """Let a hospital with this one image do one step of SGD of rate 1; with a plan it is clipped and gets noise."""
    training = study.training.model_copy(
        update={
            "rounds": 1,
            "local_epochs": 1.0,
            "local_steps": None,
            "batch_size": 1,
            "optimiser": "sgd",
            "learning_rate": 1.0,
            "schedule": "constant",
            "momentum": 0.0,
            "weight_decay": 0.0,
            "augmentations": (),
            "class_weights": None,
            "strategy": "fedavg",
        }
    )
    privacy = study.privacy if plan else NoPrivacy(mechanism="none")
    asked = study.model_copy(update={"training": training, "privacy": privacy, "task": TWO_CLASSES})
    one = np.zeros(1, np.int64)
    examples = Examples(image.astype(np.float32)[None, None], one, one + FINDING, one)
    step = plan and replace(plan, sampling_rate=1.0, steps_a_round=1)
    run = LocalRun(asked, network, networks.layout_of(network), examples, step, stream)
    return train(run, start, 1).update


def _masked(update: Vector, stream: Stream) -> Vector:
    """Return what the coordinator reads of one of ``HOSPITALS`` masked uploads, taken for an update."""
    names = [f"hospital {number}" for number in range(HOSPITALS)]
    # Keys that anybody can make: the images are made up, and nobody else is asked to believe these signatures.
    secrets = [stream.child("key", name).words(4).tobytes() for name in names]
    identities = [Identity(secret) for secret in secrets]
    keys = [AgreementKey(hashlib.sha256(secret).digest()) for secret in secrets]
    roster = Roster({name: identity.public for name, identity in zip(names, identities, strict=True)})
    digest, run = "0" * 64, bytes(16)
    members = tuple(
        Member.signed(name, identity, key.public, digest, run)
        for name, identity, key in zip(names, identities, keys, strict=True)
    )
    terms = Terms(digest, run, "train", 1, bytes(32), roster.digest, members, default_threshold(HOSPITALS))
    encoding = encoding_for(SECURE, HOSPITALS)
    vector = Masked(encoding.encode(update, 1, stream.child("rounding")), np.ones(3, "<u8"))
    random = stream.child("seeds")
    who = Participant(names[0], identities[0], keys[0], roster)
    upload = who.upload(terms, vector, lambda count: random.words((count + 7) // 8).tobytes()[:count])
    return encoding.decode(upload.masked.update).astype(np.float32)
