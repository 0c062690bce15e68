"""What the probe finds in networks: in those that a study can name, and in MONAI's as they are shipped.

It prints two Markdown tables, those of docs/private-networks.md; ``--registry`` the first one alone. In the second each
MONAI network is built small, for images of one channel, and what it gives is brought to two numbers an image by a fixed
sum, so that each part of its output counts.
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from wardround_client import networks as registry
from wardround_client.training.network_probe import Defect, defects_of
from wardround_common.study.model import Norm
from wardround_common.study.networks import known_networks
from wardround_common.tasks.registry import TASKS

Make = Callable[[], nn.Module]
SIZE = 32


def networks() -> dict[str, tuple[Make, int]]:
    """Name MONAI's networks that take images and nothing else, and the size in pixels at which each is tried."""
    from monai.networks import nets

    two = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    layers: dict[str, Any] = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
    patches: dict[str, Any] = {"img_size": SIZE, "patch_size": 8, "hidden_size": 32, "mlp_dim": 32, "num_heads": 2}
    flat: dict[str, Any] = {"in_shape": (1, SIZE, SIZE), "channels": (4, 8), "strides": (2, 2)}
    unetr: dict[str, Any] = {
        "in_channels": 1,
        "out_channels": 2,
        "img_size": SIZE,
        "feature_size": 4,
        "spatial_dims": 2,
    }
    small: dict[str, Any] = {"hidden_size": 32, "mlp_dim": 32, "num_heads": 2}
    kl: dict[str, Any] = two | {
        "num_res_blocks": (1, 1),
        "channels": (8, 8),
        "norm_num_groups": 4,
        "latent_channels": 2,
    }
    vq: dict[str, Any] = two | {
        "channels": (4, 8),
        "num_res_channels": (4, 8),
        "num_res_layers": 1,
        "num_embeddings": 8,
    }
    return {
        "resnet18": (lambda: nets.resnet18(spatial_dims=2, n_input_channels=1, num_classes=2), SIZE),
        "resnet18, group": (
            lambda: nets.resnet18(spatial_dims=2, n_input_channels=1, num_classes=2, norm=("group", {"num_groups": 8})),
            SIZE,
        ),
        "DenseNet121": (lambda: nets.DenseNet121(**two), 64),
        "DenseNet121, group": (lambda: nets.DenseNet121(**two, norm=("group", {"num_groups": 8})), SIZE),
        "EfficientNetBN b0": (
            lambda: nets.EfficientNetBN(
                "efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=2
            ),
            64,
        ),
        "SEResNet50": (lambda: nets.SEResNet50(spatial_dims=2, in_channels=1, num_classes=2, pretrained=False), SIZE),
        "UNet": (lambda: nets.UNet(**two, channels=(4, 8, 8), strides=(2, 2), num_res_units=2), SIZE),
        "UNet, batch": (lambda: nets.UNet(**two, channels=(4, 8, 8), strides=(2, 2), norm="batch"), SIZE),
        "BasicUNet": (lambda: nets.BasicUNet(**two, features=(4, 4, 8, 8, 8, 4)), SIZE),
        "BasicUNetPlusPlus": (lambda: nets.BasicUNetPlusPlus(**two, features=(4, 4, 8, 8, 8, 4)), SIZE),
        "AttentionUnet": (lambda: nets.AttentionUnet(**two, channels=(4, 8, 8), strides=(2, 2)), SIZE),
        "DynUNet": (lambda: nets.DynUNet(**two, **layers, filters=[4, 8, 8]), SIZE),
        "DynUNet, residual": (lambda: nets.DynUNet(**two, **layers, filters=[4, 8, 8], res_block=True), SIZE),
        "SegResNet": (lambda: nets.SegResNet(**two, init_filters=8), SIZE),
        "SegResNetDS": (lambda: nets.SegResNetDS(**two, init_filters=8, blocks_down=(1, 1), norm="instance"), SIZE),
        "SegResNetVAE": (
            lambda: nets.SegResNetVAE(**two, init_filters=8, input_image_size=(SIZE, SIZE), vae_nz=8),
            SIZE,
        ),
        "VNet": (lambda: nets.VNet(**two), SIZE),
        "HighResNet": (lambda: nets.HighResNet(**two), 16),
        "RegUNet": (lambda: nets.RegUNet(2, 1, 4, 2), SIZE),
        "FlexibleUNet b0": (
            lambda: nets.FlexibleUNet(1, 2, "efficientnet-b0", pretrained=False, spatial_dims=2),
            SIZE,
        ),
        "ViT, classification": (
            lambda: nets.ViT(1, **patches, num_layers=2, classification=True, num_classes=2, spatial_dims=2),
            SIZE,
        ),
        "ViT, features": (lambda: nets.ViT(1, **patches, num_layers=2, spatial_dims=2), SIZE),
        "ViTAutoEnc": (lambda: nets.ViTAutoEnc(1, **patches | {"patch_size": 4}, num_layers=2, spatial_dims=2), SIZE),
        "UNETR": (lambda: nets.UNETR(**unetr, **small), SIZE),
        "SwinUNETR": (
            lambda: nets.SwinUNETR(in_channels=1, out_channels=2, feature_size=12, depths=(1, 1, 1, 1), spatial_dims=2),
            64,
        ),
        "MaskedAutoEncoderViT": (lambda: nets.MaskedAutoEncoderViT(1, **patches, num_layers=1, spatial_dims=2), SIZE),
        "Classifier": (lambda: nets.Classifier(**flat, classes=2), SIZE),
        "Regressor": (lambda: nets.Regressor(**flat, out_shape=(2,)), SIZE),
        "Discriminator": (lambda: nets.Discriminator(**flat), SIZE),
        "Critic": (lambda: nets.Critic(**flat), SIZE),
        "AutoEncoder": (lambda: nets.AutoEncoder(**two, channels=(4, 8), strides=(2, 2)), SIZE),
        "VarAutoEncoder": (
            lambda: nets.VarAutoEncoder(
                spatial_dims=2, in_shape=(1, SIZE, SIZE), out_channels=1, latent_size=4, channels=(4, 8), strides=(2, 2)
            ),
            SIZE,
        ),
        "PatchDiscriminator": (
            lambda: nets.PatchDiscriminator(spatial_dims=2, channels=4, in_channels=1, num_layers_d=2),
            SIZE,
        ),
        "AutoencoderKL": (lambda: nets.AutoencoderKL(**kl, attention_levels=(False, True)), SIZE),
        "AutoencoderKL, computed again": (
            lambda: nets.AutoencoderKL(**kl, attention_levels=(False, False), use_checkpoint=True),
            SIZE,
        ),
        "VQVAE": (
            lambda: nets.VQVAE(
                **vq,
                embedding_dim=4,
                downsample_parameters=((2, 4, 1, 1), (2, 4, 1, 1)),
                upsample_parameters=((2, 4, 1, 1, 0), (2, 4, 1, 1, 0)),
            ),
            SIZE,
        ),
    }


