"""The parts of a study in the ledger: those it trains on, and with noise those on whom its model is judged.

Each has a digest and a name of its own. The first are the study's; the others follow from these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from wardround_common.canonical import joined
from wardround_common.privacy.noisy_evaluation import SPLITS, Judging


def part_of(study: str, split: Judging) -> str:
    """Return the digest under which the ledger has the patients of a split in the study of a digest."""
    return hashlib.sha256(joined(b"wardround study judged on 1", study.encode(), split.encode())).hexdigest()


def parts_of(study: str) -> tuple[str, ...]:
    """Return the digests under which the ledger may have a study: its own first."""
    return study, *(part_of(study, split) for split in SPLITS)


def whole_of(part: str, studies: Iterable[str]) -> str:
    """Return the digest of the study, among some, of which this is a part; its own if it is a part of none of them."""
    return next((study for study in studies if part in parts_of(study)[1:]), part)


def name_of(study: str, split: Judging | None) -> str:
    """Return what the ledger calls the patients of a split in the study of a name; None: those it trains on."""
    return f"{study} ({split})" if split else study


def unit_of(name: str) -> str:
    """Return what is charged to the part of a name: rounds, or of those on whom the model is judged evaluations."""
    return "evaluation" if any(name.endswith(name_of("", split)) for split in SPLITS) else "round"
