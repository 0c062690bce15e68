"""A study's network rehearsed on noise, before anybody approves: does it run at its size, and can it be private?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

import torch
from torch import nn

from wardround_client import networks
from wardround_client.preparation.plugin_steps import try_steps
from wardround_client.site_shift.parts import parts_of
from wardround_client.tasks.registry import local_task, loss_of
from wardround_client.training.apart import rehearse_apart
from wardround_client.training.network_probe import defects_of
from wardround_common.errors import PluginError, PrivacyError, StudyError
from wardround_common.kinds import kind_of
from wardround_common.plugins.blame import FAULTS, blamed
from wardround_common.plugins.names import is_plugin
from wardround_common.registry import is_own
from wardround_common.strategies.registry import STRATEGIES
from wardround_common.study.file import Study
from wardround_common.study.model import Norm
from wardround_common.study.plugins import admit, compare
from wardround_common.study.privacy import DpSgd
from wardround_common.tasks.registry import task_of

SMALL = {2: (32,), 3: (16, 32)}
"""Sizes at which gradients are compared, by dimensions: how layers are joined does not depend on it, and time does."""
SIZES = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
"""Image sizes that are tried to advise one, up to the largest that a network of ours needs for any normalisation."""
HALVINGS = (8, 16, 32)
"""Multiples to which the sides of a patch are raised to advise one: what networks of four to six levels divide."""
NORMS: tuple[Norm, ...] = ("group", "instance", "batch")


def rehearse(study: Study) -> str:
    """Make one step of the study's network on noise, and under dp-sgd probe its gradients; return what was tried.

    Nothing of a patient is used, and torch's generator is as before.

    Raises:
        StudyError: the network cannot be trained at the study's image size with its normalisation, or the study names a
            researcher's own code that is not here.
        PluginError: it names a plug-in that is not installed exactly so, or whose code does not do what it says.
        PrivacyError: the network cannot be trained with privacy by patient.
    """
    if is_own(study.training.strategy):
        STRATEGIES[study.training.strategy]  # a hospital takes part in no study with code that nobody can look at
    draft = study.model_copy(update={"roster": ()})
    if not study.plugin and study.model.bundle is None:
        return _rehearse(draft)
    compare(study, network=True)  # each time: what is installed may be another since
    return _apart(draft)


def rehearse_here(study: Study) -> str:
    """Rehearse a study in this process, whatever its code does to it.

    Raises:
        StudyError, PluginError, PrivacyError: as :func:`rehearse`.
    """
    admit(study, network=True)
    try_steps(study)
    return _rehearse(study)


@lru_cache(maxsize=32)
def _apart(study: Study) -> str:
    return rehearse_apart(study)


@lru_cache(maxsize=32)
def _rehearse(study: Study) -> str:
    private = isinstance(study.privacy, DpSgd)
    model, space = study.model, study.data.extent
    network = networks.build(study)
    if study.training.own_loss or (private and is_plugin(study.task.name)):
        check_loss(study)
    parts_of(network, study)
    if reason := why_not(network, study, space):
        raise _cannot_run(study, reason)
    parts = "voxels, of two patches" if study.data.patch_size else "pixels, of two images"
    tried = f"{model.network} made steps on noise of {' × '.join(map(str, space))} {parts} and of one"
    if count := networks.converted(network):
        tried += f"; {count} batch normalisation{'s are' if count > 1 else ' is'} {model.norm} normalisation here"
    if not private:
        return tried
    check_private(network, study)
    return f"{tried}; the gradient of each image is its own"


def why_not(network: nn.Module, study: Study, space: tuple[int, ...]) -> str | None:
    """Say why a network cannot make a step on two images of this extent and on one, which a last batch may hold."""
    local, loss = local_task(study.task), loss_of(study, torch.device("cpu"))
    others = study.own_code or study.plugin or study.model.bundle
    raised = FAULTS if others else (RuntimeError, ValueError)  # what torch and MONAI raise for a shape
    generator = torch.Generator().manual_seed(0)
    with networks.seeded(0):
        network.train()
        for count in (2, 1):
            images = torch.rand(count, study.data.inputs, *networks.places_of(study.data), *space, generator=generator)
            wanted = (count, study.outputs, *(space if local.task.dense else ()))
            try:
                logits = network(images)
                if not isinstance(logits, torch.Tensor) or logits.shape != wanted:
                    given = tuple(logits.shape) if isinstance(logits, torch.Tensor) else kind_of(logits)
                    return f"it gives {given} in place of {wanted} numbers"
                losses = loss(logits, local.noise(study.task, count, space))
                losses.mean().backward()  # type: ignore[no-untyped-call]
            except PluginError:
                raise
            except raised as error:
                shaped = isinstance(error, RuntimeError | ValueError)
                if not shaped and (told := blamed(error)):
                    raise told from error
                reason = " ".join(str(error).split())
                if not shaped:
                    reason = f"{type(error).__name__}: {reason}"
                return reason if count == 2 else f"a last batch of one image fails: {reason}"
            if not torch.isfinite(logits).all():
                return "what it gives is not finite"
            network.zero_grad()
    return None


def check_loss(study: Study) -> None:
    """Check that the loss of a researcher or a plug-in is one finite number a record, which no other record changes.

    Raises:
        StudyError, of a plug-in PluginError: it does not.
    """
    local, loss, count = local_task(study.task), loss_of(study, torch.device("cpu")), 3
    space = study.data.extent if local.task.dense else ()
    targets = local.noise(study.task, count, study.data.extent)
    do = (
        "It is called with outputs (records, outputs, ...) and targets, and returns a loss for each record, (records,)."
    )
    own = study.training.own_loss
    whose, where = ("your", f"the loss {own}") if own else ("its", f"task {study.task.name}")
    fault = StudyError if own else PluginError
    outputs = torch.rand(count, study.outputs, *space, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def of(rows: slice) -> torch.Tensor:
        try:
            given = loss(outputs[rows], targets[rows])
        except Exception as error:
            raise fault(f"{whose} loss fails: {type(error).__name__}: {error}", where=where, do=do) from error
        if not isinstance(given, torch.Tensor):
            raise fault(f"{whose} loss gives {kind_of(given)}", where=where, do=do)
        return given

    together = of(slice(None))
    if together.shape != (count,):
        raise fault(f"{whose} loss gives {tuple(together.shape)} for {count} records", where=where, do=do)
    if not torch.isfinite(together).all() or not together.requires_grad:
        raise fault(f"{whose} loss gives what is not finite, or has no gradient", where=where, do=do)
    alone = torch.cat([of(slice(row, row + 1)).reshape(-1) for row in range(count)])
    if not torch.allclose(together, alone, rtol=1e-4, atol=1e-6):
        raise fault(
            f"{whose} loss gives a record another number beside other records: it could not be clipped by patient",
            where=where,
            do="Compute each record's loss from that record alone, and take no mean over records.",
        )


def check_private(network: nn.Module, study: Study) -> None:
    """Check that the gradient of each image is its own, at a small size where the network runs at one.

    Raises:
        PrivacyError: it is not, or cannot be computed.
    """
    channels, classes, space = study.data.inputs, study.outputs, study.data.extent
    dims = task_of(study.task).dims(study.task)
    cubes = [(side,) * dims for side in SMALL[dims] if side < max(space)]
    small = next((cube for cube in cubes if not why_not(network, study, cube)), space)
    defects = defects_of(network, channels, (*networks.places_of(study.data), *small), classes)
    if defects:
        raise PrivacyError(
            f"the network {study.model.network} cannot be trained with privacy by patient:\n"
            + "\n".join(f"  · {defect.what}" for defect in defects),
            do=" ".join(dict.fromkeys(defect.do for defect in defects)),
        )


def _cannot_run(study: Study, reason: str) -> StudyError:
    model, images = study.model, "patches" if study.data.patch_size else "images"
    fault = (
        f"[data] {_key(study.data.extent)}: {model.network} with norm = '{model.norm}' cannot be trained on {images} "
        f"of this size ({reason})"
    )
    advice = [_key(larger) for larger in _extents_that_work(study)]
    advice += [f"norm = '{norm}'" for norm in _norms_that_work(study)]
    do = f"Write {' or '.join(advice)}." if advice else "Choose another network."
    return StudyError(fault, where=f"study {study.study.name}", do=do, faults=(f"{fault}; {do[0].lower()}{do[1:-1]}",))


def _key(extent: tuple[int, ...]) -> str:
    return f"image_size = {extent[0]}" if len(extent) == 2 else f"patch_size = {list(extent)}"


def _extents_that_work(study: Study) -> Iterator[tuple[int, ...]]:
    """Name the least larger extent that works, if there is one."""
    given = study.data.extent
    if study.data.patch_size:
        larger = [tuple(-(-side // multiple) * multiple for side in given) for multiple in HALVINGS]
    else:
        larger = [(size, size) for size in SIZES]
    for extent in larger:
        if max(extent) >= max(given) and extent != given and _works(study, extent, study.model.norm):
            yield extent
            return


def _norms_that_work(study: Study) -> Iterator[Norm]:
    for norm in NORMS:
        mixes = norm == "batch" and isinstance(study.privacy, DpSgd)
        if norm != study.model.norm and not mixes and _works(study, study.data.extent, norm):
            yield norm
            return


def _works(study: Study, extent: tuple[int, ...], norm: Norm) -> bool:
    other = study.model_copy(update={"model": study.model.model_copy(update={"norm": norm})})
    with suppress(PluginError):
        return why_not(networks.build(other), study, extent) is None
    return False