class TwoNumbers(nn.Module):
    """Brings whatever a network gives to two numbers an image, by sums with fixed weights."""

    def __init__(self, network: nn.Module, out_of_place: bool = False) -> None:
        super().__init__()
        self.network, self.out_of_place = network, out_of_place

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (images, 2)."""
        with OutOfPlace() if self.out_of_place else nullcontext():
            given = tree_leaves(self.network(images))
        parts = [p.flatten(1) for p in given if isinstance(p, torch.Tensor) and p.ndim > 1 and len(p) == len(images)]
        row = torch.cat(parts, dim=1)
        places = torch.arange(row.shape[1], dtype=row.dtype, device=row.device)
        return torch.stack([row @ places.cos(), row @ (3 * places).sin()], dim=1) / row.shape[1] ** 0.5


class OutOfPlace(TorchFunctionMode):
    """Lets x += y in a network's own code be x = x + y."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace the addition, and do everything else as it is."""
        if getattr(func, "__name__", "") == "add_":  # what x += y calls; the sum is given back, and x is then the sum
            func = torch.add
        return func(*args, **(kwargs or {}))


def without_batch_norm(network: nn.Module) -> bool:
    """Put group normalisation in the place of batch normalisation; say whether there was any."""
    found = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for name, norm in found:
        groups = next(number for number in (8, 4, 2, 1) if norm.num_features % number == 0)
        network.set_submodule(name, nn.GroupNorm(groups, norm.num_features))
    return bool(found)


def not_in_place(network: nn.Module) -> None:
    """Turn off what layers do in place."""
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False


