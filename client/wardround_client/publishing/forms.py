"""The other forms of a model that an export writes into its folder: ``wardround.release_forms``.

Each is compared with the network itself before it is written. What another program needs besides the network (how an
image is prepared, what the outputs mean) is in the MONAI bundle.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from wardround_client.prediction.model import Model, open_model
from wardround_client.publishing import graphs
from wardround_client.publishing.bundle import contents, why_not
from wardround_client.publishing.checking import largest_difference
from wardround_client.training.threads import use_threads
from wardround_common.results.parts import Part
from wardround_common.storage import write_atomically

ONNX, BUNDLE = "model.onnx", "bundle"
EXTRA = "wardround[export]"


def write_onnx(folder: Path) -> Part:
    """Write a model as ONNX, if the packages that write and try it are installed.

    Raises:
        ModelError: ONNX Runtime answers otherwise than the network.
        StorageError: a file of the folder cannot be read or written.
    """
    name = "ONNX"
    lacking = [package for package in ("onnx", "onnxruntime") if importlib.util.find_spec(package) is None]
    if lacking:
        return Part(
            name=name,
            said=f"It needs {' and '.join(lacking)}, which are not installed where the model was exported: "
            f"pip install '{EXTRA}', and export it again.",
        )
    import onnxruntime

    model = _opened(folder)
    content = graphs.onnx(model.network, model.study)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def ask(images: torch.Tensor) -> torch.Tensor:
        (found,) = session.run([graphs.OUTPUT], {graphs.INPUT: images.numpy()})
        return torch.from_numpy(np.asarray(found))

    apart, accepted = largest_difference(model.network, ask, model.study, name)
    write_atomically(folder / ONNX, content)
    return Part(
        name=name,
        files=(ONNX,),
        said=f"Input '{graphs.INPUT}' {_shape(model)} float32 from 0 to 1, prepared as the study says; output "
        f"'{graphs.OUTPUT}', before softmax. An image with a value that is not a number gives none. Tried with ONNX "
        f"Runtime {onnxruntime.__version__}.",
        largest_difference=apart,
        tolerance=accepted,
    )


def write_bundle(folder: Path) -> Part:
    """Write a model as a MONAI bundle, which needs no Wardround.

    Raises:
        ModelError: the TorchScript in it answers otherwise than the network.
        StorageError: a file of the folder cannot be read or written.
    """
    name = "MONAI bundle"
    model = _opened(folder)
    if why := why_not(model.study):
        return Part(name=name, said=why)
    script = graphs.torchscript(model.network, model.study)
    apart, accepted = largest_difference(model.network, graphs.read_torchscript(script), model.study, "TorchScript")
    written = {**contents(model.study, model.card), "models/model.ts": script}
    for file, content in written.items():
        write_atomically(folder / BUNDLE / file, content)
    return Part(
        name=name,
        files=tuple(f"{BUNDLE}/{file}" for file in sorted(written)),
        said="Run it in its folder: python -m monai.bundle run --config_file configs/inference.json --dataset_dir "
        "IMAGES --output_dir OUT. It needs MONAI, fire, and what reads the images (docs/README.md in it).",
        largest_difference=apart,
        tolerance=accepted,
    )


def _opened(folder: Path) -> Model:
    model = open_model(folder)
    use_threads(model.study)
    return model


def _shape(model: Model) -> str:
    data = model.study.data
    return f"({', '.join([graphs.BATCH, *map(str, (data.inputs, *data.extent))])})"
