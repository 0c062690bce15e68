"""The study file: one TOML document that says what is trained, how, and what it costs in privacy.

It is parsed once into frozen models; its canonical form has a SHA-256, the *study digest*, which hospitals approve
and every message carries. A key that is not known is an error that names the nearest one that is.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wardround_common.errors import StudyError

Network = Literal["small-cnn", "resnet18", "resnet50", "densenet121", "efficientnet-b0"]
Norm = Literal["group", "instance", "batch"]
Strategy = Literal["fedavg", "fedprox", "fedadam", "fedyogi", "fedadagrad"]
Intensity = Literal["percentile", "window", "range"]
Augmentation = Literal["flip", "shift", "rotate", "scale", "intensity"]

ADAPTIVE = ("fedadam", "fedyogi", "fedadagrad")

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """One table of the study file: frozen, with no key beside those that it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class About(Section):
    """``[study]``: what the study is called and what it asks of an image."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    """Lower-case letters, digits and hyphens; it names the run's folder."""
    task: Literal["classification"]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=100, strict=False)]
    """The label words, in order. With two classes the second one is the finding."""

    @model_validator(mode="after")
    def _classes_differ(self) -> About:
        if len(set(self.classes)) != len(self.classes) or not all(name.strip() == name != "" for name in self.classes):
            raise ValueError("classes must be different, non-empty words")
        return self


class Data(Section):
    """``[data]``: which images are taken, and the form that the network sees."""

    modalities: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """DICOM Modality values such as MR, CR, DX, CT; ``OTHER`` also takes PNG, JPEG, TIFF and NIfTI."""
    image_size: Annotated[int, Field(ge=16, le=1024)]
    """Height and width in pixels; the aspect is kept and the rest is padded."""
    intensity: Intensity
    """percentile: 0.5 to 99.5 % become 0 to 1 · window: the file's VOI LUT or window · range: minimum to maximum."""
    channels: Literal[1, 3] = 1


class Model(Section):
    """``[model]``: the network and the seed of its first parameters."""

    network: Network
    norm: Norm = "group"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class Training(Section):
    """``[training]``: rounds, local work, optimiser, and how updates become the next model."""

    strategy: Strategy
    rounds: Annotated[int, Field(ge=1, le=100_000)]
    local_epochs: Annotated[float, Field(gt=0, le=100)]
    """Passes over a hospital's training images in a round; 0.5 is half of its batches, the next round goes on."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    """Images a step; under dp-sgd the expected number of *patients* a step."""
    optimiser: Literal["sgd", "adamw"]
    learning_rate: Positive
    schedule: Literal["constant", "cosine"] = "constant"
    """Of the learning rate over the rounds: cosine falls to a hundredth of it by the last round."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    class_weights: Annotated[tuple[Positive, ...], Field(strict=False)] | None = None
    """One weight of the loss for each class; stated by the study, so that no hospital's class balance leaks."""
    augmentations: Annotated[tuple[Augmentation, ...], Field(strict=False)] = ()
    proximal_mu: Positive | None = None
    """fedprox only: the weight of half the squared distance to the round's first parameters."""
    server_learning_rate: Positive | None = None
    beta_1: Annotated[float, Field(ge=0, lt=1)] | None = None
    beta_2: Annotated[float, Field(ge=0, lt=1)] | None = None
    tau: Positive | None = None
    """fedadam, fedyogi, fedadagrad: the degree of adaptivity, the epsilon of the adaptive step."""

    @model_validator(mode="after")
    def _strategy_keys(self) -> Training:
        needed: dict[str, tuple[str, ...]] = {
            "fedprox": ("proximal_mu",),
            "fedadam": ("server_learning_rate", "beta_1", "beta_2", "tau"),
            "fedyogi": ("server_learning_rate", "beta_1", "beta_2", "tau"),
            "fedadagrad": ("server_learning_rate", "beta_1", "tau"),
        }
        wanted = needed.get(self.strategy, ())
        for key in ("proximal_mu", "server_learning_rate", "beta_1", "beta_2", "tau"):
            given = getattr(self, key) is not None
            if key in wanted and not given:
                raise ValueError(f"strategy {self.strategy!r} needs the key {key!r}")
            if given and key not in wanted:
                raise ValueError(f"strategy {self.strategy!r} does not use the key {key!r}; remove it")
        if self.optimiser == "adamw" and self.momentum:
            raise ValueError("optimiser 'adamw' does not use the key 'momentum'; remove it")
        return self


class NoPrivacy(Section):
    """``[privacy] mechanism = "none"``: no differential privacy; the model may remember patients."""

    mechanism: Literal["none"]


class DpSgd(Section):
    """``[privacy] mechanism = "dp-sgd"``: each hospital adds enough noise on its own; the unit is the patient."""

    mechanism: Literal["dp-sgd"]
    epsilon: Positive
    delta: Fraction
    clip_norm: Positive
    """The most that one patient contributes to a step: the L2 norm to which a patient's gradient is clipped."""
    images_per_patient: Annotated[int, Field(ge=1, le=1000)] = 1
    """A sampled patient contributes the mean gradient over up to so many of their images."""


