"""A model that was opened from its folder: the study's network with the weights that the run made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from wardround_client import networks
from wardround_client.site_shift.parts import complete
from wardround_client.training.devices import CPU, enough_memory, make_ready
from wardround_common.documents.model_release import check_files
from wardround_common.results.calibration_file import Calibration, read_calibration
from wardround_common.results.model_folder import MODEL, Card, read_model_folder
from wardround_common.results.unlike import Unlike
from wardround_common.study.file import Study


@dataclass(frozen=True, eq=False)
class Model:
    """A network that is ready to be asked, and what must be known of it."""

    study: Study
    card: Card
    network: nn.Module = field(repr=False)
    unlike: Unlike | None = None
    """By what it tells that an image is unlike those of its training; None where it does not."""
    calibration: Calibration | None = None
    """The hospital's own, in the place of the release's temperature and operating point; None: the release's."""


def open_model(folder: Path, device: str = CPU, calibration: Path | None = None) -> Model:
    """Open a model's folder and build its network on a device that :func:`devices.choose` has chosen.

    ``calibration``: a file of the hospital's own recalibration of this model.

    Raises:
        StorageError: a file of the folder is missing, was changed or is of another version, or the calibration is of
            another model.
        MessageError: the list of its files is signed, and the signature is not valid.
        StudyError: this version does not have the study's task or network.
        ModelError: the weights are not those of the study's network.
    """
    found = read_model_folder(folder)
    check_files(folder)
    own = None if calibration is None else read_calibration(calibration, found.card)
    network = networks.build(found.study)
    complete(network, found.study, found.weights, where=str(folder / MODEL))
    make_ready(device)
    with enough_memory():
        network.to(device)
    return Model(found.study, found.card, network.eval(), found.unlike, own)
