"""``unlike.json``: by what a model tells that an image is unlike those that it was made with.

It is written beside the model when the sums over validation patients are there, and goes with it
(:mod:`wardround_common.metrics.unlike`; docs/prediction.md).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from wardround_common.errors import MessageError, StorageError
from wardround_common.metrics.unlike import DistanceSums, FeatureSums, Usual
from wardround_common.results.site import Rate, Record
from wardround_common.storage import read_whole

UNLIKE: Final = "unlike.json"
Numbers = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(strict=False)]


class Unlike(Record):
    """The sums over the features of all validation images, and over their distances."""

    format: Literal["wardround unlike 1"] = "wardround unlike 1"
    model: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the parameters whose features these are."""
    fraction: Rate
    """Of new images of the same kind, the part that is expected below the threshold."""
    moments: Numbers
    """``FeatureSums`` as a vector."""
    histogram: Numbers = ()
    """``DistanceSums`` as a vector; empty as long as they are not there."""

    @cached_property
    def usual(self) -> Usual:
        """Where the features of the model's images lie."""
        return Usual(FeatureSums.from_vector(np.array(self.moments, np.int64)))

    @cached_property
    def distances(self) -> DistanceSums:
        """How often each distance was found among them."""
        return DistanceSums.from_vector(np.array(self.histogram, np.int64)) if self.histogram else DistanceSums.empty()

    @cached_property
    def threshold(self) -> float | None:
        """The distance beyond which an image is unlike them; None where there are too few to say."""
        return self.distances.threshold(self.fraction)

    def content(self) -> bytes:
        """Return the file's bytes."""
        return (self.model_dump_json() + "\n").encode()


def read_summed(path: Path) -> Unlike | None:
    """Read what a run noted of these sums; None where it noted nothing yet.

    Raises:
        StorageError: the file cannot be read, or does not hold them. Hospitals answer each question once, so that they
            cannot be asked for them again.
    """
    if not path.exists():
        return None
    try:
        return parse_unlike(read_whole(path), path)
    except StorageError as error:
        error.do = (
            "Restore it from your backup or make it readable, then resume the run; or move it away: the run then ends "
            "with a model that does not say which images are unlike those of its training."
        )
        raise


def parse_unlike(content: bytes, where: Path) -> Unlike:
    """Read the content of the file.

    Raises:
        StorageError: it is none, or of another version.
    """
    try:
        found = Unlike.model_validate_json(content)
        _ = found.usual, found.distances
    except (ValidationError, MessageError, ValueError):
        raise StorageError(
            "this does not say what images of the model are like",
            where=str(where),
            do="Ask for the model's folder again, or read it with the version of Wardround that wrote it.",
        ) from None
    return found
