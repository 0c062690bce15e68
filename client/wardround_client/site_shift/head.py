"""A local head: the last layer that is called stays."""

from __future__ import annotations

import torch
from torch import nn

from wardround_client.networks import places_of
from wardround_client.site_shift.contract import Stays
from wardround_common.errors import StudyError
from wardround_common.study.file import Study


def tensors(network: nn.Module, study: Study) -> frozenset[str]:
    """Name the weights of the layer that is called last on an image of zeros.

    Raises:
        StudyError: it does not give the network's outputs, or nothing would be shared.
    """
    called: list[str] = []
    hooks = [
        module.register_forward_hook(lambda module, given, made, place=place: called.append(place))
        for place, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    training = network.training
    try:
        with torch.no_grad():
            device = next(network.parameters()).device
            form = (1, study.data.inputs, *places_of(study.data), *study.data.extent)
            network.eval()(torch.zeros(form, device=device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    last = called[-1] if called else ""
    weight = getattr(network.get_submodule(last), "weight", None)
    names = {name for name in network.state_dict() if name.startswith(f"{last}.")}
    if not isinstance(weight, torch.Tensor) or study.outputs not in weight.shape[:2]:
        raise _no_head(study, "its last layer is not the one that gives its outputs")
    if names >= {name for name, _ in network.named_parameters()}:
        raise _no_head(study, "all that it learns is in its last layer, so that nothing would be shared")
    return frozenset(names)


def _no_head(study: Study, why: str) -> StudyError:
    return StudyError(
        f"[training] personal = 'head': the network '{study.model.network}' cannot keep a head apart: {why}",
        do="Choose another network, or another measure.",
    )


STAYS = Stays("head", tensors)
