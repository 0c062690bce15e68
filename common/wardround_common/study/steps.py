"""``[data] steps``: what is done to each image before its intensities are scaled, in the order of the study.

A step is one file, ``preparation/steps/NAME.py`` of the hospital's package, with a value ``STEP``. As with networks
nothing lists them: the study file knows them by their files' names. A coordinator, which has no such package, takes any
well-formed step; a study is checked against what the steps say of themselves wherever they are installed. A step of a
plug-in, ``PACKAGE:PART``, can be read anywhere, and is checked where the plug-in is let in (``study.plugins``).

All settings of a step stand in the study, so that its digest covers them and no version of this software has others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer, model_validator

from wardround_common.errors import PluginError
from wardround_common.installed import file_of, files_in, name_of
from wardround_common.kinds import kind_of
from wardround_common.plugins.loading import loaded
from wardround_common.plugins.names import is_plugin, package_of, part_of
from wardround_common.registry import Registry, either

PACKAGE = "wardround_client"
MOST_STEPS = 16
MOST_SETTINGS = 8
Settings = Mapping[str, float | str]
"""The settings of a step, by name."""
Values = NDArray[np.float32]
Apply = Callable[[Values], Values]
"""From an image, or a slice of a series, (rows, columns) to the same of what it becomes."""


@dataclass(frozen=True)
class Area:
    """A part of an image, in its pixels: rows ``top`` to before ``bottom``, columns ``left`` to before ``right``."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, height: int, width: int) -> Area:
        """Return all of an image of this height and width."""
        return cls(0, 0, height, width)

    @property
    def shape(self) -> tuple[int, int]:
        """Its rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return this part of pixels (..., rows, columns), as a view."""
        return pixels[..., self.top : self.bottom, self.left : self.right]

    def back(self, part: NDArray[Any], height: int, width: int) -> NDArray[Any]:
        """Put what is known of this part where it lies in the image: (..., height, width), 0 beside it."""
        if part.shape[-2:] == (height, width):
            return part
        image = np.zeros((*part.shape[:-2], height, width), part.dtype)
        self.of(image)[...] = part
        return image

    def holds(self, row: float, column: float) -> bool:
        """Tell whether a point lies in it; a pixel's edges are whole numbers."""
        return self.top <= row <= self.bottom and self.left <= column <= self.right


@dataclass(frozen=True)
class Setting:
    """One setting of a step."""

    name: str
    example: float | str
    reason: str
    """What it is, in its unit."""
    least: float = -math.inf
    most: float = math.inf
    whole: bool = False
    choices: tuple[str, ...] = ()
    """The words that it can be; without any it is a number."""

    def fault(self, value: float | str) -> str:
        """Say what is wrong with a value; nothing if it can be used."""
        if self.choices:
            return "" if value in self.choices else f"it must be {either(self.choices)}"
        if isinstance(value, str):
            return "it must be a number, without quotes"
        if self.whole and not value.is_integer():
            return "it must be a whole number"
        return "" if self.least <= value <= self.most else f"it must be from {self.least:g} to {self.most:g}"

    def said(self) -> str:
        """Say what it is and what it can be."""
        number = "a whole number" if self.whole else "a number"
        can = either(self.choices) if self.choices else f"{number} from {self.least:.7g} to {self.most:.7g}"
        return f"{self.reason}: {can}"


def _fits(settings: Settings) -> str:
    return ""


@dataclass(frozen=True)
class Step:
    """One step of preparation that a study can name; its name is that of its file, with hyphens for underscores."""

    caption: str
    """What it does to an image, as a clause in which its settings stand in braces by their names."""
    fit: Callable[[Settings, Values], Apply]
    """From the settings and the values of a whole image or series, or evenly chosen ones of them (values,), to what is
    done to it. What is measured is measured on all of it and never on a slice, which may be empty."""
    settings: tuple[Setting, ...] = ()
    fits: Callable[[Settings], str] = _fits
    """Say in what the settings contradict each other; nothing if they do not."""
    scales: bool = False
    """Whether what comes out lies from 0 to 1."""
    scaled: bool = False
    """Whether what goes in must lie from 0 to 1."""
    hounsfield: bool = False
    """Whether it means anything only for Hounsfield units."""
    measures: bool = False
    """Whether ``fit`` looks at the values; of a long series they are read once more for it."""
    area: Callable[[Settings, Values], Area] | None = None
    """What is left of an image, from the settings and its highest values over channels, or over the slices of a series,
    (rows, columns). None: all of it. It is cut off before ``fit`` is applied; not for plug-ins."""
    version: int = 1
    """Images that another version prepared are prepared again."""

    def said(self, settings: Settings) -> str:
        """Return the clause with the settings in it."""
        shown = {key: f"{value:g}" if isinstance(value, float) else value for key, value in settings.items()}
        return self.caption.format_map(shown)


