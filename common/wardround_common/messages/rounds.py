"""What coordinator and hospitals say to each other, and its one strict wire form.

A question carries the study digest; an answer repeats it. The wire form is :class:`Parts`, plain scalars and arrays,
which the two Flower shells put into a RecordDict and take out again. Parsing happens here, once: an instance is valid.

======== ======================================= ====================================================
question asks                                    answer
======== ======================================= ====================================================
prepare  is this hospital ready for the study?   the model's layout, the digest of its first parameters
train    one round of local work                 the update, how many examples, loss, epsilon so far
evaluate how good are these parameters?          sums over the patients of a split, never a score
======== ======================================= ====================================================

In a study with a vote, ``vote.VoteRequest`` asks whether a round's next model is worse than the one before.
If sums are secure, train and evaluate are answered by a masked upload, and two more questions follow
(``secagg.messages``): confirm and open.

A hospital that cannot answer says so with a :class:`Failure`: a fixed word and no text, since text could name a file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, VersionError
from wardround_common.messages.parameters import Fixed, Layout, Vector, vector_digest
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.metrics.sums import LOSS_LIMIT
from wardround_common.metrics.unlike import FeatureSums

MOST_EXAMPLES = 2**32  # images of one hospital, in training or in a split

Scalar = int | float | str
Split = Literal["validation", "test", "features", "distances", "before"]
"""On whom is summed, and of the last three what: validation patients' features, how far each lies from the others',
and what the study needs before its first round (``Before``)."""
SPLITS: tuple[Split, ...] = get_args(Split)
T = TypeVar("T", int, float, str)
RUN_BYTES = 16
AGREEMENT_BYTES = 96
SUMS_FORM = 3
"""Which form of the shares of secure sums this version reads and writes (docs/secagg.md, section 8)."""
UNNAMED_FORM = 3
"""That of a round's question or answer that names none: the versions of that form named it in *prepare* alone."""


@dataclass(frozen=True)
class Parts:
    """The wire form of a message: scalars and lists of them by name, arrays by name."""

    fields: Mapping[str, Scalar | list[int] | list[str]]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class PrepareRequest:
    """Is this hospital ready for the study? One hospital is also asked for the first parameters."""

    study: str
    send_parameters: bool
    run: bytes | None = None
    """Which run of the study this is: 16 bytes, if its sums are secure."""
    kind = "prepare"

    def parts(self) -> Parts:
        """Return the wire form."""
        fields: dict[str, Scalar | list[int] | list[str]] = {
            "study": self.study,
            "send_parameters": int(self.send_parameters),
        }
        if self.run is None:
            return Parts(fields)
        return Parts(fields | {"sums": SUMS_FORM}, {"run": as_array(self.run)})

    @classmethod
    def parse(cls, parts: Parts) -> PrepareRequest:
        """Parse the wire form.

        Raises:
            VersionError: the coordinator's secure sums have another form than ours.
        """
        run = optional_bytes(parts, "run")
        if run is not None:
            check_sums_form(parts, "the coordinator", unnamed=1)
            if len(run) != RUN_BYTES:
                raise MessageError("a run is not named by 16 bytes")
        return cls(study_digest(parts), bool(scalar(parts, "send_parameters", int)), run)


