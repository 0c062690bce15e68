"""The study file: one TOML document that says what is trained, how, and at what privacy cost.

It is parsed once into frozen models; its canonical form has a SHA-256, the *study digest*, which hospitals approve
and every message carries. A key that is not known is an error that names the nearest one that is.

A validator here that raises ``ValueError`` states one whole fault in each argument; ``study_faults`` puts the
section, the key and the given value before those that do not begin with ``[``.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, PlainValidator, SerializeAsAny, ValidationInfo, field_validator, model_validator

from wardround_common.arguments import checked
from wardround_common.errors import StudyError, listed
from wardround_common.nearest import nearest
from wardround_common.plugins.names import is_plugin, package_of
from wardround_common.registry import is_own
from wardround_common.section import Section
from wardround_common.strategies.registry import STRATEGY_KEYS
from wardround_common.study.aggregation import Aggregation, colluders_in, no_sum, unfit_roster, unfit_sums
from wardround_common.study.bundle import BEGINNING, is_bundle, read_bundle
from wardround_common.study.data import Data, unfit_bags, unfit_form, unfit_series, why_uncut
from wardround_common.study.evaluation import Evaluation
from wardround_common.study.faults import bad_toml, unreadable, validated
from wardround_common.study.model import Model
from wardround_common.study.noise import unfit_noise
from wardround_common.study.plugins import STEPS_KEY, Plugin, let_task_in, plugin_here, unfit_plugins
from wardround_common.study.privacy import DistributedDpSgd, DpSgd, NoPrivacy, Privacy
from wardround_common.study.roster import Listed, in_order
from wardround_common.study.settings import put
from wardround_common.study.steps import unfit_area, unfit_steps
from wardround_common.study.task_keys import BESIDE, unused_keys
from wardround_common.study.template import study_text, toml_value
from wardround_common.study.tracking import Tracking
from wardround_common.study.training import Training, not_of_a_step, not_of_local_work, not_of_private_steps
from wardround_common.tasks.contract import TaskSection
from wardround_common.tasks.registry import TASKS, task_of, task_section

LARGEST_FILE_BYTES = 1024 * 1024
"""A study file is a few kilobytes, and more with a long roster; anything beyond this is refused before it is read."""
DOMAIN = b"wardround study 1\n"
"""Hashed before the canonical form, so that no other document can have a study's digest."""


class About(Section):
    """``[study]``: what the study is called."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    """Lower-case letters, digits and hyphens; it names the run's folder."""