@cache
def known_steps() -> tuple[str, ...]:
    """Return the names of the steps installed here, in order; none where no hospital's package is installed."""
    return tuple(sorted(name_of(file) for file in files_in(PACKAGE, "preparation", "steps")))


def _there() -> dict[str, Callable[[], Step]]:
    return {name: partial(_load, name) for name in known_steps()}


def _load(name: str) -> Step:
    found: Any = import_module(f"{PACKAGE}.preparation.steps.{file_of(name)}").STEP
    if not isinstance(found, Step):
        raise TypeError(f"STEP of {name} is no Step")
    return found


STEPS: Registry[Step] = Registry("step", _there)
"""The steps that are installed here, each imported when it is asked for."""


def step_of(name: str) -> Step:
    """Return what a step says of itself.

    Raises:
        PluginError: it is of a plug-in that was not admitted, or that declares something else by its name.
    """
    found: object = STEPS[name]
    if not isinstance(found, Step):
        where = f"plug-in {package_of(name)}"
        raise PluginError(f"its step {part_of(name)!r} is no Step but {kind_of(found)}", where=where)
    return found


def _step_of_ours(name: str) -> Step | None:
    return STEPS[name] if name in known_steps() else None


def _installed(name: str) -> str:
    known = known_steps()
    if is_plugin(name):
        return name
    if name in known or (not known and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)):
        return name
    if not known:
        raise ValueError("a step's name is small letters and digits, with hyphens between them")
    return STEPS.named(name if name in known else "")


StepName = Annotated[str, Field(max_length=64), AfterValidator(_installed)]


class Stated(BaseModel):
    """One step with its settings, as a study states it: ``{ step = "median", size = 3 }``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    step: StepName
    """The name of the step."""
    given: Annotated[tuple[tuple[str, float | str], ...], Field(max_length=MOST_SETTINGS)] = ()
    """Its settings, in the order of their names; every number is a float, so that a study has one form."""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, table: Any) -> Any:
        if isinstance(table, Stated):
            return table
        if not isinstance(table, dict) or "step" not in table or "given" in table:
            raise ValueError('a step is a table such as { step = "median", size = 3 }')
        given: list[tuple[str, float | str]] = []
        for key, value in table.items():
            if key == "step":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not isinstance(key, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", key):
                raise ValueError("a setting of a step is named by small letters")
            if number and math.isfinite(value):
                given.append((key, float(value) + 0.0))
            elif isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,31}", value):
                given.append((key, value))
            else:
                raise ValueError(f"{key} of a step must be a number or a word in small letters")
        return {key: value for key, value in table.items() if key == "step"} | {"given": tuple(sorted(given))}

    @model_validator(mode="after")
    def _set(self) -> Stated:
        if self.step not in known_steps():
            return self  # where no steps are installed, or it is a plug-in's; a hospital looks
        if faults := list(self.unfit()):
            raise ValueError(*faults)
        return self

    def unfit(self) -> Iterator[str]:
        """Name what is wrong with its settings, by what the step says of itself; it must be installed.

        Raises:
            PluginError: it is of a plug-in, and none.
        """
        step, settings = step_of(self.step), self.settings
        wanted, whole, faulty = {one.name: one for one in step.settings}, example_of(self.step), False
        for key in sorted(settings.keys() - wanted.keys()):
            faulty = True
            yield f"[data] steps: the step '{self.step}' has no setting {key!r}; write it like {whole}"
        for key, setting in wanted.items():
            if key not in settings:
                faulty = True
                yield f"[data] steps: {key} of the step '{self.step}' is missing; write it like {whole}"
            elif fault := setting.fault(settings[key]):
                faulty = True
                yield f"[data] steps: {key} = {_toml(settings[key])} of the step '{self.step}': {fault}"
        if not faulty and (fault := step.fits(settings)):
            yield f"[data] steps: the step '{self.step}': {fault}"

    @model_serializer
    def _flat(self) -> dict[str, float | str]:
        return {"step": self.step, **dict(self.given)}

    @property
    def settings(self) -> Settings:
        """Its settings, by name."""
        return dict(self.given)

    @property
    def said(self) -> str:
        """What it does, as a clause; its bare name and numbers where it is not installed, or a plug-in's."""
        if self.step in known_steps():
            return STEPS[self.step].said(self.settings)
        listed = ", ".join(f"{key} {_toml(value)}" for key, value in self.given)
        return f"the step '{self.step}'" + (f" ({listed})" if listed else "")


