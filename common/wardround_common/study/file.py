"""The study file: one TOML document that says what is trained, how, and at what privacy cost.

It is parsed once into frozen models; its canonical form has a SHA-256, the *study digest*, which hospitals approve
and every message carries. A key that is not known is an error that names the nearest one that is.

A validator here that raises ``ValueError`` states one whole fault in each argument; ``study_faults`` puts the
section, the key and the given value before those that do not begin with ``[``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    Tag,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from wardround_common.arguments import checked
from wardround_common.errors import RoundError, StudyError
from wardround_common.one_form import one_form
from wardround_common.plugins.names import is_plugin, package_of
from wardround_common.registry import OWN_NAME, is_own
from wardround_common.secagg.thresholds import LARGEST_COHORT, threshold_of
from wardround_common.section import Decay, Fraction, NotNegative, Positive, Rate, Section, each_once
from wardround_common.site_shift.contract import Measure
from wardround_common.site_shift.registry import MEASURES, MeasureName
from wardround_common.strategies.contract import Strategy, Variates
from wardround_common.strategies.registry import STRATEGIES, STRATEGY_KEYS, StrategyName, strategy_of, users_of
from wardround_common.study.bundle import BEGINNING, Bundle, is_bundle, read_bundle
from wardround_common.study.faults import bad_toml, unreadable, validated
from wardround_common.study.maps import Maps
from wardround_common.study.networks import NetworkName
from wardround_common.study.plugins import STEPS_KEY, Plugin, let_task_in, plugin_here, unfit_plugins
from wardround_common.study.roster import HospitalName, Listed, in_order
from wardround_common.study.series import Wanted
from wardround_common.study.settings import put
from wardround_common.study.start import Start
from wardround_common.study.steps import MOST_STEPS, Stated, unfit_area, unfit_steps
from wardround_common.study.subgroups import Subgroups
from wardround_common.study.task_keys import BESIDE, unused_keys
from wardround_common.study.template import example, study_text, toml_value
from wardround_common.study.variables import MOST_VARIABLES, Variable
from wardround_common.study.weights import Weights
from wardround_common.tasks.contract import TaskSection
from wardround_common.tasks.measurement import Measurement
from wardround_common.tasks.registry import TASKS, task_of, task_section

OwnName = Annotated[str, Field(pattern=OWN_NAME.pattern + "$")]
Norm = Literal["group", "instance", "batch"]
Trains = Literal["all", "head", "adapters"]
Intensity = Literal["percentile", "window", "range", "steps"]
Augmentation = Literal["flip", "shift", "rotate", "scale", "elastic", "intensity", "shading", "blur", "noise"]

LONGEST_ADDRESS = 500

LARGEST_FILE_BYTES = 1024 * 1024
"""A study file is a few kilobytes, and more with a long roster; anything beyond this is refused before it is read."""

DOMAIN = b"wardround study 1\n"
"""Hashed before the canonical form, so that no other document can have a study's digest."""


Modality = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,15}$")]
BodyPart = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,15}$")]
SIZED = re.compile(r"[cdmnuµμ]?m[23²³]?|[cdmnuµμ]?[lL]|cc")
"""Units of lengths, areas and volumes."""
Millimetres = Annotated[float, Field(gt=0, le=100)]
Voxels = Annotated[int, Field(ge=8, le=512)]


class About(Section):
    """``[study]``: what the study is called."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    """Lower-case letters, digits and hyphens; it names the run's folder."""


NEXT = (-1, 0, 1)
"""What a slice is shown with, counted from its own along the series; the ends stand for what is beyond them."""
THROUGH = 8
"""And how many images of its whole series, at equal distances; of a shorter one some are shown twice."""