def _unfit_keys_of(task: TaskSection, section: str, given: Section) -> Iterator[str]:
    """Name the keys of a section that are set and mean nothing to the study's task."""
    for place, why in task_of(task).unfit.items():
        of, _, key = place.partition(".")
        if of == section and (value := getattr(given, key)) != type(given).model_fields[key].default:
            written = value.model_dump(exclude_unset=True) if isinstance(value, Section) else value
            yield f"[{section}] {key} = {toml_value(written)}: with task '{task.name}' {why}"


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
        faults = list(unfit_form(data, task))
        if task is not None:
            faults += unfit_series(data, task)
            faults += unfit_bags(data, task)
            series = task_of(task).takes_series(task)
            faults += unfit_steps(data.steps, data.intensity, data.modalities, series=series)
            faults += unfit_area(data.steps, why_uncut(task))
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
        for key in ("recalibrated", "levels"):
            if getattr(evaluation, key) and (why := unused.get(("evaluation", key))):
                raise ValueError(f"[evaluation] {key}: {why}; remove the key")
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

    @field_validator("evaluation")
    @classmethod
    def _noise_fits(cls, evaluation: Evaluation, info: ValidationInfo) -> Evaluation:
        privacy, section = info.data.get("privacy"), info.data.get("task")
        if not isinstance(privacy, DpSgd) or privacy.evaluation_epsilon is None:
            return evaluation
        faults = list(unfit_noise(privacy.evaluation_epsilon, evaluation, info.data.get("aggregation")))
        unused = unused_keys(section) if isinstance(section, TaskSection) else {}
        if why := unused.get(("privacy", "evaluation_epsilon")):
            faults.append(f"[privacy] evaluation_epsilon: {why}; remove the key")
        if faults:
            raise ValueError(*faults)
        return evaluation

    @field_validator("roster")
    @classmethod
    def _roster_fits(cls, roster: tuple[Listed, ...], info: ValidationInfo) -> tuple[Listed, ...]:
        faults: list[str] = []
        ordered, aggregation = roster, info.data.get("aggregation")
        evaluation = info.data.get("evaluation")
        external = evaluation.external if isinstance(evaluation, Evaluation) else ()
        colluders = colluders_in(info.data.get("privacy"))
        if roster and isinstance(aggregation, Aggregation):
            faults += unfit_roster(aggregation, colluders, [listed.name for listed in roster], external)
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
            faults = list(not_of_a_step(training) if step else not_of_local_work(training))
            if privacy.mechanism == "dp-sgd":
                faults += not_of_private_steps(training)
            if faults:
                raise ValueError(*faults)
        return privacy

    @field_validator("aggregation")
    @classmethod
    def _sums_fit(cls, aggregation: Aggregation, info: ValidationInfo) -> Aggregation:
        privacy = info.data.get("privacy")
        if isinstance(privacy, DistributedDpSgd) and (faults := list(unfit_sums(privacy, aggregation))):
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

    @property
    def noised(self) -> bool:
        """Whether sums over validation and test patients get noise.

        A baseline of one hospital, whose sums are not secure, has none: nobody else reads them.
        """
        return self.evaluation_epsilon is not None and self.aggregation.secure

    @property
    def evaluation_epsilon(self) -> float | None:
        """What the sums over validation and test patients may cost one of them; None where nothing bounds it."""
        return self.privacy.evaluation_epsilon if isinstance(self.privacy, DpSgd) else None

    @property
    def evaluations(self) -> int:
        """How often the model is judged on validation patients, if no round is refused and none is left out."""
        return sum(self.judges(number) for number in range(1, self.training.rounds + 1))

    def trains(self, hospital: str) -> bool:
        """Tell whether a hospital of this name trains; one that does not only evaluates the model."""
        return hospital not in self.evaluation.external

    @property
    def external_apart(self) -> bool:
        """Whether the hospitals that only evaluate are summed by themselves, and not together with all others.

        A secure sum over fewer than it needs would be refused by each of them, since it would say too much of one.
        """
        external = len(self.evaluation.external)
        return external > 0 and not no_sum(self.aggregation, colluders_in(self.privacy), external)

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
    return parse_study(text, settings, where=str(path), file=path)


def parse_study(
    text: str, settings: Mapping[str, Any] | None = None, *, where: str = "study", file: Path | None = None
) -> Study:
    """Parse the TOML text of a study, with some settings in the place of its own; ``where`` names it in errors.

    ``file``: where its author can correct it, if that is known.

    Raises:
        StudyError: the text is not TOML, or says something that is not a study.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a list nested a thousand deep
        raise bad_toml(text, error, where=where) from None
    put(tables, settings or {}, where)
    check = f"Correct the file, then run: wardround study check {shlex.quote(str(file))}" if file else _NO_FILE
    return _study(tables, where=where, typed=list(settings or ()), do=check)


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
    study = _study(tables, where=where, do="")
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
        near = nearest(key, known)
        raise StudyError(
            f"there is no key {key!r}" + (f"; did you mean {near!r}?" if near else ""), where=where, do=_NO_FILE
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


def _study(tables: dict[str, object], *, where: str, typed: Sequence[str] = (), do: str) -> Study:
    def error(faults: list[str]) -> StudyError:
        meant = [key for key in typed if any(word in fault for word in key.split(".") for fault in faults)]
        settings = " and ".join(f"--set {key}" for key in meant)
        return StudyError(
            f"the study cannot be used:\n{listed(faults)}",
            where=where,
            do=f"Correct {settings}, or the file." if meant and do != _NO_FILE else do,
            faults=faults,
        )

    return validated(tables, Study, error)
