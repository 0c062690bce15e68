"""``[training]``: rounds, local work, optimiser, and how updates become the next model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PlainSerializer, PlainValidator, create_model, field_validator, model_validator

from wardround_common.errors import StudyError
from wardround_common.plugins.names import is_plugin
from wardround_common.registry import OWN_NAME
from wardround_common.section import Decay, NotNegative, Rate, Section, each_once
from wardround_common.site_shift.contract import Measure
from wardround_common.site_shift.registry import MEASURES, MeasureName
from wardround_common.strategies.contract import Strategy, Variates
from wardround_common.strategies.registry import STRATEGIES, STRATEGY_KEYS, StrategyName, strategy_of, users_of
from wardround_common.study.template import example

Augmentation = Literal["flip", "shift", "rotate", "scale", "elastic", "intensity", "shading", "blur", "noise"]
OwnName = Annotated[str, Field(pattern=OWN_NAME.pattern + "$")]


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


def not_of_local_work(training: Training) -> Iterator[str]:
    """Name what local work lacks, and what is set beside it that it does not use."""
    if training.local_epochs is None and training.local_steps is None:
        key = "local_steps" if training.variates else "local_epochs"
        yield f"[training] {key}: this key is missing, such as {example('training', key)}"
    if training.local_epochs is not None and training.local_steps is not None and not training.variates:
        yield (
            f"[training] local_steps = {training.local_steps}: local_epochs says how much a hospital does in a round; "
            "remove one of them"
        )


def not_of_a_step(training: Training) -> Iterator[str]:
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


def not_of_private_steps(training: Training) -> Iterator[str]:
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
