"""A trained model as a folder that a hospital can use: weights, study, and what must be known of them.

The form is the same after a simulation and a deployment (docs/prediction.md). What is read is checked by digest: the
weights are those that the run made, and the study is the one with whose preparation they were trained. Its other files,
and who vouches for them all, are those of a release (``documents/model_release.py``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from wardround_common.errors import CHECK_FILE, StorageError, StudyError
from wardround_common.results.site import Amount, Count, Name, Point, Rate, Record
from wardround_common.results.unlike import UNLIKE, Unlike, parse_unlike
from wardround_common.study.file import Study, read_study
from wardround_common.study.start import Start

MODEL, STUDY, CARD = "model.safetensors", "study.toml", "model.json"
FORMAT: Final = "wardround model folder 1"
MOST_CARD_BYTES = 2**20
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Judgement(Record):
    """How the model does on the test patients of all hospitals: every metric of the task, None where undefined."""

    patients: Count | None
    images: Count
    metrics: dict[Name, float | None]


class PrivacyClaim(Record):
    """What the training cost the patients: the most that one of them spent, and against whom it holds."""

    epsilon: Amount
    delta: Rate
    trust: Literal["local", "distributed"]
    statement: Annotated[str, Field(min_length=1, max_length=1000)]
    """The same in words, with what it rests on."""


class Card(Record):
    """``model.json``: what must be known of a model besides its study and its weights."""

    format: Literal["wardround model folder 1"] = FORMAT
    name: Name
    """That of the run."""
    wardround: Name
    """The version that wrote the folder."""
    engine: Name
    """'deployment', or how it was simulated."""
    task: Name
    classes: tuple[Name, ...]
    study_digest: Digest
    start: Start | None = None
    """The released model that its training started from, and the studies behind that one; None: from the seed."""
    trainers: tuple[Name, ...] = ()
    """The hospitals that took part in the training and whose ledgers hold what it cost; none of a simulation."""
    rounds: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]
    """The round after which the model was as it is here, or those of whose models it is the mean."""
    point: Point | None
    """The operating point, or one for each finding, on the model's own probabilities, chosen on validation
    patients; None if there is none."""
    temperature: Annotated[float, Field(gt=0)] | None
    """What the log-odds are divided by for a calibrated probability, fitted on the same validation sums; None where
    none could be fitted: probabilities are then the model's own, and said to be uncalibrated."""
    validation_images: Count | None
    """How many images both were chosen on; None where it is not published."""
    privacy: PrivacyClaim | None
    """None without differential privacy: the model may remember patients."""
    judgement: Judgement | None
    """None where no test patient judged the model, or too few to be published."""
    unlike: Amount | None = None
    """The distance beyond which an image is unlike those of the training; None where the model does not tell."""
    files: dict[Name, Digest]
    """SHA-256 of every other file of the folder that goes with the model."""

    def content(self) -> bytes:
        """Return the file's bytes."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """A model's folder whose parts fit each other."""

    path: Path = field(repr=False)
    card: Card
    study: Study
    weights: bytes = field(repr=False)
    """The content of ``model.safetensors``."""
    unlike: Unlike | None = None
    """By what it tells that an image is unlike those of its training; None where it does not."""


def read_model_folder(folder: Path) -> ModelFolder:
    """Read a model's folder.

    Raises:
        StorageError: a file is missing, was changed or is of another version, or this is no such folder.
        StudyError: the study cannot be read by this version.
    """
    card = _card(folder)
    if unlisted := sorted({MODEL, STUDY} - card.files.keys()):
        raise StorageError(f"the card does not list {unlisted[0]}", where=str(folder / CARD), do=_AGAIN)
    content = {name: _content(folder, name) for name in card.files}
    for name, found in content.items():
        if hashlib.sha256(found).hexdigest() != card.files[name]:
            raise StorageError(
                "this file is not the one that the model's card lists", where=str(folder / name), do=_AGAIN
            )
    try:
        study = read_study(folder / STUDY)
    except StudyError as error:
        if not error.do:
            error.do = _VERSION
        raise
    if study.digest() != card.study_digest:
        raise StorageError("the study is not the one that the card names", where=str(folder / STUDY), do=_AGAIN)
    if card.start != study.model.start:
        raise StorageError("the card names another model to start from", where=str(folder / CARD), do=_AGAIN)
    if (card.task, card.classes) != (study.task.name, study.groups):
        raise StorageError("the card names other classes than the study", where=str(folder / CARD), do=_AGAIN)
    unlike = parse_unlike(content[UNLIKE], folder / UNLIKE) if UNLIKE in content else None
    return ModelFolder(folder, card, study, content[MODEL], unlike)


_AGAIN = "Ask for the folder again: 'wardround export RUN' or 'wardround coordinator export DIR RUN' writes it."
_VERSION = "Read it with the version of Wardround that wrote it."


def _content(folder: Path, name: str) -> bytes:
    path = folder / name
    if Path(name).name != name or name == "..":
        raise StorageError("the card lists a file outside its folder", where=str(path), do=_AGAIN)
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"the model's {path.name} cannot be read ({error.strerror})", where=str(path), do=_AGAIN
        ) from None


def _card(folder: Path) -> Card:
    path = folder / CARD
    try:
        with path.open("rb") as file:
            text = file.read(MOST_CARD_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        what = f"there is no model here: {CARD} is missing" if folder.is_dir() else "there is no such folder"
        raise StorageError(
            "this is a file, and a model is a folder" if folder.is_file() else what,
            where=str(folder),
            do="Name the folder that 'wardround export RUN' or 'wardround coordinator export DIR RUN' wrote.",
        ) from None
    except OSError as error:
        raise StorageError(
            f"the model's card cannot be read ({error.strerror})", where=str(path), do=CHECK_FILE
        ) from None
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        stated = _format_of(text)
        if stated not in (FORMAT, None):
            raise StorageError(
                f"this model's folder is of the format {stated!r}, not {FORMAT!r}", where=str(path), do=_VERSION
            ) from None
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise StorageError(
            f"the model's card is broken: {place or 'all'}: {fault['msg']}", where=str(path), do=_AGAIN
        ) from None


def _format_of(text: bytes) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    found = value.get("format") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
