"""Local normalisation: what the normalisation layers learn and count stays."""

from __future__ import annotations

from torch import nn

from wardround_client.site_shift.contract import Stays
from wardround_common.errors import StudyError
from wardround_common.study.file import Study

KINDS = (
    nn.GroupNorm,
    nn.LayerNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
)


def tensors(network: nn.Module, study: Study) -> frozenset[str]:
    """Name scale and shift of each normalisation layer, and running means where it has them.

    Raises:
        StudyError: the network has no such layer.
    """
    names = {
        f"{place}.{name}"
        for place, module in network.named_modules()
        if isinstance(module, KINDS)
        for name in module.state_dict()
    }
    if not names:
        raise StudyError(
            f"[training] personal = 'norm': the network '{study.model.network}' has no normalisation layers that learn",
            do="Choose another network, or personal = 'head'.",
        )
    return frozenset(names)


STAYS = Stays("norm", tensors)