@dataclass(frozen=True)
class Prepared:
    """The hospital is ready: its data are prepared and it built the model that the study's seed gives."""

    study: str
    layout: Layout
    parameters_digest: str
    parameters: Vector | None
    agreement: bytes | None = None
    """If sums are secure: the hospital's key for this run and its signature under it, 96 bytes."""
    fixed: Fixed | None = field(default=None, repr=False)
    """With the parameters, of a study that trains a part of its network: the rest of it, for the model's file."""

    def parts(self) -> Parts:
        """Return the wire form."""
        shapes = _written(self.layout)
        fields: dict[str, Scalar | list[int] | list[str]] = {
            "study": self.study,
            "names": list(self.layout.names),
            "shapes": shapes,
            "parameters_digest": self.parameters_digest,
        }
        arrays: dict[str, NDArray[Any]] = {} if self.parameters is None else {"parameters": self.parameters}
        if self.fixed is not None:
            fields |= {"fixed_names": list(self.fixed.layout.names), "fixed_shapes": _written(self.fixed.layout)}
            arrays["fixed"] = self.fixed.vector
        if self.agreement is None:
            return Parts(fields, arrays)
        return Parts(fields | {"sums": SUMS_FORM}, arrays | {"agreement": as_array(self.agreement)})

    @classmethod
    def parse(cls, parts: Parts) -> Prepared:
        """Parse the wire form."""
        layout = _layout(parts, "names", "shapes")
        vector = read_vector(parts, "parameters", layout.size) if "parameters" in parts.arrays else None
        agreement = optional_bytes(parts, "agreement")
        if agreement is not None:
            check_sums_form(parts, "the hospital", unnamed=1)
            if len(agreement) != AGREEMENT_BYTES:
                raise MessageError("a hospital's key for a run is not a key and a signature")
        fixed = None
        if "fixed" in parts.arrays:
            rest = _layout(parts, "fixed_names", "fixed_shapes")
            if set(rest.names) & set(layout.names):
                raise MessageError("a tensor of the model is both trained and fixed")
            fixed = Fixed(rest, read_vector(parts, "fixed", rest.size))
        return cls(study_digest(parts), layout, scalar(parts, "parameters_digest", str), vector, agreement, fixed)


@dataclass(frozen=True)
class TrainRequest:
    """Do round ``round``'s local work from these parameters."""

    study: str
    round: int
    parameters: Vector = field(repr=False)
    cohort: bytes | None = field(default=None, repr=False)
    """If sums are secure: over which hospitals, with which keys (``secagg.terms.write_members``)."""
    classes: ClassCounts | None = None
    """If the study counts classes: how many training images of each there are."""
    control: Vector | None = field(default=None, repr=False)
    """If steps are corrected (``strategies.contract.Variates``): the mean of the hospitals' control variates."""
    counted: int = 0
    """With it: the last round in which this hospital was counted, after which its own is in the mean; 0 for none."""
    kind = "train"

    @cached_property
    def parameters_digest(self) -> str:
        """Digest of the parameters, computed once."""
        return vector_digest(self.parameters)

    def parts(self) -> Parts:
        """Return the wire form."""
        fields: dict[str, Scalar | list[int] | list[str]] = {"study": self.study, "round": self.round}
        fields |= _form_of(self.cohort)
        arrays: dict[str, NDArray[Any]] = {} if self.classes is None else {"classes": self.classes.to_vector()}
        if self.control is not None:
            fields["counted"], arrays["control"] = self.counted, self.control
        return Parts(fields, _asked(self.parameters, self.cohort) | arrays)

    @classmethod
    def parse(cls, parts: Parts, size: int) -> TrainRequest:
        """Parse the wire form; ``size`` is the number of parameters of the study's model.

        Raises:
            VersionError: the coordinator's secure sums have another form than ours: nobody is trained on for it.
        """
        cohort = _cohort(parts)
        vector, classed = read_vector(parts, "parameters", size), parts.arrays.get("classes")
        classes = None if classed is None else ClassCounts.read(classed, classed.size)
        study, number = study_digest(parts), round_number(parts)
        if "control" not in parts.arrays:
            return cls(study, number, vector, cohort, classes)
        counted = scalar(parts, "counted", int)
        if not 0 <= counted < max(number, 1):
            raise MessageError("a hospital was last counted in no round before this one")
        return cls(study, number, vector, cohort, classes, read_vector(parts, "control", size), counted)


