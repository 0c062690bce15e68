"""Learning from made images: which of them hold something that does not belong there.

A network of the registry is trained from its seed, by one thread, on images that the same seed draws
(:mod:`~wardround_client.prior.images`): no data are read, so that what it learns has cost nobody any privacy. A network
that computes what it needs, as ``halves`` does, does so from :mod:`~wardround_client.prior.sections` at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from wardround_client import networks
from wardround_client.prior.images import generated
from wardround_client.prior.sections import sections
from wardround_common.errors import ModelError, StudyError
from wardround_common.messages.parameters import metadata_of
from wardround_common.study.model import Norm

CLASSES = 2
RATE, DECAY, WARM = 2e-3, 1e-2, 40
"""Of AdamW; the rate rises over the first steps and falls to zero by a cosine."""
LEAST, COMPUTED = 64, 2048
"""Images from which a network computes what it needs, at least and at most."""
TRIED = 512
"""New images on which what was learnt is tried."""
FORMAT = "wardround prior 1"

Draws = Callable[[int, int, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
Watch = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt, by which network and from how much."""

    network: str
    channels: int = 1
    norm: Norm = "group"
    size: int = 64
    seed: int = 0
    steps: int = 600
    batch: int = 64


@dataclass(frozen=True)
class Learnt:
    """A file of weights, and how well the network tells new made images apart."""

    content: bytes
    accuracy: float


def learn(lesson: Lesson, watch: Watch) -> Learnt:
    """Train a network on made images; ``watch`` is told the step, how many there are, and the loss.

    The same lesson gives the same bytes on the same version of torch.

    Raises:
        StudyError: there is no such network, it is for outlines, or it does not run at this size.
        ModelError: the training diverged.
    """
    networks.check(lesson.network, 2, dense=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = networks.construct(lesson.network, lesson.channels, CLASSES, lesson.norm, seed=lesson.seed)
        with networks.seeded(lesson.seed):  # for layers that drop at random
            return _learn(network, lesson, watch)
    finally:
        torch.set_num_threads(before)


def size_of(content: bytes) -> int | None:
    """Return how many pixels high and wide the made images were from which a file was learnt; None of other files."""
    try:
        about = json.loads(metadata_of(content)["prior"])
        return int(about["size"]) if about["format"] == FORMAT else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _learn(network: nn.Module, lesson: Lesson, watch: Watch) -> Learnt:
    generator = torch.Generator().manual_seed(lesson.seed)
    if isinstance(network, networks.Computed):
        steps = min(lesson.steps, COMPUTED // lesson.batch)
        if steps * lesson.batch < LEAST:
            raise StudyError(f"{lesson.network} needs {LEAST} made images or more", do="Give more --steps.")
        drawn = []
        for step in range(steps):
            images, planted = _made(lesson, lesson.batch, generator, sections)
            drawn.append((network.features(images), planted))  # and no image: large ones would fill the memory
            watch(step + 1, steps, 0.0)
        network.learn_from(torch.cat([seen for seen, _ in drawn]), torch.cat([planted for _, planted in drawn]))
        return _learnt(network.eval(), lesson, generator, sections)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, RATE, weight_decay=DECAY)
    network.train()
    for step in range(lesson.steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM) * 0.5 * (1 + math.cos(math.pi * step / lesson.steps))
        images, planted = _made(lesson, lesson.batch, generator)
        try:
            loss = functional.cross_entropy(network(images), planted)
        except (RuntimeError, ValueError) as error:
            raise StudyError(
                f"{lesson.network} does not run on images of {lesson.size} pixels: {' '.join(str(error).split())}",
                do="Give a larger --size.",
            ) from None
        if not torch.isfinite(loss):
            raise ModelError("the learning diverged", do="Take another network, or another --seed.")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        watch(step + 1, lesson.steps, float(loss.detach()))
    return _learnt(network.eval(), lesson, generator, generated)


def _learnt(network: nn.Module, lesson: Lesson, generator: torch.Generator, draw: Draws) -> Learnt:
    right = 0
    with torch.no_grad():
        for begun in range(0, TRIED, lesson.batch):  # never all at once: large ones would fill the memory
            images, planted = _made(lesson, min(lesson.batch, TRIED - begun), generator, draw)
            right += int((network(images).argmax(1) == planted).sum())
    about = {name: getattr(lesson, name) for name in lesson.__dataclass_fields__}
    content = save(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items() if tensor.is_floating_point()},
        metadata={"prior": json.dumps({"format": FORMAT, "torch": torch.__version__, **about})},
    )
    return Learnt(content, right / TRIED)


def _made(
    lesson: Lesson, count: int, generator: torch.Generator, draw: Draws = generated
) -> tuple[torch.Tensor, torch.Tensor]:
    images, planted = draw(count, lesson.size, generator)
    return images.expand(-1, lesson.channels, -1, -1).contiguous(), planted
