"""The networks that a study can name, one file each, every one with a normalisation that it states.

A file of this folder that begins with no underscore is a network: its name is the file's, with hyphens for underscores,
and its ``NETWORK`` says how it is built, for which tasks and in how many dimensions. Nothing else lists them: the study
file knows them by their files' names (``wardround_common.study.networks``), so that a new network is one file.

Batch normalisation mixes the images of a batch and keeps running means, which makes it neither private nor easy to
average (Hsieh et al., *The non-IID data quagmire*, ICML 2020): group normalisation (Wu and He, ECCV
2018) is the default.
MONAI builds the larger networks and is imported only when one of them is asked for, since that takes two seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from wardround_client.networks._bag import FEATURES as FEATURES
from wardround_client.networks._bag import Bag as Bag
from wardround_client.networks._bag import weighing as weighing
from wardround_client.networks._bag import with_padding_of as with_padding_of
from wardround_client.networks._bundle import converted as converted
from wardround_client.networks._bundle import network_of as network_of
from wardround_client.networks._diffusion import LatentDiffusion as LatentDiffusion
from wardround_client.networks._file import Match as Match
from wardround_client.networks._file import matched as matched
from wardround_client.networks._file import put_weights
from wardround_client.networks._file import read_tensors_of as read_tensors_of
from wardround_client.networks._layers import BATCH as BATCH
from wardround_client.networks._layers import normalisation as normalisation
from wardround_client.networks._network import Computed as Computed
from wardround_client.networks._network import Network as Network
from wardround_client.networks._network import body_of as body_of
from wardround_client.networks._part import fixed_names, partly_trained
from wardround_client.networks._slices import OWN as OWN
from wardround_client.networks._slices import Slices as Slices
from wardround_client.networks._slices import of_own_image as of_own_image
from wardround_client.networks._standard import Standardised
from wardround_client.networks._stored import names_in as names_in
from wardround_client.networks._stored import read_weights as read_weights
from wardround_client.networks._vae import VariationalAutoEncoder as VariationalAutoEncoder
from wardround_client.networks._vae import class_means as class_means
from wardround_common.errors import PluginError, StudyError, WardroundError
from wardround_common.kinds import kind_of
from wardround_common.messages.parameters import Fixed, Layout, Vector, vector_digest
from wardround_common.plugins.blame import FAULTS
from wardround_common.plugins.names import is_plugin, package_of, part_of
from wardround_common.registry import is_own
from wardround_common.study.bundle import Bundle
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.model import Norm
from wardround_common.study.networks import NETWORKS
from wardround_common.study.plugins import admit
from wardround_common.tasks.generation import Generation
from wardround_common.tasks.registry import task_of

TRIED = 2
"""Images of a record of several on which a network is tried, or of each of its sequences."""
_SEEDING = threading.Lock()  # torch has one generator for all threads


def find(name: str) -> Network:
    """Return what a network's file says of it.

    Raises:
        StudyError: no network of this name is installed.
    """
    network = NETWORKS[name]
    if not isinstance(network, Network):
        where, part = f"plug-in {package_of(name)}", part_of(name)
        raise PluginError(f"its network {part!r} is no Network but {kind_of(network)}", where=where)
    return network


def check(name: str, dims: int, *, dense: bool, generates: bool = False, bundle: Bundle | None = None) -> None:
    """Check that a network gives what a task reads, of images of ``dims`` dimensions; else import those that would.

    ``bundle``: what defines it, where it is a bundle's.

    Raises:
        StudyError: it is not, or no network of this name is installed.
    """
    network = find(name) if bundle is None else network_of(bundle)
    given, wanted = _given(network), said_of(dense=dense, generates=generates)
    if given == wanted and dims in network.dims:
        return
    fit = [other for other in NETWORKS if _given(find(other)) == wanted and dims in find(other).dims]
    if given != wanted:
        why = f"this network says something of {given}, and the study's task reads something of {wanted}"
    else:
        made = " and ".join(f"{each}" for each in network.dims)
        why = f"this network is for images of {made} dimensions, and the study's have {dims}"
    raise StudyError(f"[model] network = '{name}': {why}", do=f"Choose {', '.join(fit)}." if fit else "")


def said_of(*, dense: bool, generates: bool) -> str:
    """Return what the outputs of a network, or those that a task reads, are of."""
    if generates:
        return "an image that it makes again"
    return "each place of an image" if dense else "the image as a whole"


def _given(network: Network) -> str:
    return said_of(dense=network.dense, generates=network.generates)


def build(study: Study, weights: bytes | None = None) -> nn.Module:
    """Build the study's network; the study's seed alone decides its first parameters.

    Input: (images, channels, image_size, image_size) float32 from 0 to 1, or one dimension more where the task is on
    volumes, or (records, channels, bag_size, …) where a record is several images, with one place more for a page of
    what else is known of it. Output: (images, outputs) logits, or (images, outputs, *size) where the task draws
    outlines.

    ``weights``: the file with which the study's network begins, if it does; without it the network has its form alone,
    for a model's file, or a trial.

    Raises:
        StudyError: the network is not for the study's task, or not installed, or the file is not the study's.
        ModelError: the file does not fit the network.
        PluginError: it is of a plug-in, and another one is installed than the study names, or it cannot be built.
    """
    admit(study, network=True)
    model, task = study.model, task_of(study.task)
    dims = task.dims(study.task)
    check(model.network, dims, dense=task.dense, generates=task.generates, bundle=model.bundle)
    return construct_for(study, model.seed, weights)


def construct_for(study: Study, seed: int, weights: bytes | None = None) -> nn.Module:
    """Build a network of the study's form, with the first parameters of a seed, and those of a file over them.

    Raises:
        StudyError: the study trains a part that the network has not, or draws latent numbers of which nothing is known.
    """
    model, dims = study.model, task_of(study.task).dims(study.task)
    section, slices = study.task, study.data.record == "slice"
    diffused = len(study.groups) if isinstance(section, Generation) and section.sampler == "diffusion" else 0
    outputs = FEATURES if study.data.bagged and not slices else study.outputs - diffused
    channels = study.data.inputs
    network = construct(model.network, channels, outputs, model.norm, seed=seed, dims=dims, bundle=model.bundle)
    with seeded(seed):
        if slices:
            network = Slices(network, outputs)
        elif study.data.bagged:
            data = study.data
            network = Bag(network, model.pooling or "attention", study.outputs, data.numbers, len(data.sequences))
        if diffused:
            if not isinstance(network, VariationalAutoEncoder):
                raise StudyError(
                    f"nothing is known of the latent numbers of '{model.network}'",
                    where="[task] sampler = 'diffusion'",
                    do="Choose vae or tiny-vae, or write sampler = 'prior'.",
                )
            network = LatentDiffusion(network, diffused)
    if weights is not None and model.weights is not None:
        put_weights(network, weights, model.weights, where=f"weights '{model.weights.name}'")
    with seeded(seed):
        made = partly_trained(network, body_of(network), model, outputs)
    return Standardised(made, study.data.inputs) if study.data.normalisation else made


def construct(
    name: str, channels: int, outputs: int, norm: Norm, *, seed: int, dims: int = 2, bundle: Bundle | None = None
) -> nn.Module:
    """Build a network by its name; the seed alone decides its first parameters.

    Input: (images, channels, *size) float32 from 0 to 1, with ``dims`` dimensions of size. Output: logits (images,
    outputs), or (images, outputs, *size) where the network is for segmentation.

    Raises:
        StudyError: no network of this name is installed.
    """
    of = find(name) if bundle is None else network_of(bundle)
    with seeded(seed):
        network = _built(name, of, channels, outputs, norm, dims)
    for place, module in list(network.named_modules()):
        if hasattr(module, "inplace"):
            module.inplace = False  # per-patient gradients need each layer's input as it was
        if isinstance(module, BATCH) and norm != "batch" and not (is_own(name) or is_plugin(name)):
            # MONAI's ResNet keeps batch normalisation in its shortcuts whatever norm it is given.
            network.set_submodule(place, normalisation(norm, module.num_features, dims))
    return network


def _built(name: str, of: Network, channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    if not is_plugin(name):
        return of.build(channels, outputs, norm, dims)
    where, what = f"plug-in {package_of(name)}", f"its network {part_of(name)!r}"
    try:
        network = of.build(channels, outputs, norm, dims)
    except WardroundError:
        raise
    except FAULTS as error:
        raise PluginError(
            f"{what} cannot be built: {type(error).__name__}: {error}",
            where=where,
            do=f"It was asked for {channels} channels, {outputs} outputs, norm = '{norm}' and {dims} dimensions.",
        ) from error
    if not isinstance(network, nn.Module):
        raise PluginError(f"{what} is no torch.nn.Module but {kind_of(network)}", where=where)

    def check_shape(module: nn.Module, given: tuple[torch.Tensor, ...], made: object) -> None:
        records, _, *space = given[0].shape
        wanted = (records, outputs, *(space if of.dense else ()))
        if not isinstance(made, torch.Tensor) or made.shape != wanted:
            that = tuple(made.shape) if isinstance(made, torch.Tensor) else kind_of(made)
            raise PluginError(f"{what} gives {that} in place of {wanted} numbers", where=where)

    network.register_forward_hook(check_shape)
    return network


def places_of(data: Data) -> tuple[int, ...]:
    """Return how many places a record of several images has on which a network is tried, few; none of an image.

    How layers are joined does not hang on it.
    """
    if not data.bagged:
        return ()
    images = data.places if data.record == "slice" else TRIED * (len(data.sequences) or 1)
    return (images + (data.numbers > 0),)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from ``seed``, alone in this process; afterwards its generator goes on as if nothing had been."""
    with _SEEDING:
        rng_state = torch.get_rng_state()
        try:
            torch.manual_seed(seed)
            yield
        finally:
            torch.set_rng_state(rng_state)


