"""Weights that were learnt elsewhere, from a local file: safetensors, or what ``torch.save`` wrote of a state dict.

A file of torch is read with ``weights_only``: it can hold tensors, numbers and words, and no code.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import nn

from wardround_client.networks._layers import Copy
from wardround_client.networks._network import inside
from wardround_common.errors import ModelError, StudyError
from wardround_common.messages.parameters import metadata_of, weights_digest
from wardround_common.study.weights import Weights

MOST_NAMED = 8
"""Tensors that an error lists."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
"""Keys under which training programs keep a state dict beside other things."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What a batch normalisation keeps besides scale and shift."""
OUTSIDE = "not of the network inside: "
"""What no tensor of a file begins with."""
ANOTHER_FILE = "Give a file of tensors: safetensors, or what torch.save wrote of a state dict."


@dataclass(frozen=True)
class Match:
    """What a file gives of a network."""

    given: Mapping[str, torch.Tensor] = field(repr=False)
    """By the network's names."""
    seeded: tuple[str, ...]
    unused: tuple[str, ...]
    converted: int

    @property
    def digest(self) -> str:
        """The digest of what is given."""
        return weights_digest({name: tensor.detach().numpy() for name, tensor in self.given.items()})


def read_tensors_of(content: bytes, *, where: str) -> dict[str, torch.Tensor]:
    """Read a file's tensors by their names.

    Raises:
        ModelError: it is no such file, or a model of Wardround, whose training cost patients.
    """
    if content[:2] == b"PK":
        found = _of_torch(content, where)
    else:
        try:
            found = dict(load_safetensors(content))
        except (SafetensorError, ValueError, KeyError, OverflowError):
            raise ModelError("this is no file of weights", where=where, do=ANOTHER_FILE) from None
        try:
            trained = "wardround" in metadata_of(content)
        except (ValueError, KeyError, TypeError):
            trained = False
        if trained:
            raise ModelError(
                "this is a model that a study of Wardround trained, and what its training cost patients counts",
                where=where,
                do="Start from its release: wardround study start MODEL_FOLDER.",
            )
    return {name: tensor for name, tensor in found.items() if tensor.is_floating_point()}


def _of_torch(content: bytes, where: str) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError, AttributeError):
        raise ModelError(
            "this file of torch holds more than tensors, or is damaged, and nothing of it is run",
            where=where,
            do="Save its state dict: torch.save(network.state_dict(), FILE), or as safetensors.",
        ) from None
    for key in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ModelError("this file of torch holds no state dict", where=where, do=ANOTHER_FILE)
    tensors = {name: tensor for name, tensor in found.items() if isinstance(tensor, torch.Tensor)}
    if not tensors:
        raise ModelError("this file of torch holds no tensors by name", where=where, do=ANOTHER_FILE)
    return tensors


def matched(
    network: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    rename: Sequence[tuple[str, str]],
    new: Sequence[str],
    *,
    where: str,
) -> Match:
    """Match a file's tensors with a network's, by their names; ``new`` are beginnings of those that the seed gives.

    Raises:
        ModelError: a tensor has another shape than the network's, or numbers that are not finite; two have one name;
            or nothing matches.
    """
    called_ours = _names_for(network, [_renamed(name, rename) for name in tensors])
    ours = {called_ours(name): (name, tensor) for name, tensor in network.state_dict().items()}
    wanted = {name: of for name, of in ours.items() if of[1].is_floating_point()}
    theirs: dict[str, tuple[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        called = _renamed(name, rename)
        if called in theirs:
            raise ModelError(f"two tensors of the file would be {called}", where=where, do="Name each once in rename.")
        theirs[called] = (name, tensor)
    given: dict[str, torch.Tensor] = {}
    seeded, wrong, used = [], [], set()
    for called, (name, tensor) in wanted.items():
        if called not in theirs or any(name.startswith(start) or called.startswith(start) for start in new):
            seeded.append(name)
            continue
        source, values = theirs[called]
        used.add(source)
        if values.shape != tensor.shape:
            wrong.append(f"its {source} is {_shape(values)}, and the network's {name} is {_shape(tensor)}")
        elif not torch.isfinite(values).all():
            wrong.append(f"{source} has numbers that are not finite")
        else:
            given[name] = values.to(torch.float32)
    if wrong:
        more = f", and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise ModelError(
            f"the file does not fit the network: {'; '.join(wrong[:MOST_NAMED])}{more}",
            where=where,
            do="Leave those to the seed (--new BEGINNING), or set network, classes or channels to the file's.",
        )
    if not given:
        known, asked = ", ".join(sorted(tensors)[:3]), ", ".join(sorted(wanted)[:3])
        raise ModelError(
            f"no tensor of the file has a name of the network: it has {known} …, and the network {asked} …",
            where=where,
            do="Say what the beginnings of its names are in the network: --rename THEIRS=OURS.",
        )
    unused, converted = [], set()
    for called, (name, _) in theirs.items():
        layer, _, last = called.rpartition(".")
        if name in used:
            continue
        if last in STATISTICS and f"{layer}.weight" in wanted and called not in wanted:
            converted.add(layer)
        else:
            unused.append(name)
    return Match(given, tuple(sorted(seeded)), tuple(sorted(unused)), len(converted))


def put_weights(network: nn.Module, content: bytes, weights: Weights, *, where: str) -> None:
    """Put a file's weights into a network, as the study says.

    Raises:
        StudyError: it is another file, or gives other tensors than the study says.
        ModelError: it does not fit the network.
    """
    if hashlib.sha256(content).hexdigest() != weights.file:
        raise StudyError(
            f"this is not the file of weights '{weights.name}': its SHA-256 is not that of the study",
            where=where,
            do="Give the file that the study names.",
        )
    match = matched(network, read_tensors_of(content, where=where), weights.rename, weights.seeded, where=where)
    same = (match.digest, match.seeded, match.unused) == (weights.tensors, weights.seeded, weights.unused)
    if not same:
        raise StudyError(
            f"the file of weights '{weights.name}' gives other tensors of the network than [model.weights] says",
            where=where,
            do="Write the section anew: wardround weights match STUDY FILE.",
        )
    tensors = network.state_dict()
    with torch.no_grad():
        for name, values in match.given.items():
            tensors[name].copy_(values)


def _renamed(name: str, rename: Sequence[tuple[str, str]]) -> str:
    for theirs, ours in rename:
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name


def _names_for(network: nn.Module, theirs: Sequence[str]) -> Callable[[str], str]:
    """Return what a tensor of the network is called in a file with these names.

    A file of a network for single images names what one that was made of it has inside, and nothing of the rest.
    """
    start = f"{inside(network)}."
    whole = start == "." or any(name.startswith(start) for name in theirs)

    def called(name: str) -> str:
        common = _common_name(network, name)
        if whole:
            return common
        return common.removeprefix(start) if common.startswith(start) else f"{OUTSIDE}{common}"

    return called


def _common_name(network: nn.Module, name: str) -> str:
    """Return the name that a tensor has in the network as others write it, where a copy follows its layer here."""
    parts, module, found = name.split("."), network, []
    for part in parts[:-1]:
        copied = isinstance(module, nn.Sequential) and len(module) == 2 and isinstance(module[1], Copy)
        if not copied:
            found.append(part)
        module = module.get_submodule(part)
    return ".".join([*found, parts[-1]])


def _shape(tensor: torch.Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "one number"
