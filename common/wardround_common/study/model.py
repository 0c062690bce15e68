"""``[model]``: the network, what it begins with, and which part of it learns."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from wardround_common.section import Section
from wardround_common.study.bundle import Bundle, is_bundle
from wardround_common.study.networks import NetworkName
from wardround_common.study.start import Start
from wardround_common.study.weights import Weights

Norm = Literal["group", "instance", "batch"]
Trains = Literal["all", "head", "adapters"]
Pooling = Literal["attention", "mean", "recurrent"]
"""attention: weights that are learnt, by image · mean: the same weight for each · recurrent: one after the other, in
order of time and along each series."""


class Model(Section):
    """``[model]``: the network, and its first parameters: those that the seed gives, or those of a released model."""

    LATER: ClassVar[tuple[str, ...]] = ("start", "pooling", "train", "rank", "weights", "bundle")

    network: NetworkName
    norm: Norm = "group"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    pooling: Pooling | None = None
    """Of records of several images: how what the network says of each is brought together; None: by attention."""
    train: Trains = "all"
    """all: every weight · head: the last layer alone · adapters: the last layer, and low-rank additions to the others.

    What is not trained stays what the seed gives, and never travels after the first message."""
    rank: Annotated[int, Field(ge=1, le=256)] | None = None
    """Of the adapters, and only there: how many directions each adds to its layer."""
    start: Start | None = None
    """``[model.start]``: the released model whose weights the first round begins with; None: what the seed gives."""
    weights: Weights | None = None
    """``[model.weights]``: a file of weights learnt elsewhere, with which the network begins; None: no file."""
    bundle: Bundle | None = None
    """``[model.bundle]``: what a MONAI bundle says of the network, where ``network`` names that."""

    @model_validator(mode="after")
    def _trained_part(self) -> Model:
        faults = []
        if self.bundle is None and is_bundle(self.network):
            faults.append(
                f"[model] network = '{self.network}': [model.bundle] is missing, which defines it; append it: "
                "wardround study bundle FOLDER >> FILE"
            )
        if self.bundle is not None and self.bundle.network != self.network:
            faults.append(
                f"[model] network = '{self.network}': [model.bundle] defines '{self.bundle.network}'; write that name, "
                "or remove the section"
            )
        if self.weights is not None and self.start is not None:
            faults.append("[model.weights]: [model.start] has all weights already; remove one of them")
        if self.train == "adapters" and self.rank is None:
            faults.append("[model] rank: this key is missing, such as rank = 4: how many directions an adapter adds")
        if self.train != "adapters" and self.rank is not None:
            faults.append(f"[model] rank = {self.rank}: train = '{self.train}' has no adapters; remove it")
        if self.train != "all" and self.norm == "batch":
            faults.append(
                f"[model] norm = 'batch': with train = '{self.train}' its running means would change in layers that "
                "are to stay as they are; write norm = 'group'"
            )
        if self.train != "all" and self.start is not None:
            faults.append(
                f"[model] train = '{self.train}': the weights of [model.start] come with the first round, and only "
                "what is trained would; write train = 'all'"
            )
        if faults:
            raise ValueError(*faults)
        return self