def layout_of(network: nn.Module) -> Layout:
    """Name what is trained of a network: its floating-point tensors in their order, buffers included.

    Where a part of it alone is trained, that part.
    """
    return _layout(_tensors(network))


def fixed_of(network: nn.Module) -> Fixed | None:
    """Return what a study never changes of its network; None where everything is trained."""
    if fixed_names(network) is None:
        return None
    tensors = _fixed(network)
    return Fixed(_layout(tensors), _vector(tensors.values()))


def first_digest(network: nn.Module, layout: Layout, parameters: Vector) -> str:
    """Return the digest of what a study begins with: of these parameters, and of what is fixed beside them."""
    fixed = fixed_of(network)
    return vector_digest(parameters) if fixed is None else fixed.digest_with(layout, parameters)


def read_whole(content: bytes, study: Study, network: nn.Module, *, where: str) -> Vector:
    """Read a study's whole ``model.safetensors``: return what is trained, and put what is fixed into the network.

    Raises:
        ModelError: it is no model of Wardround, or of another study or network.
    """
    fixed, layout = _fixed(network), layout_of(network)
    everything = _layout({**_tensors(network), **fixed})
    vector = read_weights(content, study, everything, where=where)
    with torch.no_grad():
        for name, shape, part in everything.slices():
            if name in fixed:
                fixed[name].copy_(torch.from_numpy(vector[part].reshape(shape)))
    return vector[: layout.size]


