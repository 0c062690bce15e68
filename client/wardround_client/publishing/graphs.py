"""A network written down as a graph, which runs where its Python is not: TorchScript, and ONNX.

Both are traced with the extent of the images that the study trains on; the number of images in a batch stays open. ONNX
is written by torch's exporter from TorchScript: the newer one takes ten times as long, and needs one package more.
"""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from wardround_client.publishing.checking import images_for
from wardround_common.errors import ModelError
from wardround_common.study.file import Study

INPUT, OUTPUT, BATCH = "image", "logits", "images"


class Guarded(nn.Module):
    """A network whose outputs are not a number where a value of its image is none.

    ONNX Runtime's pooling passes over such a value (findings/onnxruntime-maxpool-nan.sh): a broken image would get a
    plausible answer.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the network's outputs, plus 0 for each sound image and NaN for another."""
        outputs: torch.Tensor = self.network(images)
        nothing = (images - images).flatten(1).sum(1)  # (images,)
        return outputs + nothing.reshape(-1, *(1 for _ in outputs.shape[1:]))


def torchscript(network: nn.Module, study: Study) -> bytes:
    """Return the network as TorchScript, without the lines of Python that made it.

    Raises:
        ModelError: it cannot be written down so, such as one of one's own.
    """
    content = io.BytesIO()
    with _written_down("TorchScript"):
        torch.jit.save(torch.jit.trace(network, images_for(study)[0], check_trace=False), content)  # type: ignore[no-untyped-call]
    return _without_sources(content)


def _without_sources(script: io.BytesIO) -> bytes:
    """Return TorchScript without its tables of Python calls: they name files on the machine that traced it."""
    content = io.BytesIO()
    with zipfile.ZipFile(script) as whole, zipfile.ZipFile(content, "w") as left:
        for entry in whole.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                left.writestr(entry, whole.read(entry))
    return content.getvalue()


def read_torchscript(content: bytes) -> Any:
    """Return a network of TorchScript."""
    with _quiet():
        return torch.jit.load(io.BytesIO(content)).eval()  # type: ignore[no-untyped-call]


def onnx(network: nn.Module, study: Study) -> bytes:
    """Return the network as ONNX, with its weights inside.

    Raises:
        ModelError: it cannot be written down so, such as one of one's own.
    """
    content = io.BytesIO()
    with _written_down("ONNX"):
        torch.onnx.export(
            Guarded(network).eval(),
            (images_for(study)[0],),
            content,  # type: ignore[arg-type]  # which the exporter takes as well
            dynamo=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: BATCH}, OUTPUT: {0: BATCH}},
        )
    return content.getvalue()


@contextmanager
def _written_down(form: str) -> Iterator[None]:
    """Say in one line why torch cannot write a network down."""
    try:
        with _quiet():
            yield
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:  # of torch's tracer and exporter
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[0][:200] if lines else type(error).__name__
        raise ModelError(f"its network cannot be written down as {form}: {why}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch says of sizes that become constants, as they should, and of a successor of TorchScript."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
