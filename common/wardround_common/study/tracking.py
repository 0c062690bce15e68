"""``[tracking]``: where the coordinator keeps each round's figures besides its own report."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainValidator, model_validator

from wardround_common.plugins.names import is_plugin
from wardround_common.section import Section

LONGEST_ADDRESS = 500


def _a_place(value: object) -> bool | str:
    """Take true, false, or an address that names a server and nothing secret."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        with suppress(ValueError):  # what urllib refuses is not an address
            parts = urlsplit(value)
            named = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
            bare = not (parts.username or parts.password or parts.query or parts.fragment)
            if named and bare and len(value) <= LONGEST_ADDRESS and re.fullmatch(r"[!-~]+", value):
                return value
    raise ValueError(
        "it must be true, which keeps the figures in the run's folder, false, or the address of a server such as "
        "'https://mlflow.example.org', without a name, a password or a key in it: those go into the coordinator's "
        "environment (MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
    )


def _a_part(name: str) -> str:
    if not is_plugin(name):
        raise ValueError("a sink is a part of a plug-in, named 'PACKAGE:PART' (docs/plugins.md)")
    return name


PluginPart = Annotated[str, AfterValidator(_a_part)]


class Tracking(Section):
    """``[tracking]``: where the coordinator keeps each round's figures besides its own report."""

    mlflow: Annotated[bool | str, PlainValidator(_a_place)] = False
    """true: in the run's folder. An address: also sent to the MLflow server there."""
    tensorboard: bool = False
    """As TensorBoard's events in the run's folder."""
    wandb: bool = False
    """As files of Weights & Biases in the run's folder; nothing is sent."""
    sink: PluginPart | None = None
    """A plug-in's part of the group ``wardround.sinks``, which writes the same figures; it runs at no hospital."""

    hospitals: bool = False
    """Each hospital's own losses and headline as well, by its name; only where sums are not secure."""

    LATER: ClassVar[tuple[str, ...]] = ("wandb", "sink", "hospitals")

    @model_validator(mode="after")
    def _hospitals_go_somewhere(self) -> Self:
        if self.hospitals and not (self.mlflow or self.tensorboard or self.wandb or self.sink):
            raise ValueError(
                "'hospitals' = true says that each hospital's figures are written, and nothing says where: add mlflow, "
                "tensorboard, wandb or sink, or remove it"
            )
        return self

    @property
    def server(self) -> str | None:
        """The address of the MLflow server that figures are sent to, if there is one."""
        return self.mlflow if isinstance(self.mlflow, str) else None