class Data(Section):
    """``[data]``: which images are taken, and the form that the network sees."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=100, strict=False)]
    """DICOM Modality values such as MR, CR, DX, CT; ``OTHER`` also takes PNG, JPEG, TIFF and NIfTI."""
    image_size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Of images and slices: height and width in pixels; the aspect is kept and the rest is padded."""
    intensity: Intensity
    """percentile: 0.5 to 99.5 % become 0 to 1 · window: the file's VOI LUT or window · range: minimum to maximum ·
    steps: as the steps leave it."""
    channels: Literal[1, 3] = 1
    body_parts: Annotated[tuple[BodyPart, ...], Field(max_length=20, strict=False)] = ()
    """DICOM BodyPartExamined values of which one is an image's, if its file states any; left out: all are taken."""
    series: Annotated[tuple[Wanted, ...], Field(max_length=16, strict=False)] = ()
    """``[[data.series]]``: the series that are taken of each patient, each a channel of what the network sees."""
    spacing_mm: Annotated[tuple[Millimetres, Millimetres, Millimetres], Field(strict=False)] | None = None
    """Of volumes: distance between voxels towards the head, the back and the left, to which they are resampled."""
    patch_size: Annotated[tuple[Voxels, Voxels, Voxels], Field(strict=False)] | None = None
    """Of volumes: extent of what the network sees at a time, in voxels of that spacing and in that order."""
    patches_per_volume: Annotated[int, Field(ge=1, le=1000)] = 4
    """Of volumes: how many patches are drawn of each in a pass; every other one lies around a structure."""
    record: Literal["image", "slice", "series", "patient"] = "image"
    """What the network says something of: each image alone, each among others of its series (a slice), or all
    images of a series or of a patient together (a bag)."""
    bag_size: Annotated[int, Field(ge=1, le=512)] = 32
    """Of a bag: how many images it has at most; of more, this many are taken at equal distances."""
    variables: Annotated[tuple[Variable, ...], Field(max_length=MOST_VARIABLES, strict=False)] = ()
    """Of a bag: what the network is told of the patient besides images; what is missing is told as missing."""

    normalisation: Literal["federation"] | None = None
    """federation: images are standardised by mean and deviation over all hospitals' training patients, which they add
    up once, before the first round; under dp-sgd with noise, for ``normalisation_epsilon``. None: from 0 to 1."""

    steps: Annotated[tuple[Stated, ...], Field(max_length=MOST_STEPS, strict=False)] = ()
    """What is done to each image before its intensities are scaled, in order; each is a step with its settings."""

    LATER: ClassVar[tuple[str, ...]] = (
        "image_size",
        "body_parts",
        "series",
        "spacing_mm",
        "patch_size",
        "patches_per_volume",
        "record",
        "bag_size",
        "variables",
        "normalisation",
        "steps",
    )

    @property
    def bagged(self) -> bool:
        """Whether a record is several images together."""
        return self.record != "image"

    @property
    def gathered(self) -> bool:
        """Whether a record is all images of a series or of a patient, which the network makes one of."""
        return self.record in ("series", "patient")

    @property
    def cut_alike(self) -> bool:
        """Whether a step that cuts single images cuts all of a series alike, since they are looked at side by side."""
        return self.record in ("slice", "series") or bool(self.sequences)

    @property
    def sequences(self) -> tuple[Wanted, ...]:
        """Of a bag: the series that it takes, each of which has its own places; empty where it takes all alike."""
        return self.series if self.bagged else ()

    @property
    def share(self) -> int:
        """Of a bag: how many places a sequence has, or all images where they are not told apart."""
        return len(NEXT) + THROUGH if self.record == "slice" else self.bag_size // (len(self.sequences) or 1)

    @property
    def places(self) -> int:
        """Of a bag: how many places a record has for images."""
        return self.share * (len(self.sequences) or 1)

    @property
    def told(self) -> tuple[str, ...]:
        """The inputs of a record that may be missing, by name: each can be withheld to see what it is worth."""
        return (*(one.role for one in self.sequences), *(one.name for one in self.variables))

    @property
    def numbers(self) -> int:
        """How many numbers the network is told of a record besides its images; of a slice its place in the series."""
        return 1 if self.record == "slice" else sum(one.width for one in self.variables)

    @property
    def inputs(self) -> int:
        """How many channels the study's network sees."""
        return self.channels if self.bagged else len(self.series) or self.channels

    @property
    def extent(self) -> tuple[int, ...]:
        """What the network is trained on at a time: (rows, columns), or (slices, rows, columns) of a patch."""
        return self.patch_size or (self.square, self.square)

    @property
    def square(self) -> int:
        """Height and width of an image or slice.

        Raises:
            StudyError: the study is of volumes, which keep their own extents.
        """
        if self.image_size is None:
            raise StudyError("this study is of volumes, which have no image_size")
        return self.image_size

    @field_validator("series")
    @classmethod
    def _roles_differ(cls, series: tuple[Wanted, ...]) -> tuple[Wanted, ...]:
        each_once(tuple(one.role for one in series))
        return series

    @field_validator("variables")
    @classmethod
    def _names_differ(cls, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
        each_once(tuple(one.name for one in variables))
        return variables

    @field_validator("modalities", "body_parts")
    @classmethod
    def _words_differ(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(words)


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


if TYPE_CHECKING:

    class _StrategyKeys(Section):
        pass

else:
    # The keys of all installed strategies, none of which a study must have; `_unfit_keys` says which belong together.
    _StrategyKeys = create_model(
        "_StrategyKeys", __base__=Section, **{key.name: (key.kind | None, None) for key in STRATEGY_KEYS.values()}
    )


def _settings(given: object) -> tuple[tuple[str, float], ...]:
    """Read the settings of a plug-in's strategy, in the order of their names."""
    pairs = list(given.items()) if isinstance(given, dict) else list(given) if isinstance(given, tuple) else None
    if pairs is None or len(pairs) > MOST_SETTINGS:
        raise ValueError("settings are a table of names and numbers, such as { step = 0.5 }")
    for name, value in pairs:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or not number:
            raise ValueError("settings are a table of names and numbers, such as { step = 0.5 }")
    return tuple(sorted((name, float(value) + 0.0) for name, value in pairs))


MOST_SETTINGS = 50


class Training(_StrategyKeys):
    """``[training]``: rounds, local work, optimiser, and how updates become the next model."""

    LATER: ClassVar[tuple[str, ...]] = (
        "threads",
        "micro_batch",
        "own_loss",
        "settings",
        "focal_gamma",
        "sampling",
        "count_classes",
        "personal",
        "ditto_lambda",
        "local_steps",
    )

    strategy: StrategyName
    rounds: Annotated[int, Field(ge=1, le=100_000)]
    local_epochs: Annotated[float, Field(gt=0, le=100)] | None = None
    """Passes over a hospital's training images in a round; 0.5 is half of its batches, the next round goes on.

    None under ``trust = "distributed"``, where a round is one step, and where ``local_steps`` are stated.
    """
    local_steps: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Steps of each hospital in a round, in the place of passes: the same number at each, whatever it has of images."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    """Images a step; under dp-sgd the expected number of *patients* a step; under ``trust = "distributed"`` of all
    hospitals together: the constant by which the sum of gradients is divided."""
    optimiser: Literal["sgd", "adamw"]
    learning_rate: Rate
    schedule: Literal["constant", "cosine"] = "constant"
    """Of the learning rate over the rounds: cosine falls to a hundredth of it by the last round."""
    momentum: Decay = 0.0
    weight_decay: NotNegative = 0.0
    class_weights: Annotated[tuple[Rate, ...], Field(strict=False)] | None = None
    """One weight of the loss for each class; stated by the study, so that no hospital's class balance leaks."""
    count_classes: bool = False
    """Whether weights of the classes follow from how many training images of each all hospitals have: they add them up
    once, before the first round (without differential privacy only)."""
    focal_gamma: Annotated[float, Field(gt=0, le=10)] | None = None
    """The focal loss (Lin et al., ICCV 2017, equation 5): each image's loss times (1 - p)^gamma, where p is what the
    model gives the true class. None for the cross-entropy as it is."""
    sampling: Literal["all", "balanced"] = "all"
    """all: a pass takes each image once. balanced: as many draws, with replacement, of which each of the hospital's
    classes is as likely (without differential privacy only)."""
    personal: MeasureName | None = None
    """What each hospital keeps of the model for itself (``site_shift``); None: all of it is shared."""
    ditto_lambda: Rate | None = None
    """personal = "ditto" only: the weight of half the squared distance between the hospital's own model and the shared
    one that the round began with."""
    augmentations: Annotated[tuple[Augmentation, ...], Field(strict=False)] = ()
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads that each hospital computes with, whatever it has of cores: another number rounds sums otherwise, and so
    gives another model."""

    micro_batch: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Images that go through the network at once, at most; a step is still that of its whole batch, whose gradients are
    added up. None: all of them at once."""

    own_loss: OwnName | None = None
    """The name of a researcher's own loss, which only a simulation with its code can have; None for the task's."""
    settings: Annotated[tuple[tuple[str, float], ...], PlainValidator(_settings), PlainSerializer(dict)] = ()
    """What the strategy of a plug-in is given, by the names that it declares."""

    @field_validator("augmentations")
    @classmethod
    def _augmentations_differ(cls, augmentations: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(augmentations)

    @property
    def passes(self) -> float:
        """Passes over a hospital's training images in a round, of a study whose hospitals train on their own.

        Raises:
            StudyError: the study states steps, or a round of it is one step.
        """
        if self.local_epochs is None:
            raise StudyError("a round of this study is a number of steps, and no number of passes")
        return self.local_epochs

    @property
    def how(self) -> Strategy:
        """How updates become the next model."""
        return strategy_of(self.strategy)

    @property
    def measure(self) -> Measure | None:
        """What each hospital keeps of the model for itself; None: nothing."""
        return None if self.personal is None else MEASURES[self.personal]

    @property
    def variates(self) -> Variates | None:
        """How hospitals' steps are corrected by what each keeps, if they are; by no strategy of a plug-in."""
        return None if is_plugin(self.strategy) else self.how.variates

    @property
    def keeps(self) -> bool:
        """Whether each hospital keeps something from round to round, in its state folder."""
        return self.measure is not None or self.variates is not None

    @property
    def values(self) -> dict[str, float]:
        """The values of the strategy's own keys."""
        if is_plugin(self.strategy):
            return dict(self.settings)
        return {key.name: getattr(self, key.name) for key in self.how.keys}

    @property
    def proximal(self) -> float:
        """The weight of half the squared distance to the round's first parameters in the local loss; 0 for none."""
        return self.values[self.how.proximal] if self.how.proximal else 0.0

    @model_validator(mode="after")
    def _keys_fit(self) -> Training:
        if faults := list(_unfit_keys(self)):
            raise ValueError(*faults)
        return self


def _unfit_keys(training: Training) -> Iterator[str]:
    """Name the keys that the strategy or the optimiser needs and has not, or has and does not use."""
    if training.settings and not is_plugin(training.strategy):
        yield "[training] settings: only the strategy of a plug-in uses this key; remove it"
    if is_plugin(training.strategy):  # what it needs, its code says, which may not be here
        for key in sorted(STRATEGY_KEYS):
            if (value := getattr(training, key)) is not None:
                yield (
                    f"[training] {key} = {value!r}: what the strategy of a plug-in needs stands in settings; remove "
                    f"it, or write settings = {{ {key} = {value!r} }}"
                )
        return
    if training.strategy not in STRATEGIES:  # own code that is not here: nobody knows its keys
        return
    wanted = [key.name for key in training.how.keys]
    for key in sorted(STRATEGY_KEYS):
        value = getattr(training, key)
        if key in wanted and value is None:
            yield f"[training] {key}: strategy '{training.strategy}' needs this key, such as {example('training', key)}"
        if key not in wanted and value is not None:
            yield (
                f"[training] {key} = {value!r}: strategy '{training.strategy}' does not use this key "
                f"({', '.join(users_of(key))} would); remove it or change the strategy"
            )
    if training.variates:
        yield from _unfit_variates(training)
    if training.optimiser == "adamw" and training.momentum:
        yield f"[training] momentum = {training.momentum!r}: optimiser 'adamw' does not use this key; remove it"
    if (part := training.learning_rate * training.weight_decay) >= 1:
        yield (
            f"[training] weight_decay = {training.weight_decay!r}: with learning_rate = {training.learning_rate!r} a "
            f"step would take {part:g} times each weight off itself, and leave nothing of it; their product must be "
            "below 1"
        )
    if training.measure and training.measure.name == "ditto" and training.ditto_lambda is None:
        such = example("training", "ditto_lambda")
        yield f"[training] ditto_lambda: personal = 'ditto' needs this key, such as {such}"
    if training.ditto_lambda is not None and training.personal != "ditto":
        yield f"[training] ditto_lambda = {training.ditto_lambda!r}: only personal = 'ditto' uses this key; remove it"
    if training.own_loss and training.class_weights is not None:
        yield "[training] class_weights: a loss of one's own does not use this key; remove it"
    if training.count_classes and training.class_weights is not None:
        yield "[training] class_weights: count_classes = true gives the weights; remove one of the two"
    if training.own_loss and training.count_classes:
        yield "[training] count_classes: a loss of one's own does not use this key; remove it"
    if training.own_loss and training.focal_gamma is not None:
        yield "[training] focal_gamma: a loss of one's own does not use this key; remove it"


def _unfit_variates(training: Training) -> Iterator[str]:
    """Name the keys with which a control variate would not be the mean gradient of a hospital's steps."""
    named = f"strategy '{training.strategy}'"
    if training.optimiser != "sgd":
        yield (
            f"[training] optimiser = {training.optimiser!r}: {named} corrects gradients by how far the steps went, "
            "which tells the mean gradient of plain steps only; write optimiser = 'sgd'"
        )
    elif training.momentum:
        yield (
            f"[training] momentum = {training.momentum!r}: {named} corrects gradients by how far the steps went, which "
            "tells the mean gradient of steps without momentum only; remove it"
        )
    if training.local_epochs is not None:
        such = example("training", "local_steps")
        yield (
            f"[training] local_epochs = {training.local_epochs!r}: under {named} each hospital makes as many steps as "
            f"every other, so that no second vector has to leave; write local_steps in its place, such as {such}"
        )
    if training.personal:
        yield (
            f"[training] personal = '{training.personal}': {named} corrects the steps of a model that all hospitals "
            "share; remove it, or write strategy = 'fedavg'"
        )


def _not_of_local_work(training: Training) -> Iterator[str]:
    if training.local_epochs is None and training.local_steps is None:
        key = "local_steps" if training.variates else "local_epochs"
        yield f"[training] {key}: this key is missing, such as {example('training', key)}"
    if training.local_epochs is not None and training.local_steps is not None and not training.variates:
        yield (
            f"[training] local_steps = {training.local_steps}: local_epochs says how much a hospital does in a round; "
            "remove one of them"
        )


def _not_of_a_step(training: Training) -> Iterator[str]:
    """Name the keys of ``[training]`` that mean nothing where a round is one step and hospitals send gradients."""
    why = "trust = 'distributed' makes a round one step, from the sum of the hospitals' gradients"
    if training.local_epochs is not None:
        yield f"[training] local_epochs = {training.local_epochs!r}: {why}; remove it, and set the number of rounds"
    if training.local_steps is not None:
        yield f"[training] local_steps = {training.local_steps!r}: {why}; remove it, and set the number of rounds"
    if training.optimiser != "sgd":
        yield f"[training] optimiser = {training.optimiser!r}: {why}; write optimiser = 'sgd', or strategy = 'fedadam'"
    if training.momentum:
        yield f"[training] momentum = {training.momentum!r}: {why}; remove it, or write strategy = 'fedavgm'"
    if training.weight_decay:
        yield f"[training] weight_decay = {training.weight_decay!r}: {why}; remove it"
    if training.personal:
        yield (
            f"[training] personal = '{training.personal}': {why}, whose noise only the sum has enough of. What stays "
            "at a hospital would be trained without enough of it, and the next gradients would tell of it; write "
            "trust = 'local', or remove it"
        )
    if training.how.not_of_a_step:
        yield f"[training] strategy = '{training.strategy}': {why}, {training.how.not_of_a_step}"


def _not_of_private_steps(training: Training) -> Iterator[str]:
    """Name the keys of ``[training]`` that no accounting covers."""
    if training.count_classes:
        yield (
            "[training] count_classes = true: the counts would leave without noise, and one patient changes them; "
            "state class_weights, such as from how common the finding is elsewhere"
        )
    if training.sampling == "balanced":
        yield (
            "[training] sampling = 'balanced': a patient would be drawn more often the fewer others have the class, so "
            "that one patient more changes the chance of all others, and no accounting covers that. Every patient is "
            "drawn at one rate; write class_weights or focal_gamma, which change a patient's own loss alone"
        )


class NoPrivacy(Section):
    """``[privacy] mechanism = "none"``: no differential privacy; the model may remember patients."""

    mechanism: Literal["none"]


class DpSgd(Section):
    """``[privacy] mechanism = "dp-sgd"``: each hospital adds enough noise on its own; the unit is the patient."""

    LATER: ClassVar[tuple[str, ...]] = ("trust", "normalisation_epsilon")

    mechanism: Literal["dp-sgd"]
    trust: Literal["local", "distributed"] = "local"
    """local: an update may be read by anybody. distributed: only the secure sum may (:class:`DistributedDpSgd`)."""
    epsilon: Positive
    delta: Fraction
    clip_norm: Positive
    """The most that one patient contributes to a step: the L2 norm to which a patient's gradient is clipped."""
    images_per_patient: Annotated[int, Field(ge=1, le=1000)] = 1
    """A sampled patient contributes the mean gradient over up to this many of their images."""
    normalisation_epsilon: Positive | None = None
    """Of ``epsilon``: what the sums of ``[data] normalisation`` cost by themselves, before the first round."""


class DistributedDpSgd(DpSgd):
    """``trust = "distributed"``: each hospital adds its share of integer noise, and only the secure sum is ever read.

    See ``docs/distributed-privacy.md``.
    """

    LATER = ("normalisation_epsilon",)

    trust: Literal["distributed"]
    sampling_rate: Annotated[float, Field(gt=0, le=1)]
    """The chance of a patient to be in a step, the same at every hospital, so that epsilon is too."""
    dropouts: Annotated[int, Field(ge=0, le=98)]
    """How many hospitals of a round may drop out; if more do, no hospital opens its sum."""
    colluders: Annotated[int, Field(ge=0, le=98)]
    """How many hospitals may tell the coordinator their noise; the noise of the others is enough."""


def _mechanism(given: object) -> str | None:
    """Name the model of ``[privacy]`` that fits a table, by its mechanism and its trust."""
    if isinstance(given, Section):
        return {NoPrivacy: "none", DistributedDpSgd: "distributed"}.get(type(given), "dp-sgd")
    if not isinstance(given, dict) or "mechanism" not in given:
        return None
    if given["mechanism"] == "dp-sgd":
        return "distributed" if given.get("trust") == "distributed" else "dp-sgd"
    return "none" if given["mechanism"] == "none" else "unknown"


Privacy = Annotated[
    Annotated[NoPrivacy, Tag("none")]
    | Annotated[DpSgd, Tag("dp-sgd")]
    | Annotated[DistributedDpSgd, Tag("distributed")],
    Discriminator(_mechanism),
]


class Aggregation(Section):
    """``[aggregation]``: how many hospitals must answer before a sum is used, and how long they are waited for."""

    LATER: ClassVar[tuple[str, ...]] = ("deadline_minutes", "patience_minutes", "vote_margin", "clip_statements")

    min_hospitals: Annotated[int, Field(ge=1, le=1000)]
    secure: bool
    """Whether the coordinator reads sums only, never one hospital's numbers (docs/secagg.md)."""
    threshold: Annotated[int, Field(ge=2, le=1000)] | None = None
    """secure only: how many hospitals must open a sum, more than half of them; left out: about two thirds."""
    ring_bits: Literal[16, 32] | None = None
    """secure only: of each number of a masked update; left out: 32."""
    vote_margin: NotNegative | None = None
    """Nats. The hospitals vote on each round's next model: against it, if its mean loss on their validation patients is
    higher than the accepted model's by more than this. Half of the votes refuse it. None: there is no vote."""
    clip_statements: bool = False
    """secure only: each hospital signs, with each upload, to what it clipped; the coordinator keeps it."""
    update_clip: Positive | None = None
    """The largest size of one number of an update; left out: 4 if secure, else no limit."""
    largest_weight: Annotated[int, Field(ge=1, le=2**24)] | None = None
    """The training images with which one hospital weighs at most; left out: 65,536 if secure, else no limit."""
    deadline_minutes: Annotated[float, Field(gt=0, le=43_200)] = 1440.0
    """From when a round was asked: a hospital that works is waited for so long, and what comes later is dropped."""
    patience_minutes: Annotated[float, Field(ge=0.5, le=43_200)] = 10.0
    """A hospital that is not heard is waited for so long, if enough others answered; it says every ten seconds that
    it is there, also while it trains."""

    @property
    def bits(self) -> int:
        """The ring's bits, stated or not."""
        return self.ring_bits or 32

    @property
    def clip(self) -> float:
        """The largest size of one number of an update, stated or not."""
        return self.update_clip or 4.0

    @property
    def heaviest(self) -> int:
        """The largest weight, stated or not."""
        return self.largest_weight or 2**16

    @model_validator(mode="after")
    def _keys_fit(self) -> Aggregation:
        secure_only = ("threshold", "ring_bits", "clip_statements")
        faults = [
            f"[aggregation] {key} = {toml_value(getattr(self, key))}: only secure = true uses this key; remove it"
            for key in secure_only
            if not self.secure and getattr(self, key) not in (None, False)
        ]
        if self.secure and self.min_hospitals < 2:
            faults.append(
                f"[aggregation] min_hospitals = {self.min_hospitals}: a secure sum is over 2 hospitals or more; "
                "a sum over one is that hospital's own"
            )
        if faults:
            raise ValueError(*faults)
        return self


def _unfit_sums(privacy: DistributedDpSgd, aggregation: Aggregation) -> Iterator[str]:
    """Name what ``[aggregation]`` lacks for noise that only a sum has enough of."""
    if not aggregation.secure:
        yield (
            "[aggregation] secure = false: under trust = 'distributed' one hospital's noise is not enough by itself, "
            "so that only a secure sum may be read; write secure = true, or trust = 'local'"
        )
        return
    if privacy.colluders >= aggregation.min_hospitals:
        yield (
            f"[privacy] colluders = {privacy.colluders}: with min_hospitals = {aggregation.min_hospitals} a sum could "
            "have no noise but that of colluders; it must be below min_hospitals"
        )
    if aggregation.bits != 32:
        yield "[aggregation] ring_bits = 16: gradients with their noise need trust = 'local' or ring_bits = 32"
    for key in ("update_clip", "largest_weight"):
        if getattr(aggregation, key) is not None:
            yield (
                f"[aggregation] {key} = {getattr(aggregation, key)!r}: trust = 'distributed' does not use this key: "
                "clip_norm bounds a patient, and no weight is sent; remove it"
            )


class Evaluation(Section):
    """``[evaluation]``: how patients are split, and at which operating point the model is judged."""

    LATER: ClassVar[tuple[str, ...]] = (
        "every",
        "external",
        "keep",
        "average",
        "patience",
        "usual",
        "subgroups",
        "smallest_subgroup",
        "maps",
        "recalibrated",
        "withheld",
    )

    validation: Fraction
    """Fraction of a hospital's patients that choose the operating point."""
    test: Fraction
    """Fraction of a hospital's patients that are never trained on nor chosen by."""
    sensitivity: Fraction = 0.9
    """The operating point: the highest threshold that reaches this sensitivity on the validation patients."""
    every: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Rounds between evaluations of the model on validation patients; it is also evaluated after the last round."""
    external: Annotated[tuple[HospitalName, ...], Field(max_length=1000, strict=False)] = ()
    """Hospitals that only evaluate: none of their patients is trained on or chosen by, and all of them test the model,
    once, after the last round (external validation)."""

    keep: Literal["last", "best", "mean-of-last"] = "last"
    """The model that the run ends with: of the last round, of the best one by the headline metric on the validation
    patients, or the mean of the last ``average`` ones."""
    average: Annotated[int, Field(ge=2, le=1000)] | None = None
    """mean-of-last only: over how many rounds."""
    patience: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """best only: the run ends after this many evaluations without a better one."""
    usual: Annotated[float, Field(ge=0.5, lt=1)] | None = None
    """The part of new images that are to count as like those of validation patients; the model flags what is further
    from them (``metrics.unlike``). None: nothing of their features is summed, and it flags nothing."""
    subgroups: Annotated[tuple[Subgroups, ...], Field(max_length=8, strict=False)] = ()
    """By what the test patients are told apart: the model is judged on each subgroup, too."""
    smallest_subgroup: Annotated[int, Field(ge=5, le=10_000)] = 10
    """Patients of one hospital below which a subgroup is merged into "other" before its sums leave; sums over maps of
    fewer do not leave at all."""
    maps: Maps | None = None
    """How the kept model is explained at the hospitals, so that they add up how much of its maps lies in lesions."""
    recalibrated: bool = False
    """Whether hospitals also add up how the model does on their test patients if each recalibrates it on its own
    validation patients. A simulation shows it in any case."""

    withheld: bool = False
    """Whether hospitals also add up how the model does on their test patients with each input withheld: told as
    missing. A simulation shows it in any case."""

    @field_validator("subgroups")
    @classmethod
    def _subgroups_differ(cls, subgroups: tuple[Subgroups, ...]) -> tuple[Subgroups, ...]:
        each_once(tuple(one.name.casefold() for one in subgroups))
        return subgroups

    @model_validator(mode="after")
    def _keeps_fit(self) -> Evaluation:
        faults = [
            f"[evaluation] {key} = {value}: only keep = '{keep}' uses this key; remove it"
            for key, value, keep in (("average", self.average, "mean-of-last"), ("patience", self.patience, "best"))
            if value is not None and self.keep != keep
        ]
        if self.keep == "mean-of-last" and self.average is None:
            faults.append("[evaluation] average: keep = 'mean-of-last' needs this key, such as average = 5")
        if faults:
            raise ValueError(*faults)
        return self

    @field_validator("external")
    @classmethod
    def _external_ones_differ(cls, external: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(each_once(external)))  # their order means nothing, and must not change the digest

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> Evaluation:
        if self.validation + self.test >= 0.9:
            raise ValueError(
                f"[evaluation] validation = {self.validation!r}, test = {self.test!r}: their sum must stay below 0.9, "
                "or too few patients are left to train on; 0.15 and 0.2 are usual"
            )
        return self


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


def _unfit_series(data: Data, task: TaskSection) -> Iterator[str]:
    """Name what a task that takes series cannot do with single images, and the other way round."""
    if not task_of(task).takes_series(task):
        if data.bagged:
            yield from _unfit_sequences(data)
        elif data.series:
            yield (
                f"[data] series: the task '{task.name}' takes single images, and no series; write record = 'patient', "
                "or remove it"
            )
        return
    if data.intensity == "window":
        yield (
            "[data] intensity = 'window': intensities are scaled by a whole series, whose slices may propose windows "
            "that differ; write 'percentile' or 'range'"
        )
    if data.channels != 1:
        yield f"[data] channels = {data.channels}: each of [[data.series]] is one channel; remove it"


def _unfit_sequences(data: Data) -> Iterator[str]:
    """Name what a study whose records are several sequences cannot have."""
    if data.series and data.record != "patient":
        yield "[data] series: several series are one record with record = 'patient'; write that, or remove them"
    if len(data.series) == 1:
        yield "[data] series: one series alone is nothing to tell apart; name two or more, or remove it"
    if data.bag_size < len(data.series):
        yield f"[data] bag_size = {data.bag_size}: each of {len(data.series)} series needs a place; raise it"
    roles = {one.role for one in data.series}
    if twice := sorted(roles & {one.name for one in data.variables}):
        yield f"[data] variables: '{twice[0]}' is the name of a series, too; name it otherwise"


def _unfit_bags(data: Data, task: TaskSection) -> Iterator[str]:
    """Name what a study of records of several images cannot have."""
    if data.bagged and (why := unused_keys(task).get(("data", "record"))):
        yield f"[data] record = '{data.record}': {why}; remove it"
    together = data.record in ("series", "patient")
    if not together and data.bag_size != Data.model_fields["bag_size"].default:
        yield f"[data] bag_size = {data.bag_size}: this is a key of record = 'series' or 'patient'; remove it"
    if not together and data.variables:
        yield (
            "[data] variables: they are told of a record of several images, of which there may be one; write "
            "record = 'patient', or remove them"
        )
    answers = {one_form(name).strip().casefold() for name in task_of(task).answers(task)}
    for one in data.variables:
        if one_form(one.written_in).strip().casefold() in answers:
            yield (
                f"[data] variables: the column '{one.written_in}' of '{one.name}' is what the task '{task.name}' "
                "learns to tell: a model that is told it learns nothing else; remove it"
            )


def _unfit_keys_of(task: TaskSection, section: str, given: Section) -> Iterator[str]:
    """Name the keys of a section that are set and mean nothing to the study's task."""
    for place, why in task_of(task).unfit.items():
        of, _, key = place.partition(".")
        if of == section and (value := getattr(given, key)) != type(given).model_fields[key].default:
            written = value.model_dump(exclude_unset=True) if isinstance(value, Section) else value
            yield f"[{section}] {key} = {toml_value(written)}: with task '{task.name}' {why}"


def _why_uncut(task: TaskSection) -> str:
    """Say why no step may cut a study's images to a part of theirs; empty if one may."""
    if task_of(task).dims(task) == 3:
        return "volumes are cut to the body already"
    if isinstance(task, Measurement) and SIZED.fullmatch(task.unit):
        return (
            f"each image is enlarged by a factor of its own then, and a size in {task.unit} could not be told from it"
        )
    return ""


def _unfit_form(data: Data, task: TaskSection | None) -> Iterator[str]:
    """Name the keys of ``[data]`` that images or volumes need and have not, or have and do not use."""
    volumes = task is not None and task_of(task).dims(task) == 3
    of_images, of_volumes = ("image_size",), ("spacing_mm", "patch_size", "patches_per_volume")
    needed, unused = (of_volumes, of_images) if volumes else (of_images, of_volumes)
    for key in needed:
        if getattr(data, key) is None:
            yield f"[data] {key}: this key is missing, such as {example('data', key)}"
    if data.normalisation and data.bagged:
        counted = "the place of a slice" if data.record == "slice" else "an image that is absent from a record"
        yield f"[data] normalisation = 'federation': {counted} would count as pixels; remove it"
    if task is None:
        return
    for key in unused:
        if (value := getattr(data, key)) != Data.model_fields[key].default:
            why = "of images and slices" if volumes else "of volumes ([task] dims = 3)"
            yield f"[data] {key} = {toml_value(value)}: this is a key {why}; remove it"


class Study(Section):
    """A whole study; an instance is valid."""

    LATER: ClassVar[tuple[str, ...]] = ("tracking", "plugin")

    study: About
    task: Annotated[TaskSection, PlainValidator(task_section), SerializeAsAny()]
    """``[task]``: what the model is to tell of an image, in the keys of the task of that ``name``."""
    data: Data
    model: Model
    training: Training
    privacy: Privacy
    aggregation: Aggregation
    evaluation: Evaluation
    tracking: Tracking = Tracking()
    roster: Annotated[tuple[Listed, ...], Field(max_length=1000, strict=False)] = ()
    """``[[roster]]``: the hospitals that may take part, by name. Without one the study is a draft."""
    plugin: Annotated[tuple[Plugin, ...], Field(max_length=20, strict=False, validate_default=True)] = ()
    """``[[plugin]]``: the packages of others that have parts which the study names, by package."""

    @model_validator(mode="before")
    @classmethod
    def _task_is_known(cls, given: Any) -> Any:
        if isinstance(given, dict):
            let_task_in(given)
        return given

    # Two sections that disagree are found by field, so that a fault elsewhere in the file does not hide it.
    @field_validator("data")
    @classmethod
    def _series_fit(cls, data: Data, info: ValidationInfo) -> Data:
        given = info.data.get("task")
        task = given if isinstance(given, TaskSection) else None
        faults = list(_unfit_form(data, task))
        if task is not None:
            faults += _unfit_series(data, task)
            faults += _unfit_bags(data, task)
            series = task_of(task).takes_series(task)
            faults += unfit_steps(data.steps, data.intensity, data.modalities, series=series)
            faults += unfit_area(data.steps, _why_uncut(task))
        if faults:
            raise ValueError(*faults)
        return data

    @field_validator("data", "model", "training", "evaluation")
    @classmethod
    def _keys_mean_something(cls, section: Section, info: ValidationInfo) -> Section:
        task = info.data.get("task")
        if isinstance(task, TaskSection) and (faults := list(_unfit_keys_of(task, info.field_name or "", section))):
            raise ValueError(*faults)
        return section

    @field_validator("model")
    @classmethod
    def _pooling_fits(cls, model: Model, info: ValidationInfo) -> Model:
        data = info.data.get("data")
        if isinstance(data, Data) and model.pooling and not data.gathered:
            raise ValueError(
                f"[model] pooling = '{model.pooling}': this is a key of record = 'series' or 'patient'; remove it"
            )
        return model

    @field_validator("model")
    @classmethod
    def _bundle_fits(cls, model: Model, info: ValidationInfo) -> Model:
        data, task = info.data.get("data"), info.data.get("task")
        if model.bundle is None or not isinstance(data, Data) or not isinstance(task, TaskSection):
            return model
        if data.gathered:
            raise ValueError(
                f"[model.bundle]: with record = '{data.record}' a network puts out features and no classes, and a "
                "bundle's has its own outputs; use a network of the registry"
            )
        if faults := list(model.bundle.unfit(data.inputs, task_of(task).outputs(task))):
            raise ValueError(*faults)
        return model

    @field_validator("training")
    @classmethod
    def _classes_fit(cls, training: Training, info: ValidationInfo) -> Training:
        task, weights = info.data.get("task"), training.class_weights
        if not isinstance(task, TaskSection):
            return training
        if "elastic" in training.augmentations and not task_of(task).bends:
            raise ValueError(
                f"[training] augmentations: 'elastic' bends an image, and what the task '{task.name}' learns cannot be "
                "bent with it; remove it"
            )
        faults = [
            f"[training] {key}: {why}; remove it"
            for (section, key), why in unused_keys(task).items()
            if section == "training" and (section, key) not in BESIDE
            if getattr(training, key) != Training.model_fields[key].default
        ]
        if faults:
            raise ValueError(*faults)
        if weights is not None and len(weights) != len(classes := task_of(task).weighted(task)):
            raise ValueError(
                f"[training] class_weights: {len(weights)} weights for {len(classes)} classes; "
                "give one each, in the order of [task] classes"
            )
        return training

    @field_validator("privacy")
    @classmethod
    def _networks_can_be_private(cls, privacy: NoPrivacy | DpSgd, info: ValidationInfo) -> NoPrivacy | DpSgd:
        model = info.data.get("model")
        if isinstance(model, Model) and model.norm == "batch" and privacy.mechanism == "dp-sgd":
            raise ValueError(
                "[model] norm = 'batch': batch normalisation cannot be private. It mixes the images of a batch, so "
                "that one patient changes every other patient's gradient, and no clipping bounds what one patient "
                "contributes. Write norm = 'group', which does the same work within one image"
            )
        return privacy

    @field_validator("model")
    @classmethod
    def _standardised_input_fits(cls, model: Model, info: ValidationInfo) -> Model:
        data = info.data.get("data")
        if isinstance(data, Data) and data.normalisation and model.train != "all":
            raise ValueError(
                f"[model] train = '{model.train}': the layers that stay as they are learnt from images from 0 to 1; "
                "remove [data] normalisation, or write train = 'all'"
            )
        return model

    @field_validator("training")
    @classmethod
    def _starts_with_its_own(cls, training: Training, info: ValidationInfo) -> Training:
        model = info.data.get("model")
        if training.measure and isinstance(model, Model) and model.weights:
            raise ValueError(
                f"[training] personal = '{training.personal}': what stays at a hospital begins with what the seed "
                "gives, and no file of the model says otherwise; remove it or [model.weights]"
            )
        if training.measure and isinstance(model, Model) and model.train != "all":
            raise ValueError(
                f"[training] personal = '{training.personal}': [model] train = '{model.train}' already trains a part "
                "of the network alone; remove one of them"
            )
        if training.variates and isinstance(model, Model) and model.norm == "batch":
            raise ValueError(
                f"[training] strategy = '{training.strategy}': with [model] norm = 'batch' running means are averaged "
                "too, which no gradient moves and no control variate corrects; write norm = 'group'"
            )
        if training.micro_batch is not None and isinstance(model, Model) and model.norm == "batch":
            raise ValueError(
                f"[training] micro_batch = {training.micro_batch}: with [model] norm = 'batch' means are of the images "
                "that go through the network at once, and a step would not be that of its batch; write norm = 'group', "
                "or remove the key"
            )
        if training.measure and not training.measure.beside and isinstance(model, Model) and model.start:
            raise ValueError(
                f"[training] personal = '{training.personal}': the study starts from a released model, of which a part "
                "would be each hospital's own from the first round on, and no hospital could check the rest by its "
                "digest; remove [model.start] or this key"
            )
        return training

    @field_validator("evaluation")
    @classmethod
    def _personal_fits(cls, evaluation: Evaluation, info: ValidationInfo) -> Evaluation:
        training = info.data.get("training")
        measure = training.measure if isinstance(training, Training) else None
        if measure is None:
            return evaluation
        faults = []
        if evaluation.keep != "last":
            faults.append(
                f"[evaluation] keep = '{evaluation.keep}': under [training] personal = '{measure.name}' each hospital "
                "has its own part of the last round only; write keep = 'last'"
            )
        if evaluation.external and not measure.usable:
            faults.append(
                f"[evaluation] external = {toml_value(evaluation.external)}: under [training] personal = "
                f"'{measure.name}' there is no complete model where nobody trained; remove it"
            )
        if faults:
            raise ValueError(*faults)
        return evaluation

    @field_validator("evaluation")
    @classmethod
    def _mean_fits(cls, evaluation: Evaluation, info: ValidationInfo) -> Evaluation:
        training = info.data.get("training")
        if isinstance(training, Training) and evaluation.average and evaluation.average > training.rounds:
            raise ValueError(
                f"[evaluation] average = {evaluation.average}: the study has {training.rounds} rounds; lower it"
            )
        section, data = info.data.get("task"), info.data.get("data")
        unused = unused_keys(section) if isinstance(section, TaskSection) else {}
        if evaluation.recalibrated and (why := unused.get(("evaluation", "recalibrated"))):
            raise ValueError(f"[evaluation] recalibrated: {why}; remove the key")
        if evaluation.withheld and isinstance(data, Data) and not data.told:
            raise ValueError(
                "[evaluation] withheld: the study has no input that could be withheld ([data] variables, or several "
                "[[data.series]] of a patient); remove the key"
            )
        if evaluation.maps and isinstance(data, Data) and data.gathered:
            raise ValueError(
                f"[evaluation] maps: with [data] record = '{data.record}' the network says nothing of a single image, "
                "which a map is of; remove the key"
            )
        if evaluation.maps and (why := unused.get(("evaluation", "maps"))):
            raise ValueError(f"[evaluation] maps: {why}; remove the key")
        return evaluation

    @field_validator("roster")
    @classmethod
    def _roster_fits(cls, roster: tuple[Listed, ...], info: ValidationInfo) -> tuple[Listed, ...]:
        faults: list[str] = []
        ordered, aggregation = roster, info.data.get("aggregation")
        evaluation = info.data.get("evaluation")
        external = evaluation.external if isinstance(evaluation, Evaluation) else ()
        colluders = _colluders(info.data.get("privacy"))
        if roster and isinstance(aggregation, Aggregation):
            faults += _unfit_roster(aggregation, colluders, [listed.name for listed in roster], external)
        try:
            ordered = in_order(roster)
        except ValueError as error:
            faults += error.args
        if faults:
            raise ValueError(*faults)
        return ordered

    @field_validator("plugin")
    @classmethod
    def _plugins_fit(cls, plugin: tuple[Plugin, ...], info: ValidationInfo) -> tuple[Plugin, ...]:
        model, training, task, data = (info.data.get(key) for key in ("model", "training", "task", "data"))
        if not isinstance(data, Data):
            return plugin
        if isinstance(model, Model) and isinstance(training, Training) and isinstance(task, TaskSection):
            tracking = info.data.get("tracking")
            tracked = tracking if isinstance(tracking, Tracking) else Tracking()
            named = _parts_named(task, data, model, training, tracked)
            if faults := list(unfit_plugins(named, plugin)):
                raise ValueError(*faults)
        return tuple(sorted(plugin, key=lambda one: one.package))  # their order means nothing

    @field_validator("privacy")
    @classmethod
    def _intensities_fit(cls, privacy: NoPrivacy | DpSgd, info: ValidationInfo) -> NoPrivacy | DpSgd:
        data, model = info.data.get("data"), info.data.get("model")
        if not isinstance(privacy, DpSgd) or not isinstance(data, Data) or not isinstance(model, Model):
            return privacy
        given, asks = privacy.normalisation_epsilon, data.normalisation is not None and model.start is None
        if asks and given is None:
            raise ValueError(
                "[privacy] normalisation_epsilon: this key is missing: one patient changes the sums of [data] "
                "normalisation = 'federation', so that they get noise, and training the rest of epsilon; write "
                f"normalisation_epsilon = {privacy.epsilon / 10:g}, a tenth of it, or remove normalisation"
            )
        if given is not None and not asks:
            why = (
                "the model that the study starts from brings its own mean and deviation"
                if model.start
                else "without [data] normalisation = 'federation' nothing is added up before the first round"
            )
            raise ValueError(f"[privacy] normalisation_epsilon = {given:g}: {why}; remove it")
        if given is not None and given >= privacy.epsilon:
            raise ValueError(
                f"[privacy] normalisation_epsilon = {given:g}: it is a part of epsilon = {privacy.epsilon:g}, and "
                f"training needs the rest; write a tenth of that, {privacy.epsilon / 10:g}"
            )
        return privacy

    @field_validator("privacy")
    @classmethod
    def _rounds_fit(cls, privacy: NoPrivacy | DpSgd, info: ValidationInfo) -> NoPrivacy | DpSgd:
        training = info.data.get("training")
        if isinstance(training, Training):
            step = isinstance(privacy, DistributedDpSgd)
            faults = list(_not_of_a_step(training) if step else _not_of_local_work(training))
            if privacy.mechanism == "dp-sgd":
                faults += _not_of_private_steps(training)
            if faults:
                raise ValueError(*faults)
        return privacy

    @field_validator("aggregation")
    @classmethod
    def _sums_fit(cls, aggregation: Aggregation, info: ValidationInfo) -> Aggregation:
        privacy = info.data.get("privacy")
        if isinstance(privacy, DistributedDpSgd) and (faults := list(_unfit_sums(privacy, aggregation))):
            raise ValueError(*faults)
        training = info.data.get("training")
        if isinstance(training, Training) and training.variates and aggregation.largest_weight != 1:
            raise ValueError(
                f"[aggregation] largest_weight: strategy '{training.strategy}' corrects by the mean over hospitals, "
                "which count alike however many images they have; write largest_weight = 1"
            )
        return aggregation

    @field_validator("tracking")
    @classmethod
    def _hospitals_are_known(cls, tracking: Tracking, info: ValidationInfo) -> Tracking:
        aggregation = info.data.get("aggregation")
        if isinstance(aggregation, Aggregation) and aggregation.secure and tracking.hospitals:
            raise ValueError(
                "[tracking] hospitals = true: with [aggregation] secure = true nobody but a hospital has its own "
                "figures: the coordinator has sums over hospitals alone, and with one hospital's figures the sum over "
                "the others would be known. Remove the key"
            )
        return tracking

    @property
    def groups(self) -> tuple[str, ...]:
        """The words by which the study's records are counted: classes, or structures."""
        words: tuple[str, ...] = task_of(self.task).groups(self.task)
        return words

    @property
    def outputs(self) -> int:
        """How many channels the study's network puts out."""
        return task_of(self.task).outputs(self.task)

    @property
    def ordered(self) -> bool:
        """Whether the order of a record's images plays a part."""
        return self.data.record == "slice" or (self.data.bagged and self.model.pooling == "recurrent")

    @property
    def own_code(self) -> tuple[str, ...]:
        """The names of a researcher's own code that the study names: only a simulation that has it can run it."""
        named = (self.model.network, self.training.strategy, self.training.own_loss or "")
        return tuple(name for name in named if is_own(name))

    @property
    def plugin_parts(self) -> tuple[tuple[str, str], ...]:
        """The parts of plug-ins that the study names, each with its key; ``data.steps`` may name several."""
        named = _parts_named(self.task, self.data, self.model, self.training, self.tracking)
        return tuple((key, name) for key, name in named if is_plugin(name))

    def judges(self, number: int) -> bool:
        """Tell whether the hospitals judge the model after this round."""
        return number % self.evaluation.every == 0 or number == self.training.rounds

    def trains(self, hospital: str) -> bool:
        """Tell whether a hospital of this name trains; one that does not only evaluates the model."""
        return hospital not in self.evaluation.external

    @property
    def external_apart(self) -> bool:
        """Whether the hospitals that only evaluate are summed by themselves, and not together with all others.

        A secure sum over fewer than it needs would be refused by each of them, since it would say too much of one.
        """
        external = len(self.evaluation.external)
        return external > 0 and not _no_sum(self.aggregation, _colluders(self.privacy), external)

    @property
    def test_round(self) -> int:
        """The number under which the hospitals are asked to judge the model on their test patients: after the last."""
        return self.training.rounds + (3 if self.evaluation.usual else 1)

    @property
    def features_rounds(self) -> tuple[int, int]:
        """The numbers under which sums are asked for over the features of validation patients, and their distances."""
        return self.training.rounds + 1, self.training.rounds + 2

    @property
    def external_round(self) -> int:
        """The number under which those are asked that only evaluate: another one where they are summed apart."""
        return self.test_round + self.external_apart

    def canonical(self) -> bytes:
        """Return the one byte form of this study: JSON, every key with its value, sorted, no spaces, UTF-8.

        Floats are written as Python's shortest text that reads back as the same number, and a whole number given for
        a float is that float. The order of a list means something to a reader and stays as it was given; a roster is in
        the order of its names. A study without a roster has no such key.
        """
        return json.dumps(
            self.tables(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()

    def tables(self, *, nulls: bool = True) -> dict[str, Any]:
        """Return the sections as a message or, without nulls, a file holds them; a draft has no roster."""
        tables = self.model_dump(mode="json", exclude_none=not nulls)
        return tables if self.roster else {name: table for name, table in tables.items() if name != "roster"}

    def digest(self) -> str:
        """Return the study digest, 64 hexadecimal digits: what hospitals approve and messages carry."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(DOMAIN + self.canonical()).hexdigest()

    @classmethod
    @checked
    def read(cls, file: Path | str, settings: Mapping[str, Any] | None = None) -> Study:
        """Read a study file; all its faults are reported together.

        ``settings``, by keys with dots such as ``"training.rounds"``, hold in the place of what the file says.

        Raises:
            StudyError: the file cannot be read, is not TOML, or says something that is not a study.
        """
        return read_study(Path(file), settings)

    @classmethod
    @checked
    def new(
        cls,
        name: str = "my-study",
        *,
        task: str = "classification",
        privacy: Literal["dp-sgd", "distributed", "none"] = "dp-sgd",
        **keys: Any,
    ) -> Study:
        """Make a study from keywords: the usual settings, as ``wardround study new`` writes them, with some of yours.

        Args:
            name: what the study is called; it names the run's folder.
            task: the task, such as ``classification`` or ``segmentation``.
            privacy: ``dp-sgd``, ``distributed`` (noise that hospitals share out, under secure sums) or ``none``.
            keys: keys of the study file, such as ``classes=("none", "finding")``, ``rounds=5`` or ``epsilon=3.0``; no
                two sections share a key, so that sections need not be named.

        Raises:
            ArgumentError: there is no such ``privacy``.
            StudyError: a key is not known, or a value is wrong; all faults are reported together.
        """
        return _study(_tables_of(name, task, privacy, keys), where=f"study {name}"[:80], do=_NO_FILE)

    @checked
    def but(self, settings: Mapping[str, Any] | None = None, **keys: Any) -> Study:
        """Return the study with other values, and so with another digest.

        ``settings`` are by keys with dots (``"training.rounds"``), ``keys`` by the last part alone (``rounds=5``).

        Raises:
            StudyError: a key is not known, or a value is wrong.
        """
        where = f"study {self.study.name}"
        named = {f"{_section_of(key, where)}.{key}": _plain(keys[key]) for key in keys}
        tables = self.tables(nulls=False)
        put(tables, {**(settings or {}), **named}, where)
        return _study(pinned(tables), where=where, typed=list(settings or ()), do=_NO_FILE)

    @classmethod
    def of_tables(cls, tables: dict[str, Any], settings: Mapping[str, Any] | None = None, *, where: str) -> Study:
        """Return the study of a file's tables, with some settings by keys with dots; ``where`` names it in errors.

        Raises:
            StudyError: they say something that is not a study.
        """
        put(tables, settings or {}, where)
        return _study(tables, where=where, typed=list(settings or ()), do=_NO_FILE)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values, and so with another digest."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_digest", None)  # pydantic copies what was computed too
        return copied


def _parts_named(
    task: TaskSection, data: Data, model: Model, training: Training, tracking: Tracking
) -> list[tuple[str, str]]:
    """Return what a plug-in may have a part of, each with its key, ``section.key``."""
    named = [("task.name", task.name), ("model.network", model.network), ("training.strategy", training.strategy)]
    named += [(STEPS_KEY, name) for name in dict.fromkeys(one.step for one in data.steps)]
    return named + ([("tracking.sink", tracking.sink)] if tracking.sink else [])


def _colluders(privacy: object) -> int:
    return privacy.colluders if isinstance(privacy, DistributedDpSgd) else 0


def _no_sum(aggregation: Aggregation, colluders: int, hospitals: int) -> str:
    """Say why there is no sum over a number of hospitals that is secure; nothing if there is, or none is asked for."""
    if not aggregation.secure:
        return ""
    try:
        threshold_of(hospitals, least=aggregation.min_hospitals, stated=aggregation.threshold, colluders=colluders)
    except RoundError as error:
        return error.what
    return ""


def _unfit_roster(
    aggregation: Aggregation, colluders: int, names: Sequence[str], external: Sequence[str]
) -> Iterator[str]:
    """Say why the hospitals of a roster cannot make the sums that the study wants: those that train, in each round."""
    if unlisted := sorted(set(external) - set(names)):
        yield (
            f"[evaluation] external = {toml_value(external)}: the roster does not list {', '.join(unlisted)}; "
            "list each there too, by its name and key"
        )
        return
    hospitals = len(names) - len(external)
    if hospitals < aggregation.min_hospitals:
        that = " that train" if external else ""
        yield (
            f"[aggregation] min_hospitals = {aggregation.min_hospitals}: the roster lists {hospitals} "
            f"hospital{'s' if hospitals > 1 else ''}{that}; list more of them, or lower it"
        )
        return
    if not aggregation.secure:
        return
    if len(names) > LARGEST_COHORT:
        yield f"[[roster]]: {len(names)} hospitals are listed, and a secure sum is over at most {LARGEST_COHORT:,}"
        return
    together = bool(external) and _no_sum(aggregation, colluders, len(external))  # at the end, over all of them
    for count in (hospitals, *([len(names)] if together else [])):
        if fault := _no_sum(aggregation, colluders, count):
            yield f"[aggregation] threshold = {aggregation.threshold}: {fault}"
            return


def read_study(path: Path, settings: Mapping[str, Any] | None = None) -> Study:
    """Read a study file; all its faults are reported together.

    ``settings``, by keys with dots, hold in the place of what the file says (``settings``).

    Raises:
        StudyError: the file cannot be read, is not TOML, or says something that is not a study.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(data) > LARGEST_FILE_BYTES:
        raise StudyError(
            f"this is not a study file: it is larger than {LARGEST_FILE_BYTES // 1024} KiB",
            where=str(path),
            do="Name the study file; 'wardround study new NAME' writes one of a few kilobytes.",
        )
    try:
        text = data.decode("utf-8-sig")  # some editors put a byte-order mark before the text
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StudyError(
            f"line {line}: this is not UTF-8 text", where=str(path), do="Save the file as UTF-8 in your editor."
        ) from None
    return parse_study(text, settings, where=str(path))


def parse_study(text: str, settings: Mapping[str, Any] | None = None, *, where: str = "study") -> Study:
    """Parse the TOML text of a study, with some settings in the place of its own; ``where`` names it in errors.

    Raises:
        StudyError: the text is not TOML, or says something that is not a study.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a list nested a thousand deep
        raise bad_toml(text, error, where=where) from None
    put(tables, settings or {}, where)
    return _study(tables, where=where, typed=list(settings or ()))


def parse_canonical(data: bytes, *, where: str = "study") -> Study:
    """Parse the canonical form that a message carries; bytes that are not exactly the canonical form are refused.

    Raises:
        StudyError: the bytes are not the canonical form of a study.
    """
    try:
        tables = json.loads(data) if len(data) <= LARGEST_FILE_BYTES else None
    except (ValueError, RecursionError):
        tables = None
    if not isinstance(tables, dict):
        raise StudyError("these bytes are not the canonical form of a study", where=where)
    study = _study(tables, where=where)
    if study.canonical() != data:
        raise StudyError(
            "this study is not in its canonical form, so that its digest would not be its own", where=where
        )
    return study


_NO_FILE = "Correct these values; the names of keys are those of a study file."


def sections_of_keys() -> dict[str, tuple[str, ...]]:
    """Return in which sections of a study file each key stands: one, but for ``name``."""
    found: dict[str, list[str]] = {}
    for section, field in Study.model_fields.items():
        kinds = [task.section for task in TASKS.values()] if section == "task" else _sections_in(field.annotation)
        for key in dict.fromkeys(key for kind in kinds for key in kind.model_fields):
            found.setdefault(key, []).append(section)
    return {key: tuple(sections) for key, sections in found.items() if "roster" not in sections or len(sections) > 1}


def _sections_in(annotation: Any) -> list[type[Section]]:
    """Return the models of a section's annotation, some of which are unions."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _sections_in(part)]


def _section_of(key: str, where: str) -> str:
    known = sections_of_keys()
    sections = [section for section in known.get(key, ()) if section not in ("study", "roster", "plugin")]
    if key == "name" or not sections:
        near = difflib.get_close_matches(key, known, n=1)
        raise StudyError(
            f"there is no key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""), where=where, do=_NO_FILE
        )
    return sections[0]


def _tables_of(name: str, task: str, privacy: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of a new study; what the usual settings have for another strategy or optimiser is left out."""
    where = f"study {name}"[:80]
    if is_plugin(task):
        let_task_in({"task": {"name": task}, "plugin": [plugin_here(package_of(task))]})
    if task not in TASKS:
        raise StudyError(f"there is no task {task!r}", where=where, do=f"Write {' or '.join(map(repr, TASKS))}.")
    settings = {f"{_section_of(key, where)}.{key}": _plain(value) for key, value in keys.items()}
    own = {"task": {"dims": 3}} if settings.get("task.dims") == 3 else {}
    text = study_text("a", task=task, dp=privacy != "none", distributed=privacy == "distributed", own=own)
    tables = tomllib.loads(text)
    tables["study"]["name"] = name
    training = tables["training"]
    if "strategy" in keys:
        for key in STRATEGY_KEYS:
            training.pop(key, None)
    if "personal" in keys and keys["personal"] is not None and "keep" not in keys:
        settings["evaluation.keep"] = "last"
    if "optimiser" in keys and str(keys["optimiser"]) != training["optimiser"]:
        training.pop("momentum", None)
    put(tables, settings, where)
    return pinned(tables)


def pinned(tables: dict[str, Any]) -> dict[str, Any]:
    """Return a study's tables with the ``[[plugin]]`` of each package that they name, as it is installed here.

    Raises:
        PluginError: one is not installed, or cannot be pinned.
    """
    keys = (("task", "name"), ("model", "network"), ("training", "strategy"), ("tracking", "sink"))
    names = [tables.get(section, {}).get(key) for section, key in keys]
    steps = tables.get("data", {}).get("steps")
    names += [one.get("step") for one in (steps if isinstance(steps, list) else ()) if isinstance(one, dict)]
    used = sorted({package_of(name) for name in names if isinstance(name, str) and is_plugin(name)})
    there = {one.get("package"): one for one in tables.get("plugin", ()) if isinstance(one, dict)}
    listed = [there.get(package) or plugin_here(package).model_dump() for package in used]
    _define_bundle(tables.get("model", {}))
    return {key: value for key, value in tables.items() if key != "plugin"} | ({"plugin": listed} if listed else {})


def _define_bundle(model: dict[str, Any]) -> None:
    """Put what a folder's bundle says of its network into [model], where the network is named ``bundle:FOLDER``."""
    name = model.get("network")
    if not isinstance(name, str) or not name.startswith(BEGINNING):
        model.pop("bundle", None)
    elif not is_bundle(name):
        bundle = read_bundle(Path(name.removeprefix(BEGINNING)))
        model |= {"network": bundle.network, "bundle": bundle.model_dump()}


def _plain(value: Any) -> Any:
    """Return a value as a file would give it: tuples, ranges and arrays as lists, numbers of numpy as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple | range) else value


def _study(
    tables: dict[str, object],
    *,
    where: str,
    typed: Sequence[str] = (),
    do: str = "Correct the file, then run: wardround study check FILE",
) -> Study:
    def error(faults: list[str]) -> StudyError:
        meant = [key for key in typed if any(word in fault for word in key.split(".") for fault in faults)]
        settings = " and ".join(f"--set {key}" for key in meant)
        return StudyError(
            "the study cannot be used:\n" + "\n".join(f"  · {fault}" for fault in faults),
            where=where,
            do=f"Correct {settings}, or the file." if meant and do != _NO_FILE else do,
            faults=faults,
        )

    return validated(tables, Study, error)