def freeze_unused(network: nn.Module, size: int) -> bool:
    """Freeze the weights that take no part in what the network gives; say whether there were any."""
    TwoNumbers(network)(torch.rand(2, 1, size, size)).sum().backward()
    unused = [weight for weight in network.parameters() if weight.requires_grad and weight.grad is None]
    for weight in unused:
        weight.requires_grad_(False)
    network.zero_grad()
    return bool(unused)


def tried(make: Make, size: int) -> list[tuple[str, tuple[Defect, ...]]]:
    """Probe a network as it is and then, as long as something is found, with one change more."""
    torch.manual_seed(0)
    network, rows, changes = make(), [], "as shipped"
    rows.append((changes, defects_of(TwoNumbers(network), 1, size)))
    if rows[-1][1] and without_batch_norm(network):
        changes = "group normalisation"
        rows.append((changes, defects_of(TwoNumbers(network), 1, size)))
    if any(defect.kind == "refused" for defect in rows[-1][1]):
        not_in_place(network)
        rows.append((_and(changes, "inplace off"), defects_of(TwoNumbers(network), 1, size)))
        changes = rows[-1][0]
    if any(defect.kind == "unused" for defect in rows[-1][1]) and freeze_unused(network, size):
        changes = _and(changes, "unused weights frozen")
        rows.append((changes, defects_of(TwoNumbers(network), 1, size)))
    if any(defect.kind == "refused" and "in place" in defect.what for defect in rows[-1][1]):
        not_in_place(network)
        rows.append((_and(changes, "x += y as x = x + y"), defects_of(TwoNumbers(network, True), 1, size)))
    return rows


def _and(before: str, more: str) -> str:
    return more if before == "as shipped" else before if more in before else f"{before}, {more}"


def short(what: str) -> str:
    """Leave out what a sentence explains, and what a table says by its columns."""
    said = re.split(
        r": it is computed|, so that no image|: the gradient of a patient|,? takes its"
        r"| \((?:Output 0|In order|only|vmap|\[)"
        r"|: the weight is used|, and Opacus|, so that Opacus",
        what,
    )[0]
    said = said.removeprefix("Opacus cannot compute the gradients of single images: ")
    return said.replace("network.", "").replace("layer network (", "the network itself (").replace("|", "/")


def own_rows() -> Iterator[str]:
    """Describe each network that a study can name, and say what is found in it with each normalisation by record."""
    for name in known_networks():
        kind = registry.find(name)
        fit = ", ".join(
            name for name, task in sorted(TASKS.items()) if (task.dense, task.generates) == (kind.dense, kind.generates)
        )
        outputs = 3 if kind.generates else 2
        counts, found = [], []
        for dims in kind.dims:
            one = registry.construct(name, 1, outputs, "group", seed=0, dims=dims)
            counts.append(f"{sum(weight.numel() for weight in one.parameters()):,}")
        for norm in BY_RECORD:
            one = registry.construct(name, 1, outputs, norm, seed=0)
            size = next(size for size in (16, 32, 64) if runs(one, size))
            defects = defects_of(one, 1, size)
            said = "; ".join(f"**{defect.kind}**: {short(defect.what)}" for defect in defects) or "nothing"
            found.append(f"{said} (from {size} pixels)")
        yield f"| `{name}` | {fit} | {' / '.join(counts)} | {' | '.join(found)} |"


BY_RECORD: tuple[Norm, ...] = ("group", "instance")


def runs(network: nn.Module, size: int) -> bool:
    """Tell whether it makes a training pass of two images of this size."""
    try:
        copy.deepcopy(network).train()(torch.rand(2, 1, size, size))
    except (ValueError, RuntimeError):  # a norm over one value; a map that is smaller than the kernel
        return False
    return True


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What the probe of a network finds, as Markdown tables.")
    parser.add_argument("--registry", action="store_true", help="only the networks that a study can name")
    typed = parser.parse_args()
    warnings.simplefilter("ignore")  # MONAI's imports speak of its optional parts
    torch.set_num_threads(1)
    begun = time.perf_counter()
    print("| network | tasks | weights in 2D / 3D | group | instance |\n|---|---|---|---|---|")
    for row in own_rows():
        print(row, flush=True)
    if typed.registry:
        return
    print("\n| network | variant | found |\n|---|---|---|")
    for name, (make, size) in networks().items():
        for number, (variant, defects) in enumerate(tried(make, size)):
            found = "<br>".join(f"**{defect.kind}**: {short(defect.what)}" for defect in defects) or "nothing"
            print(f"| {'' if number else name} | {variant} | {found} |", flush=True)
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