@dataclass(frozen=True)
class Update:
    """What local work gave: the difference to the parameters that were sent, and how much it rests on."""

    study: str
    round: int
    vector: Vector = field(repr=False)
    examples: int
    """Training images of the hospital: the weight of its update."""
    steps: int
    mean_loss: float | None
    """Over the round's steps, at most 65,536 nats; None under dp-sgd, since no noise was added to it."""
    epsilon: float | None
    """Spent so far by this study at this hospital; None without differential privacy."""

    def parts(self) -> Parts:
        """Return the wire form."""
        names = ("study", "round", "examples", "steps", "mean_loss", "epsilon")
        values = {name: getattr(self, name) for name in names}
        return Parts({name: value for name, value in values.items() if value is not None}, {"update": self.vector})

    @classmethod
    def parse(cls, parts: Parts, size: int) -> Update:
        """Parse the wire form; an update that is not finite is an error, since it would spoil the whole sum."""
        examples, steps = scalar(parts, "examples", int), scalar(parts, "steps", int)
        loss = scalar(parts, "mean_loss", float) if "mean_loss" in parts.fields else None
        epsilon = scalar(parts, "epsilon", float) if "epsilon" in parts.fields else None
        limits = ((loss, LOSS_LIMIT), (epsilon, sys.float_info.max))
        possible = all(value is None or 0 <= value <= most for value, most in limits)  # NaN is neither
        if not 1 <= examples <= MOST_EXAMPLES or steps < 0 or not possible:
            raise MessageError("an update's counts, loss or epsilon are not possible numbers")
        return cls(
            study_digest(parts), round_number(parts), read_vector(parts, "update", size), examples, steps, loss, epsilon
        )


@dataclass(frozen=True)
class EvaluateRequest:
    """How good are these parameters on the patients of a split?"""

    study: str
    round: int
    split: Split
    parameters: Vector = field(repr=False)
    cohort: bytes | None = field(default=None, repr=False)
    """As in a :class:`TrainRequest`."""
    everybody: NDArray[np.int64] | None = field(default=None, repr=False)
    """``distances`` only: the sums over the features of all hospitals (``FeatureSums``)."""
    kind = "evaluate"

    @cached_property
    def parameters_digest(self) -> str:
        """Digest of the parameters, computed once: the names of several things that are asked with them rest on it."""
        return vector_digest(self.parameters)

    def parts(self) -> Parts:
        """Return the wire form."""
        fields: dict[str, Scalar | list[int] | list[str]] = {
            "study": self.study,
            "round": self.round,
            "split": self.split,
        }
        fields |= _form_of(self.cohort)
        arrays = {} if self.everybody is None else {"everybody": self.everybody}
        return Parts(fields, _asked(self.parameters, self.cohort) | arrays)

    @classmethod
    def parse(cls, parts: Parts, size: int) -> EvaluateRequest:
        """Parse the wire form; ``size`` is the number of parameters of the study's model.

        Raises:
            VersionError: the coordinator's secure sums have another form than ours.
        """
        cohort = _cohort(parts)
        split = scalar(parts, "split", str)
        name = next((known for known in SPLITS if known == split), None)
        if name is None:
            raise MessageError(f"there is no split {split!r}")
        everybody = None
        if name == "distances":
            everybody = FeatureSums.from_vector(parts.arrays.get("everybody", np.zeros(0))).to_vector()
        vector = read_vector(parts, "parameters", size)
        return cls(study_digest(parts), round_number(parts), name, vector, cohort, everybody)


@dataclass(frozen=True)
class Evaluated:
    """Sums over a hospital's patients of a split: histograms of scores by class, losses, counts."""

    study: str
    round: int
    sums: NDArray[np.int64] = field(repr=False)

    def parts(self) -> Parts:
        """Return the wire form."""
        return Parts({"study": self.study, "round": self.round}, {"sums": self.sums})

    @classmethod
    def parse(cls, parts: Parts) -> Evaluated:
        """Parse the wire form; what the sums mean is checked by ``ScoreSums.from_vector``."""
        sums = parts.arrays.get("sums")
        if sums is None or sums.ndim != 1 or sums.dtype != np.int64:
            raise MessageError("the sums of an evaluation are missing or malformed")
        return cls(study_digest(parts), round_number(parts), sums.astype(np.int64, copy=False))


@dataclass(frozen=True)
class Failure:
    """The hospital could not answer; ``reason`` is the fixed word of an error class, never its text."""

    reason: str


Request = PrepareRequest | TrainRequest | EvaluateRequest
Reply = Prepared | Update | Evaluated


