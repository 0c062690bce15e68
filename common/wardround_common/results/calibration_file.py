"""A hospital's own recalibration of a released model, as a small file that stays there: tied to the model's digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from wardround_common.errors import StorageError
from wardround_common.metrics.recalibration import Recalibration
from wardround_common.results.model_folder import MODEL, Card, Digest
from wardround_common.results.site import Count, Name, Rate, Record

FORMAT: Final = "wardround calibration 1"
MOST_BYTES = 2**16


class Calibration(Record):
    """What ``predict --calibration`` applies in the place of the release's temperature and operating point."""

    format: Literal["wardround calibration 1"] = FORMAT
    model: Digest
    """SHA-256 of the model's weights file."""
    name: Name
    """That of the model, for people."""
    wardround: Name
    """The version that fitted it."""
    classes: tuple[Name, ...]
    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    biases: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]
    """One for each class, the first 0."""
    point: Rate | None
    """The operating point on the recalibrated probability of the finding; None of more than two classes."""
    patients: tuple[Count, ...]
    """On how many patients of each class it was fitted."""

    @model_validator(mode="after")
    def _one_for_each_class(self) -> Self:
        if not len(self.classes) == len(self.biases) == len(self.patients):
            raise ValueError("there must be one bias and one number of patients for each class")
        return self

    @property
    def recalibration(self) -> Recalibration:
        """What is applied to the model's own probabilities."""
        return Recalibration(self.slope, self.biases)

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content()).hexdigest()

    def content(self) -> bytes:
        """Return the file's bytes."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def read_calibration(path: Path, card: Card) -> Calibration:
    """Read a hospital's calibration of a model.

    Raises:
        StorageError: it cannot be read, is of another model, or is no such file.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StorageError(
            f"the calibration cannot be read ({error.strerror})",
            where=str(path),
            do="Name the file that 'wardround evaluate MODEL FOLDER --recalibrate FILE' wrote.",
        ) from None
    try:
        found = Calibration.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise StorageError(
            f"this is no calibration of a model: {place or 'all'}: {fault['msg']}",
            where=str(path),
            do="Name the file that 'wardround evaluate MODEL FOLDER --recalibrate FILE' wrote.",
        ) from None
    if found.model != card.files[MODEL]:
        raise StorageError(
            f"this calibration is of the model '{found.name}' {found.model[:12]}, and this is '{card.name}' "
            f"{card.files[MODEL][:12]}",
            where=str(path),
            do="Recalibrate this model: wardround evaluate MODEL FOLDER --recalibrate FILE",
        )
    if found.classes != card.classes:
        raise StorageError("this calibration is of other classes than the model's", where=str(path))
    return found
