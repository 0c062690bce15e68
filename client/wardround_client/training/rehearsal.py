"""A study's network rehearsed on noise, before anybody approves: does it run at its size, and can it be private?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import nn

from wardround_client import networks
from wardround_client.tasks.registry import local_task
from wardround_client.training.network_probe import defects_of
from wardround_common.errors import PrivacyError, StudyError
from wardround_common.study.file import DpSgd, Norm, Study
from wardround_common.tasks.registry import task_of

SMALL = {2: (32,), 3: (16, 32)}
"""Sizes at which gradients are compared, by dimensions: how layers are joined does not depend on it, and time does."""
SIZES = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
"""Image sizes that are tried to advise one, up to the largest that a network of ours needs for any normalisation."""
NORMS: tuple[Norm, ...] = ("group", "instance", "batch")


def rehearse(study: Study) -> str:
    """Make one step of the study's network on noise, and under dp-sgd probe its gradients; return what was tried.

    Nothing of a patient is used, and torch's generator is as before.

    Raises:
        StudyError: the network cannot be trained at the study's image size with its normalisation.
        PrivacyError: the network cannot be trained with privacy by patient.
    """
    private = isinstance(study.privacy, DpSgd)
    return _rehearse(study.model_copy(update={"roster": ()}), private)


@lru_cache(maxsize=32)
def _rehearse(study: Study, private: bool) -> str:
    model, size = study.model, study.data.image_size
    network = networks.build(study)
    if reason := why_not(network, study, size):
        raise _cannot_run(study, reason)
    extent = " × ".join([str(size)] * task_of(study.task).dims(study.task))
    tried = f"{model.network} made steps on noise of {extent} pixels, of two images and of one"
    if not private:
        return tried
    check_private(network, study)
    return f"{tried}; the gradient of each image is its own"


def why_not(network: nn.Module, study: Study, size: int) -> str | None:
    """Say why a network cannot make a step on two images and on one, which the last batch of a pass may hold."""
    local, cpu = local_task(study.task), torch.device("cpu")
    space, loss = (size,) * local.task.dims(study.task), local.loss(study.task, study.training, cpu)
    generator = torch.Generator().manual_seed(0)
    with networks.seeded(0):
        network.train()
        for count in (2, 1):
            images = torch.rand(count, study.data.inputs, *space, generator=generator)
            wanted = (count, study.outputs, *(space if local.task.dense else ()))
            try:
                logits = network(images)
                if logits.shape != wanted:
                    return f"it gives {tuple(logits.shape)} in place of {wanted} numbers"
                loss(logits, local.noise(study.task, count, space)).mean().backward()  # type: ignore[no-untyped-call]
            except (RuntimeError, ValueError) as error:  # what torch and MONAI raise for a shape that does not fit
                reason = " ".join(str(error).split())
                return reason if count == 2 else f"a last batch of one image fails: {reason}"
            if not torch.isfinite(logits).all():
                return "what it gives is not finite"
            network.zero_grad()
    return None


def check_private(network: nn.Module, study: Study) -> None:
    """Check that the gradient of each image is its own, at a small size where the network runs at one.

    Raises:
        PrivacyError: it is not, or cannot be computed.
    """
    channels, classes, size = study.data.inputs, study.outputs, study.data.image_size
    dims = task_of(study.task).dims(study.task)
    small = next((small for small in SMALL[dims] if small < size and not why_not(network, study, small)), size)
    defects = defects_of(network, channels, small, classes, dims)
    if defects:
        raise PrivacyError(
            f"the network {study.model.network} cannot be trained with privacy by patient:\n"
            + "\n".join(f"  · {defect.what}" for defect in defects),
            do=" ".join(dict.fromkeys(defect.do for defect in defects)),
        )


def _cannot_run(study: Study, reason: str) -> StudyError:
    model, size = study.model, study.data.image_size
    fault = (
        f"[data] image_size = {size}: {model.network} with norm = '{model.norm}' cannot be trained on images of this "
        f"size ({reason})"
    )
    advice = [f"image_size = {larger}" for larger in _sizes_that_work(study)]
    advice += [f"norm = '{norm}'" for norm in _norms_that_work(study)]
    do = f"Write {' or '.join(advice)}." if advice else "Choose another network."
    return StudyError(fault, where=f"study {study.study.name}", do=do, faults=(f"{fault}; {do[0].lower()}{do[1:-1]}",))


def _sizes_that_work(study: Study) -> Iterator[int]:
    """Name the least larger size that works, if there is one."""
    for size in SIZES:
        if size > study.data.image_size and _works(study, size, study.model.norm):
            yield size
            return


def _norms_that_work(study: Study) -> Iterator[Norm]:
    for norm in NORMS:
        mixes = norm == "batch" and isinstance(study.privacy, DpSgd)
        if norm != study.model.norm and not mixes and _works(study, study.data.image_size, norm):
            yield norm
            return


def _works(study: Study, size: int, norm: Norm) -> bool:
    other = study.model_copy(update={"model": study.model.model_copy(update={"norm": norm})})
    return why_not(networks.build(other), study, size) is None
