"""Draws images from a model that makes them, and says what that costs the patients of its training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from wardround_client.networks import LatentDiffusion, VariationalAutoEncoder
from wardround_client.prediction.model import Model
from wardround_client.tasks.generation import means_of
from wardround_client.training.threads import use_threads
from wardround_common.errors import ModelError, StudyError
from wardround_common.randomness import insecure_stream
from wardround_common.results.model_folder import Card
from wardround_common.results.record import DEPLOYED
from wardround_common.study.start import SIMULATED, WITHOUT_PRIVACY
from wardround_common.tasks.generation import Generation
from wardround_common.tasks.registry import task_of

TOGETHER = 64
LEAST_CHANCE = 2.0**-54


@dataclass(frozen=True, eq=False)
class Made:
    """An image that no patient has."""

    number: int
    """From 1."""
    word: str
    """The class that it was drawn for; empty where the model makes one kind."""
    pixels: NDArray[np.float32] = field(repr=False)
    """(channels, rows, columns), 0 to 1."""


def drawn(model: Model, count: int, seed: int, words: Sequence[str] = ()) -> Iterator[Made]:
    """Draw images in turn for these classes, or for all of the model's; the same seed draws the same.

    What an image is depends on the seed and its number, not on how many are drawn.

    Raises:
        StudyError: the model makes no images, or none of such a class.
        ModelError: an image is not finite (the training diverged).
    """
    section, network = model.study.task, network_of(model)
    if not isinstance(section, Generation):
        raise StudyError(_NONE, do=_TASK)
    kinds = _kinds(section, words)
    use_threads(model.study)
    device = next(network.parameters()).device
    means, side = means_of(section, device), model.study.data.square
    for start in range(0, count, TOGETHER):
        numbers = range(start, start + TOGETHER)  # always as many: how many are computed together changes roundings
        chance = np.stack([insecure_stream(seed, "image", number).uniform(section.latent) for number in numbers])
        noise = torch.from_numpy(ndtri(chance.clip(min=LEAST_CHANCE))).float().to(device)
        of = [kinds[number % len(kinds)] for number in numbers]
        with torch.no_grad():
            which = torch.tensor(of, device=device)
            latent = network.drawn(noise, which) if isinstance(network, LatentDiffusion) else means[which] + noise
            images = network.decode(latent, (side, side)).cpu().numpy()
        if not np.isfinite(images).all():
            raise ModelError("an image that the model makes is not finite", do="Its training diverged: do not use it.")
        for number, kind, image in zip(range(start, min(start + TOGETHER, count)), of, images, strict=False):
            yield Made(number + 1, section.classes[kind] if section.classes else "", image)


_NONE = "this model makes no images"
_TASK = "Train one: wardround study new NAME --task generation."


def network_of(model: Model) -> VariationalAutoEncoder | LatentDiffusion:
    """Return the network of a model that makes images.

    Raises:
        StudyError: the model makes none, or its network is of a plug-in that says nothing of how.
    """
    if not task_of(model.study.task).generates:
        raise StudyError(_NONE, where=f"task '{model.study.task.name}'", do=_TASK)
    if not isinstance(model.network, VariationalAutoEncoder | LatentDiffusion):
        raise StudyError(f"nothing is known of how '{model.study.model.network}' makes images", do="Use vae.")
    return model.network


def _kinds(section: Generation, words: Sequence[str]) -> list[int]:
    if unknown := [word for word in words if word not in section.classes]:
        known = f"Its classes: {', '.join(section.classes)}." if section.classes else "It makes one kind: omit --of."
        raise StudyError(f"the model makes no images of '{unknown[0]}'", do=known)
    return [section.classes.index(word) for word in words] or list(range(max(1, len(section.classes))))


def unbounded(card: Card) -> str:
    """Say how a model was trained where nothing bounds what it tells of its patients; empty where epsilon does."""
    if card.privacy is None:
        return WITHOUT_PRIVACY
    if card.engine != DEPLOYED:
        return SIMULATED
    return next((one.unbounded for one in card.start.trained if one.unbounded), "") if card.start else ""


def spent_of(card: Card) -> tuple[float, float] | None:
    """Return the most that a model cost a patient who was in all of its training, (epsilon, delta).

    None where any of it was without differential privacy, or was simulated: whoever has the seed can take such noise
    away. Costs add up (basic composition).
    """
    if card.privacy is None or unbounded(card):
        return None
    before = card.start.cost if card.start else None
    return card.privacy.epsilon + (before[0] if before else 0), card.privacy.delta + (before[1] if before else 0)


def cost_of(card: Card) -> tuple[str, ...]:
    """Say in sentences what drawing from a model costs the patients of its training, and against whom that holds."""
    said: list[str] = []
    start = card.start
    if card.privacy is None or unbounded(card):
        own = card.privacy is None or card.engine != DEPLOYED
        said.append(
            f"The model{'' if own else ' that its training started from'} was trained {unbounded(card)}: there is no "
            "epsilon. It may remember patients, and an image that is drawn from it may be close to one of them. Treat "
            "these images as patients' images."
        )
    else:
        said.append(
            f"The model cost each patient of its training at most epsilon {card.privacy.epsilon:.3g} (delta "
            f"{card.privacy.delta:g}). Post-processing: making any number of images costs nothing more, since they "
            "follow from the model alone. One epsilon covers them all, not each of them."
        )
        if start is not None and start.cost is not None:
            said.append(
                f"It started from a model whose training cost a patient at most epsilon {start.cost[0]:.3g} (delta "
                f"{start.cost[1]:g}); whoever was in both spent both."
            )
    if card.privacy is not None:
        said.append(card.privacy.statement)
    return tuple(said)