def scalar(parts: Parts, name: str, kind: type[T]) -> T:
    """Read one scalar of a message.

    Raises:
        MessageError: it is missing or of another type.
    """
    value = parts.fields.get(name)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise MessageError(f"the field {name!r} is not a float") from None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise MessageError(f"the field {name!r} is missing or is not of type {kind.__name__}")
    return value


def study_digest(parts: Parts) -> str:
    """Read the study digest that every message carries.

    Raises:
        MessageError: it is missing or malformed.
    """
    digest = scalar(parts, "study", str)
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise MessageError("the study digest is not 64 hexadecimal digits")
    return digest


def round_number(parts: Parts) -> int:
    """Read the number of a round.

    Raises:
        MessageError: it is missing or negative.
    """
    number = scalar(parts, "round", int)
    if number < 0:
        raise MessageError("a round's number is negative")
    return number


def optional_bytes(parts: Parts, name: str) -> bytes | None:
    """Read an array of bytes if the message has it.

    Raises:
        MessageError: it is an array of another form.
    """
    array = parts.arrays.get(name)
    if array is None:
        return None
    if array.ndim != 1 or array.dtype != np.uint8:
        raise MessageError(f"{name!r} is not an array of bytes")
    return array.tobytes()


def as_array(content: bytes) -> NDArray[np.uint8]:
    """Return bytes as the array that a message carries."""
    return np.frombuffer(content, np.uint8)


def check_sums_form(parts: Parts, who: str, unnamed: int = UNNAMED_FORM) -> None:
    """Check that a message of a secure sum has the form of this version; ``unnamed``: the form of one that names none.

    Raises:
        VersionError: it has another one.
    """
    form = parts.fields.get("sums", unnamed)
    if form != SUMS_FORM:
        raise VersionError(
            f"{who} runs a version of Wardround whose secure sums have another form (this one's is {SUMS_FORM})",
            do="Install the same version of Wardround here and there.",
        )


def _written(layout: Layout) -> list[str]:
    return [" ".join(map(str, shape)) for shape in layout.shapes]


def _layout(parts: Parts, names_key: str, shapes_key: str) -> Layout:
    """Read a layout from its wire form.

    Raises:
        MessageError: it is missing, or of another form.
    """
    names, shapes = parts.fields.get(names_key), parts.fields.get(shapes_key)
    if not isinstance(names, list) or not isinstance(shapes, list) or len(names) != len(shapes):
        raise MessageError("the layout of the model is missing or incomplete")
    try:
        sizes = tuple(tuple(int(size) for size in str(shape).split()) for shape in shapes)
    except ValueError:
        raise MessageError("the layout of the model has a shape that is not a list of integers") from None
    if any(size < 0 for shape in sizes for size in shape):
        raise MessageError("the layout of the model has a negative size")
    return Layout(tuple(map(str, names)), sizes)


def _form_of(cohort: bytes | None) -> dict[str, Scalar | list[int] | list[str]]:
    return {} if cohort is None else {"sums": SUMS_FORM}


def _cohort(parts: Parts) -> bytes | None:
    """Read over whom is summed, before anything else: a question of another form may have other parts."""
    if "cohort" in parts.arrays:
        check_sums_form(parts, "the coordinator")
    return optional_bytes(parts, "cohort")


def _asked(parameters: Vector, cohort: bytes | None) -> dict[str, NDArray[Any]]:
    return {"parameters": parameters} | ({} if cohort is None else {"cohort": as_array(cohort)})


def read_vector(parts: Parts, name: str, size: int) -> Vector:
    """Read a vector of ``size`` finite numbers.

    Raises:
        MessageError: it is missing, of another form, or has numbers that are not finite.
    """
    vector = parts.arrays.get(name)
    if vector is None or vector.dtype != np.float32 or vector.shape != (size,):
        raise MessageError(f"{name!r} is not a float32 vector of {size} numbers")
    if not np.isfinite(vector).all():
        raise MessageError(f"{name!r} has numbers that are not finite")
    return vector.astype(np.float32, copy=False)
