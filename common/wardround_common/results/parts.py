"""What an exported model's folder holds besides the model itself: the same network in other forms, checked to be so."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ValidationError

from wardround_common.errors import StorageError
from wardround_common.results.site import Amount, Name, Record

PARTS = "parts.json"
FORMAT: Final = "wardround parts 1"


class Part(Record):
    """One other form of a model, or why it is not there."""

    name: Name
    """'ONNX', 'MONAI bundle'."""
    files: tuple[Name, ...] = ()
    """Which files it is; none if it was not made."""
    said: str
    """What a user must know of it; of a form that was not made, why, and what to do."""
    largest_difference: Amount | None = None
    """Of its outputs from PyTorch's, over the images of the check; None where nothing was compared."""
    tolerance: Amount | None = None
    """The largest difference that the check accepts."""


class Parts(Record):
    """``parts.json``: the forms that were made when a model was exported, and those that were not."""

    format: Literal["wardround parts 1"] = FORMAT
    parts: tuple[Part, ...]

    def content(self) -> bytes:
        """Return the file's bytes."""
        return (self.model_dump_json(indent=1) + "\n").encode()

    @classmethod
    def parse(cls, content: bytes, *, where: str = PARTS) -> Parts:
        """Read the file.

        Raises:
            StorageError: it is another file, or of another version.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            raise StorageError("this does not list the parts of an exported model", where=where) from None
