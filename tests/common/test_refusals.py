"""People are told what a reason means, and not its short name alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wardround_common.refusals import LEFT_OUT, MEANINGS, explained, meaning

DOCS = Path(__file__).parents[2] / "docs"


def reasons_of(page: str) -> set[str]:
    """Return the short names in the first cells of a page's tables of reasons."""
    parts = re.split(r"\n\| (?:reason|counted as) \|.*\n\|[-|]+\n", (DOCS / page).read_text(encoding="utf-8"))[1:]
    rows = [line for part in parts for line in part.partition("\n\n")[0].splitlines()]
    return {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}


@pytest.mark.parametrize(("page", "least"), [("segmentation.md", 10), ("volumes.md", 30), ("detection.md", 10)])
def test_every_reason_of_the_pages_has_a_meaning(page: str, least: int) -> None:
    reasons = reasons_of(page) - {"mask-"}
    assert len(reasons) >= least
    assert [reason for reason in sorted(reasons) if not meaning(reason)] == []


def test_a_count_says_what_its_reason_means() -> None:
    said = explained({"other-series": 1048, "mask-other-patient": 2, "boxes-no-box": 1, "mask-mask-geometry": 3})
    assert said.startswith("1,048 other-series (in series that the study does not take), 2 mask-other-patient (of")
    assert f"3 mask-mask-geometry ({MEANINGS['mask-geometry'][0]})" in said
    assert explained({"a-plug-ins-own": 1}) == "1 a-plug-ins-own"
    assert explained({}) == ""


def test_a_reason_has_one_meaning() -> None:
    assert not LEFT_OUT.keys() & MEANINGS.keys()