def _layout(tensors: Mapping[str, torch.Tensor]) -> Layout:
    return Layout(tuple(tensors), tuple(tuple(tensor.shape) for tensor in tensors.values()))


def read_vector(network: nn.Module, layout: Layout | None = None) -> Vector:
    """Copy the network's parameters, or those of a layout, into one vector (parameters,) float32."""
    tensors = _tensors(network)
    return _vector(tensors.values() if layout is None else [tensors[name] for name in layout.names])


def _vector(tensors: Collection[torch.Tensor]) -> Vector:
    parts = [tensor.detach().reshape(-1).to(torch.float32) for tensor in tensors]
    if not parts:
        return np.empty(0, np.float32)
    return torch.cat(parts).cpu().numpy()  # one copy from a card, which is waited for once


def write_vector(network: nn.Module, layout: Layout, vector: Vector) -> None:
    """Copy a vector (parameters,) float32 into the network."""
    tensors = _tensors(network)
    if not layout.names:
        return
    flat = torch.from_numpy(np.ascontiguousarray(vector)).to(next(iter(tensors.values())).device)
    with torch.no_grad():
        for name, shape, part in layout.slices():
            tensors[name].copy_(flat[part].view(shape))


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    # BatchNorm's count of batches is an integer: it steers a running mean and means nothing when averaged.
    fixed, state = fixed_names(network) or frozenset(), network.state_dict().items()
    return {name: tensor for name, tensor in state if tensor.is_floating_point() and name not in fixed}


def _fixed(network: nn.Module) -> dict[str, torch.Tensor]:
    fixed = fixed_names(network) or frozenset()
    return {name: tensor for name, tensor in network.state_dict().items() if name in fixed}
