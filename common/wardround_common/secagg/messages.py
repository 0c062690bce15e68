"""A secure sum's messages in the wire form that all messages have (docs/secagg.md, section 8).

======== ============================================== ========================================
question asks                                           answer
======== ============================================== ========================================
train    one round of local work, to be summed          the masked update and counts, the shares
evaluate sums over the patients of a split              the masked sums, the shares
confirm  are these the only survivors of the sum?       a signature under their list
open     the shares that open the sum over that list    the shares
======== ============================================== ========================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.messages.rounds import (
    SUMS_FORM,
    Parts,
    as_array,
    check_sums_form,
    optional_bytes,
    round_number,
    scalar,
    study_digest,
)
from wardround_common.secagg.exchange import Masked, Upload
from wardround_common.secagg.terms import What


@dataclass(frozen=True)
class MaskedAnswer:
    """A hospital's upload, in answer to train or evaluate."""

    study: str
    round: int
    upload: Upload
    statement: bytes = field(default=b"", repr=False)
    """Of what was clipped (``secagg.statements``); empty if the study asks for none."""

    def parts(self) -> Parts:
        """Return the wire form."""
        masked = self.upload.masked
        arrays = {"update": masked.update, "counts": masked.counts, "envelope": as_array(self.upload.envelope())}
        if self.statement:
            arrays["statement"] = as_array(self.statement)
        return Parts({"study": self.study, "round": self.round, "sums": SUMS_FORM}, arrays)

    @classmethod
    def parse(cls, parts: Parts, size: int, counts: int, dtype: np.dtype[Any], circle: int) -> MaskedAnswer:
        """Parse the wire form of an update of ``size`` ring numbers and some counts, with shares for a circle.

        Raises:
            VersionError: the hospital's secure sums have another form than ours.
        """
        check_sums_form(parts, "the hospital")
        masked = Masked(_numbers(parts, "update", size, dtype), _numbers(parts, "counts", counts, np.dtype("<u8")))
        upload = Upload.read(masked, _bytes(parts, "envelope"), circle)
        return cls(study_digest(parts), round_number(parts), upload, optional_bytes(parts, "statement") or b"")


@dataclass(frozen=True)
class ConfirmRequest:
    """Are these the only survivors whose sum you will open?"""

    study: str
    round: int
    what: What
    survivors: bytes = field(repr=False)
    kind = "confirm"

    def parts(self) -> Parts:
        """Return the wire form."""
        return _parts(self.study, self.round, self.what, {"survivors": self.survivors})

    @classmethod
    def parse(cls, parts: Parts) -> ConfirmRequest:
        """Parse the wire form."""
        return cls(study_digest(parts), round_number(parts), _what(parts), _bytes(parts, "survivors"))


@dataclass(frozen=True)
class Confirmation:
    """A signature under the list of survivors."""

    study: str
    round: int
    signature: bytes = field(repr=False)

    def parts(self) -> Parts:
        """Return the wire form."""
        return Parts({"study": self.study, "round": self.round}, {"signature": as_array(self.signature)})

    @classmethod
    def parse(cls, parts: Parts) -> Confirmation:
        """Parse the wire form."""
        return cls(study_digest(parts), round_number(parts), _bytes(parts, "signature"))


@dataclass(frozen=True)
class OpenRequest:
    """Open the sum over the survivors who were confirmed."""

    study: str
    round: int
    what: What
    confirmations: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    kind = "open"

    def parts(self) -> Parts:
        """Return the wire form."""
        arrays = {"confirmations": self.confirmations, "sealed": self.sealed}
        return _parts(self.study, self.round, self.what, arrays)

    @classmethod
    def parse(cls, parts: Parts) -> OpenRequest:
        """Parse the wire form."""
        confirmations, sealed = _bytes(parts, "confirmations"), _bytes(parts, "sealed")
        return cls(study_digest(parts), round_number(parts), _what(parts), confirmations, sealed)


@dataclass(frozen=True)
class Opened:
    """A hospital's shares of the survivors' secrets."""

    study: str
    round: int
    shares: bytes = field(repr=False)

    def parts(self) -> Parts:
        """Return the wire form."""
        return Parts({"study": self.study, "round": self.round}, {"shares": as_array(self.shares)})

    @classmethod
    def parse(cls, parts: Parts) -> Opened:
        """Parse the wire form."""
        return cls(study_digest(parts), round_number(parts), _bytes(parts, "shares"))


def _parts(study: str, number: int, what: What, arrays: Mapping[str, bytes]) -> Parts:
    written = {name: as_array(content) for name, content in arrays.items()}
    return Parts({"study": study, "round": number, "what": what}, written)


def _what(parts: Parts) -> What:
    word = scalar(parts, "what", str)
    if word not in ("train", "evaluate"):
        raise MessageError(f"there is no sum {word!r}")
    return "train" if word == "train" else "evaluate"


def _bytes(parts: Parts, name: str) -> bytes:
    content = optional_bytes(parts, name)
    if content is None:
        raise MessageError(f"the bytes {name!r} are missing")
    return content


def _numbers(parts: Parts, name: str, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    array = parts.arrays.get(name)
    if array is None or array.dtype != dtype or array.shape != (size,):
        raise MessageError(f"{name!r} is not a vector of {size} numbers of the ring")
    return array
