"""A released model that a study starts from: what the study says of it, and whether the folder is that model."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from wardround_common.errors import ModelError, StudyError, listed
from wardround_common.messages.parameters import Layout, Vector, check_model, metadata_of, weights_digest
from wardround_common.plugins.names import package_of
from wardround_common.results.comparison import RESULTS, read_results
from wardround_common.results.model_folder import CARD, MODEL, ModelFolder, read_model_folder
from wardround_common.results.record import DEPLOYED
from wardround_common.study.file import Study, parse_canonical
from wardround_common.study.plugins import STEPS_KEY
from wardround_common.study.start import Start, Trained
from wardround_common.study.template import toml_value

Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Released:
    """A released model as a study starts from it."""

    start: Start
    """What the study must say."""
    study: Study = field(repr=False)
    """By which it was trained."""
    content: bytes = field(repr=False)
    """Of its ``model.safetensors``."""


def read_released(folder: Path) -> Released:
    """Read a model's folder as something to start from.

    Raises:
        StorageError: a file is missing, was changed or is of another version, or this is no such folder.
        StudyError: its study cannot be read by this version, or no study can name it.
        ModelError: its weights are not those of a model.
    """
    found = read_model_folder(folder)
    try:
        return _released(found, folder)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise StudyError(
            f"no study can start from this model: {'.'.join(map(str, fault['loc']))}: {fault['msg']}",
            where=str(folder / CARD),
            do="Ask for a release of the model whose card has no such value.",
        ) from None


def _released(found: ModelFolder, folder: Path) -> Released:
    card = found.card
    tensors = read_tensors(found.weights, card.study_digest, where=str(folder / MODEL))
    cost = card.privacy
    trained = Trained(
        study=card.study_digest,
        name=card.name,
        hospitals=_payers(found),
        epsilon=cost.epsilon if cost else None,
        delta=cost.delta if cost else None,
    )
    before = found.study.model.start.trained if found.study.model.start else ()
    start = Start(
        name=card.name,
        model=hashlib.sha256(found.weights).hexdigest(),
        weights=weights_digest(tensors),
        trained=(trained, *before),
    )
    return Released(start, found.study, found.weights)


def _payers(found: ModelFolder) -> tuple[str, ...]:
    """Name the hospitals whose ledgers hold what the training cost: none of a simulation, which has no ledgers left."""
    if found.card.engine != DEPLOYED:
        return ()
    if found.card.trainers:
        return found.card.trainers
    if RESULTS in found.card.files:  # of an older release, whose card does not say
        return read_results(found.path).trainers
    return tuple(one.name for one in found.study.roster if found.study.trains(one.name))


def study_of(content: bytes, *, where: str) -> Study:
    """Return the study by which a ``model.safetensors`` was trained, as its header says.

    Raises:
        ModelError: it does not say.
        StudyError: this version cannot read it.
    """
    try:
        text = json.loads(metadata_of(content)["wardround"])["study"]
    except (ValueError, KeyError, TypeError):
        raise ModelError("this is not a model of Wardround", where=where, do="Ask for the model again.") from None
    return parse_canonical(str(text).encode(), where=where)


def read_tensors(content: bytes, study_digest: str, *, where: str) -> Tensors:
    """Read the tensors of a ``model.safetensors`` of that study.

    Raises:
        ModelError: it is none, or of another study.
    """
    check_model(content, study_digest, where=where)
    try:
        return dict(load(content))
    except (SafetensorError, ValueError, KeyError):
        raise ModelError("this is not a model of Wardround", where=where, do="Ask for the model again.") from None


def start_toml(start: Start) -> str:
    """Write the tables that a study file needs to start from a model."""
    lines = ["[model.start]"]
    for key in ("name", "model", "weights"):
        lines.append(f"{key} = {toml_value(getattr(start, key))}")
    for one in start.model_dump(mode="json", exclude_none=True)["trained"]:
        lines += ["[[model.start.trained]]", *(f"{key} = {toml_value(value)}" for key, value in one.items())]
    return "\n".join(lines) + "\n"


def check_start(study: Study, released: Released, *, where: str) -> bytes:
    """Check that a folder's model is the one that a study starts from, and fits it; return its file.

    Raises:
        StudyError: the study starts from nothing or from another model, or differs in what a network's weights mean.
    """
    start = study.model.start
    if start is None:
        raise StudyError(
            "the study does not say that it starts from a model",
            do="Add what says so to the study file, by which hospitals approve it: "
            f"wardround study start {shlex.quote(where)} >> STUDY.toml",
        )
    if start != released.start:
        different = [key for key in Start.model_fields if getattr(start, key) != getattr(released.start, key)]
        raise StudyError(
            f"the study starts from the model '{start.name}' with {start.model[:12]}, and this is "
            f"'{released.start.name}' with {released.start.model[:12]} ({', '.join(different)} differ)",
            where=where,
            do="Name the folder of that model. For this one, replace [model.start] by what "
            f"'wardround study start {shlex.quote(where)}' prints.",
        )
    if faults := list(_unfit(study, released.study)):
        raise StudyError(
            f"the study cannot start from the model '{start.name}':\n{listed(faults)}",
            do="Give the study what the model was trained with, or train from the beginning: remove [model.start].",
            faults=faults,
        )
    return released.content


def _unfit(study: Study, before: Study) -> Iterator[str]:
    """Say in what a study differs from that of the model it starts from so that weights would mean something else."""
    now, then = study.task, before.task
    if now.name != then.name:
        yield f"[task] name = {toml_value(now.name)}: the model was trained for '{then.name}'"
        return
    if study.groups != before.groups:
        new = [word for word in study.groups if word not in before.groups]
        gone = [word for word in before.groups if word not in study.groups]
        parts = [f"new: {', '.join(new)}" if new else "", f"missing: {', '.join(gone)}" if gone else ""]
        why = "; ".join(filter(None, parts)) or "another order"
        yield (
            f"[task] classes = {toml_value(study.groups)}: the model tells apart {', '.join(before.groups)}, in this "
            f"order ({why}); each output of its last layer is one of them"
        )
    elif now != then:
        keys = [key for key in type(now).model_fields if getattr(now, key) != getattr(then, key)]
        yield f"[task] {', '.join(keys)}: not as the model was trained"
    for key in ("network", "norm"):
        mine, theirs = getattr(study.model, key), getattr(before.model, key)
        if mine != theirs:
            yield f"[model] {key} = {toml_value(mine)}: the model has '{theirs}'"
    if study.data.inputs != before.data.inputs:
        yield f"[data] channels: the study has {study.data.inputs}, and the model {before.data.inputs}"
    elif study.data.series != before.data.series:
        kind = "sequences" if study.data.sequences else "channels"
        yield f"[data] series: the {kind} are not those that the model was trained with"
    if study.data.variables != before.data.variables:
        yield "[data] variables: they are not those that the model was trained with"


def prepared_otherwise(study: Study, before: Study) -> Iterator[str]:
    """Say what of a study's images is prepared in another way than those that its model was trained with."""
    for key in ("modalities", "image_size", "intensity", "spacing_mm", "patch_size", "record"):
        mine, theirs = getattr(study.data, key), getattr(before.data, key)
        if mine != theirs:
            yield f"{key} is {toml_value(mine)}, and was {toml_value(theirs)}"
    if study.data.steps != before.data.steps:
        mine, theirs = ("; ".join(one.said for one in of.data.steps) or "none" for of in (study, before))
        yield f"steps are: {mine}, and were: {theirs}"
    elif (now := _pins_of_steps(study)) != (then := _pins_of_steps(before)):
        yield f"steps are those of {', '.join(now)}, and were those of {', '.join(then)}"


def _pins_of_steps(study: Study) -> list[str]:
    packages = {package_of(name) for key, name in study.plugin_parts if key == STEPS_KEY}
    return [str(one.named) for one in study.plugin if one.package in packages]


def first_vector(content: bytes, start: Start, layout: Layout) -> Vector:
    """Return a model's weights as the vector of a layout: (parameters,) float32.

    Raises:
        ModelError: the file is not the one that the study pins, or the network has other tensors.
    """
    where = f"the model '{start.name}'"
    if hashlib.sha256(content).hexdigest() != start.model:
        raise ModelError("this is not the file that the study starts from", where=where, do="Give its folder again.")
    tensors = read_tensors(content, start.trained[0].study, where=where)
    if weights_digest(tensors) != start.weights:
        raise ModelError("the weights are not those that the study starts from", where=where)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != dict(zip(layout.names, layout.shapes, strict=True)):
        raise ModelError(
            "the study's network has other tensors than the model that it starts from",
            where=where,
            do="Start from a model of the same network, made by the same versions of torch and MONAI.",
        )
    return layout.vector({name: tensors[name] for name in layout.names})
