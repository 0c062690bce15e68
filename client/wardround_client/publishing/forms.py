"""The other forms of a model that an export writes into its folder: ``wardround.release_forms``.

Each is compared with the network itself; one that cannot be made, or answers otherwise, is left out and said. What
another program needs besides the network (how an image is prepared, what the outputs mean) is in the MONAI bundle.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from wardround_client.prediction.model import Model, open_model
from wardround_client.publishing import graphs
from wardround_client.publishing.bundle import BAGGED, GENERATES, contents, why_not
from wardround_client.publishing.checking import largest_difference
from wardround_client.training.threads import use_threads
from wardround_common.errors import ModelError, PluginError
from wardround_common.results.model_folder import read_model_folder
from wardround_common.results.parts import Part
from wardround_common.storage import write_atomically
from wardround_common.tasks.registry import task_of

ONNX, BUNDLE = "model.onnx", "bundle"
EXTRA = "wardround[export]"
Contents = dict[str, bytes]
"""Files by their names in the model's folder."""


def write_onnx(folder: Path) -> Part:
    """Write a model as ONNX, if the packages that write and try it are installed and it answers as the model does.

    Raises:
        StorageError: a file of the folder cannot be read or written.
    """
    if lacking := [package for package in ("onnx", "onnxruntime") if importlib.util.find_spec(package) is None]:
        return Part(
            name="ONNX",
            said=f"It needs {' and '.join(lacking)}, which are not installed where the model was exported: "
            f"pip install '{EXTRA}', and export it again.",
        )
    return _written(folder, _made("ONNX", folder, onnx_of))


def write_bundle(folder: Path) -> Part:
    """Write a model as a MONAI bundle, which needs no Wardround, if its TorchScript answers as the model does.

    Raises:
        StorageError: a file of the folder cannot be read or written.
    """
    return _written(folder, _made("MONAI bundle", folder, bundle_of))


def onnx_of(model: Model) -> tuple[Part, Contents]:
    """Return a model as ONNX, or why there is none: what is said of it, and its files."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    if model.study.data.bagged:
        return Part(name="ONNX", said=BAGGED), {}
    if task_of(model.study.task).generates:
        return Part(name="ONNX", said=GENERATES), {}
    name, refusals = "ONNX", (faults.Fail, faults.InvalidArgument, faults.InvalidGraph, faults.NotImplemented)
    try:
        content = graphs.onnx(model.network, model.study)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

        def ask(images: torch.Tensor) -> torch.Tensor:
            (found,) = session.run([graphs.OUTPUT], {graphs.INPUT: images.numpy()})
            return torch.from_numpy(np.asarray(found))

        apart, accepted = largest_difference(model.network, ask, model.study, name)
    except ModelError as error:
        return Part(name=name, said=_sentence(error.what)), {}
    except (*refusals, faults.RuntimeException) as error:
        return Part(name=name, said=_sentence(f"ONNX Runtime refuses its network: {str(error)[:200]}")), {}
    part = Part(
        name=name,
        files=(ONNX,),
        said=f"Input '{graphs.INPUT}' {_shape(model)} float32 from 0 to 1, prepared as the study says; output "
        f"'{graphs.OUTPUT}', before softmax. An image with a value that is not a number gives none. Tried with ONNX "
        f"Runtime {onnxruntime.__version__}.",
        largest_difference=apart,
        tolerance=accepted,
    )
    return part, {ONNX: content}


def bundle_of(model: Model) -> tuple[Part, Contents]:
    """Return a model as a MONAI bundle, or why there is none: what is said of it, and its files."""
    name = "MONAI bundle"
    if why := why_not(model.study):
        return Part(name=name, said=why), {}
    try:
        script = graphs.torchscript(model.network, model.study)
        apart, accepted = largest_difference(model.network, graphs.read_torchscript(script), model.study, "TorchScript")
    except ModelError as error:
        return Part(name=name, said=_sentence(error.what)), {}
    inside = {**contents(model.study, model.card), "models/model.ts": script}
    files = {f"{BUNDLE}/{file}": inside[file] for file in sorted(inside)}
    part = Part(
        name=name,
        files=tuple(files),
        said="Run it in its folder: python -B -m monai.bundle run --config_file configs/inference.json --dataset_dir "
        "IMAGES --output_dir OUT. It needs MONAI, fire, and what reads the images (docs/README.md in it).",
        largest_difference=apart,
        tolerance=accepted,
    )
    return part, files


def _written(folder: Path, made: tuple[Part, Contents]) -> Part:
    part, files = made
    for file, content in files.items():
        write_atomically(folder / file, content)
    return part


def _sentence(what: str) -> str:
    return f"{what[0].upper()}{what[1:]}."


def _made(name: str, folder: Path, make: Callable[[Model], tuple[Part, Contents]]) -> tuple[Part, Contents]:
    """Make a form of the model in a folder; none of one that tells nothing without a hospital's own part.

    Nor is there one where a plug-in of its study is not installed: a coordinator needs none that has only networks
    and steps.
    """
    measure = read_model_folder(folder).study.training.measure
    if measure and not measure.usable:
        return Part(name=name, said=measure.outside), {}
    try:
        model = _opened(folder)
    except PluginError as error:
        said = f"{_sentence(error.what)} With that package where the model is exported, export it again."
        return Part(name=name, said=said), {}
    return make(model)


def _opened(folder: Path) -> Model:
    model = open_model(folder)
    use_threads(model.study)
    return model


def _shape(model: Model) -> str:
    data = model.study.data
    return f"({', '.join([graphs.BATCH, *map(str, (data.inputs, *data.extent))])})"
