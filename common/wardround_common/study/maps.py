"""``[evaluation] maps``: by which method the kept model is explained at the hospitals, and what counts as a lesion."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from wardround_common.section import Section, Word, each_once

MOST_LESIONS = 20


class Maps(Section):
    """``maps = { method = "integrated-gradients", lesions = ["tumour*"] }``."""

    LATER = ("lesions",)

    method: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)] = "integrated-gradients"
    """A method of ``wardround explain``, by its name; a hospital refuses a study whose method it has not installed."""
    lesions: Annotated[tuple[Word, ...], Field(max_length=MOST_LESIONS, strict=False), AfterValidator(each_once)] = ()
    """The structures that are lesions, as the hospitals' masks call them, with ``*`` for any characters; none: all."""