def unfit_steps(
    steps: Sequence[Stated],
    intensity: str,
    modalities: Sequence[str],
    *,
    series: bool,
    of: Callable[[str], Step | None] = _step_of_ours,
) -> Iterator[str]:
    """Name what does not go together of a study's steps, its way to scale intensities and what it takes.

    ``of``: what a step says of itself; None where that is not known, as of a plug-in's while a study is read.
    """
    scaled, by = intensity == "window" and not series, ""
    for one in steps:
        step = of(one.step)
        if step is None:
            by = one.step  # it cannot be known here whether it scales
            scaled = True
            continue
        if step.hounsfield and (tuple(modalities) != ("CT",) or intensity == "window"):
            why = (
                "with intensity = 'window' it would get what the file's own window has scaled already"
                if intensity == "window"
                else f"it is stated in Hounsfield units, which {', '.join(modalities)} images do not have"
            )
            yield f"[data] steps: the step '{one.step}' is for modalities = ['CT'] alone: {why}; remove it"
        if step.scaled and not scaled:
            yield (
                f"[data] steps: the step '{one.step}' takes values from 0 to 1; put one that scales before it, such as "
                f"{either(tuple(name for name, other in STEPS.items() if other.scales))}"
            )
        if step.scales:
            scaled, by = True, one.step
    known = all(of(one.step) is not None for one in steps)
    if intensity == "steps" and not by:
        yield "[data] intensity = 'steps': no step scales to 0 and 1; write 'percentile', or add a step that does"
    if known and by and intensity != "steps":
        yield (
            f"[data] intensity = '{intensity}': the step '{by}' scales to 0 and 1 already, and that would stretch it "
            "again; write 'steps'"
        )


def unfit_area(steps: Sequence[Stated], why: str, *, of: Callable[[str], Step | None] = _step_of_ours) -> Iterator[str]:
    """Name where a step that cuts images cannot stand; ``why`` a study's images cannot be cut, empty if they can."""
    for place, one in enumerate(steps):
        step = of(one.step)
        if step is None or step.area is None:
            continue
        if place:
            yield f"[data] steps: the step '{one.step}' is found on the stored image: it comes first, and once"
        if why:
            yield f"[data] steps: the step '{one.step}' cannot be taken: {why}; remove it"


def cuts(steps: Sequence[Stated]) -> bool:
    """Tell whether images are cut to a part of theirs."""
    return bool(steps) and step_of(steps[0].step).area is not None


def example_of(name: str) -> str:
    """Return an installed step with its settings as a study states it."""
    such = "".join(f", {one.name} = {_toml(one.example)}" for one in step_of(name).settings)
    return f'{{ step = "{name}"{such} }}'


def table_of_steps() -> str:
    """Return the table of the steps that are installed, for the document that explains them."""
    lines = ["| step | what it does | settings |", "|---|---|---|"]
    for name, step in STEPS.items():
        said = [f"`{one.name}`: {one.said()}" for one in step.settings]
        lines.append(f"| `{example_of(name)}` | {_plain(step)} | {'; '.join(said)} |")
    return "\n".join(lines) + "\n"


def _plain(step: Step) -> str:
    said = step.said({one.name: f"`{one.name}`" for one in step.settings})
    needs = "takes 0 to 1; " if step.scaled else "CT in Hounsfield units alone; " if step.hounsfield else ""
    return needs + said


def versions_of(steps: Sequence[Stated]) -> str:
    """Return which versions of the steps prepare: part of the name of what is kept; nothing without steps.

    A plug-in's is the digest of its files, so that what other code prepared is prepared again.
    """
    return "".join(f" {one.step} {_version(one.step)}" for one in steps)


def _version(name: str) -> str:
    version = f"{step_of(name).version}"
    return version if (named := loaded(name)) is None else f"{version} {named.version} {named.sha256}"


def check_of_plugin(steps: Sequence[Stated], intensity: str, modalities: Sequence[str], *, series: bool) -> None:
    """Check a study's steps by what plug-ins say of theirs: their settings, and that they go together.

    Raises:
        PluginError: one is none, its settings are not those that the study gives, or the study fits it ill.
    """
    for one in steps:
        if not is_plugin(one.step):
            continue
        where = f"plug-in {package_of(one.step)}"
        try:
            step = step_of(one.step)
            faults = list(_undeclared(step)) or list(one.unfit())
            if not faults:
                step.said(one.settings)
        except PluginError:
            raise
        except (Exception, SystemExit) as error:
            said = f"its step {part_of(one.step)!r} does not say what it is: {type(error).__name__}: {error}"
            raise PluginError(said, where=where, do="Its contract is Step in wardround_common.study.steps.") from error
        if faults:
            raise PluginError("; ".join(faults), where=where)
    if faults := list(unfit_steps(steps, intensity, modalities, series=series, of=step_of)):
        raise PluginError("; ".join(faults), where="[data]")


def _undeclared(step: Step) -> Iterator[str]:
    if not all(isinstance(one, Setting) for one in step.settings) or len(step.settings) > MOST_SETTINGS:
        yield f"its settings are not {MOST_SETTINGS} Setting at most"
    if not callable(step.fit) or not isinstance(step.version, int):
        yield "its fit is no function, or its version no number"
    if step.area is not None:
        yield "it cuts images, and a plug-in's step changes values alone"


def _toml(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"