class Aggregation(Section):
    """``[aggregation]``: how many hospitals must answer before a sum is used."""

    min_hospitals: Annotated[int, Field(ge=1, le=1000)]


class Evaluation(Section):
    """``[evaluation]``: how patients are split, and at which operating point the model is judged."""

    validation: Fraction
    """Fraction of a hospital's patients that choose the operating point."""
    test: Fraction
    """Fraction of a hospital's patients that are never trained on nor chosen by."""
    sensitivity: Fraction = 0.9
    """The operating point: the highest threshold that reaches this sensitivity on the validation patients."""

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> Evaluation:
        if self.validation + self.test >= 0.9:
            raise ValueError("validation + test must stay below 0.9, or no patients are left to train on")
        return self


class Study(Section):
    """A whole study; an instance is valid."""

    study: About
    data: Data
    model: Model
    training: Training
    privacy: Annotated[NoPrivacy | DpSgd, Field(discriminator="mechanism")]
    aggregation: Aggregation
    evaluation: Evaluation

    @model_validator(mode="after")
    def _sections_agree(self) -> Study:
        if self.model.norm == "batch" and self.privacy.mechanism == "dp-sgd":
            raise ValueError(
                "model.norm = 'batch' cannot be private: batch normalisation mixes the images of a batch, so that one "
                "patient changes every other patient's gradient and no clipping bounds what one patient contributes. "
                "Use norm = 'group'"
            )
        weights = self.training.class_weights
        if weights is not None and len(weights) != len(self.study.classes):
            raise ValueError(
                f"training.class_weights has {len(weights)} values for {len(self.study.classes)} classes; give one each"
            )
        return self

    def canonical(self) -> bytes:
        """Give the one byte form of this study: JSON, every key with its value, sorted, no spaces, UTF-8."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()

    def digest(self) -> str:
        """Give the study digest, 64 hexadecimal digits: what hospitals approve and messages carry."""
        return hashlib.sha256(b"wardround study 1\n" + self.canonical()).hexdigest()


def read_study(path: Path) -> Study:
    """Read a study file; every fault in it is named at once.

    Raises:
        StudyError: the file cannot be read, is not TOML, or says something that is not a study.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"the study file cannot be read ({_os_reason(error)})",
            where=str(path),
            do="Write one with 'wardround study new NAME'.",
        ) from None
    return parse_study(text, where=str(path))


def parse_study(text: str, *, where: str = "study") -> Study:
    """Parse the TOML text of a study; ``where`` names it in errors."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"this is not TOML: {error}", where=where, do="Mend the line that it names.") from None
    try:
        return Study.model_validate(tables)
    except ValidationError as error:
        faults = list(_faults(error))
        raise StudyError(
            "the study cannot be used:\n" + "\n".join(f"  · {fault}" for fault in faults),
            where=where,
            do="Mend the file, then 'wardround study check' it.",
        ) from None


def _os_reason(error: Exception) -> str:
    return error.strerror or "no reason given" if isinstance(error, OSError) else "it is not UTF-8 text"


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        path = [part for part in fault["loc"] if part not in ("none", "dp-sgd")]
        section, key = (str(path[0]) if path else ""), ".".join(str(part) for part in path[1:])
        place = f"[{section}] {key}".strip() if section else "the study"
        kind, given = fault["type"], fault.get("input")
        if kind == "extra_forbidden":
            name = key or section
            yield f"{place}: there is no such {'key' if key else 'section'}{_nearest(name, _names(section, key))}"
        elif kind == "missing":
            yield f"{place}: this {'key' if key else 'section'} is missing"
        elif kind == "literal_error":
            allowed = fault.get("ctx", {}).get("expected", "")
            near = difflib.get_close_matches(str(given), re.findall(r"'([^']*)'", allowed), n=1)
            yield f"{place} = {given!r}: not one of {allowed}" + (f"; did you mean {near[0]!r}?" if near else "")
        elif kind == "union_tag_invalid":
            yield f"[privacy] mechanism = {(given or {}).get('mechanism')!r}: not one of 'none', 'dp-sgd'"
        elif kind == "union_tag_not_found":
            yield "[privacy] mechanism: this key is missing; 'none' or 'dp-sgd'"
        elif kind == "string_pattern_mismatch":
            yield f"{place} = {given!r}: lower-case letters, digits and hyphens only, at most 64"
        elif kind == "value_error":
            yield f"{place + ': ' if section else ''}{fault['ctx']['error']}"
        else:
            message = fault["msg"][:1].lower() + fault["msg"][1:]
            yield f"{place} = {given!r}: {message.replace('input should be', 'it must be')}"


def _names(section: str, key: str) -> list[str]:
    if not key:
        return list(Study.model_fields)
    annotation: Any = Study.model_fields[section].annotation
    models = [annotation] if isinstance(annotation, type) else list(get_args(annotation))
    return sorted({name for model in models for name in model.model_fields})


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}" if known else ""
