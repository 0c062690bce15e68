"""The pages for operators lead from nothing to a released model in as many lines as they are said to."""

from __future__ import annotations

from operators_pages import ROOT, Line, Page

COORDINATOR, HOSPITAL = Page("operations-coordinator.md"), Page("operations-hospital.md")
STUDY = "For each study"


def test_the_straight_way_has_as_many_lines_as_are_counted() -> None:
    once, enrolling = COORDINATOR.block("Once"), COORDINATOR.block("For each hospital")
    coordinator = len(once) + 3 * len(enrolling) + sum(len(COORDINATOR.block(STUDY, part)) for part in (0, 1))
    stating = len(HOSPITAL.block(STUDY, 2))
    hospital = sum(len(HOSPITAL.block(*part)) for part in (("Once", 0), ("Once", 1), (STUDY, 0))) + stating
    said = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"privacy and secure sums | {coordinator + 3 * hospital} |" in said
    assert f"| of these at the coordinator / at each hospital | {coordinator} / {hospital} |" in said
    assert f"what a hospital's patients spent | {3 * stating} |" in said


def test_what_is_printed_is_looked_for_in_the_pages_order_and_words_are_taken_from_it() -> None:
    line = Line("approve STUDY", ("Error: … by 'STUDY' DIGEST (0 of …", "  → wardround hospital close DIGEST. …"))
    printed = "Error: 8 is kept by 'lung' 0123456789ab (0 of 8 rounds)\n  → wardround hospital close 0123456789ab. Or"
    assert line.taken(printed, {"STUDY": "lung"}) == {"DIGEST": "0123456789ab"}
    assert line.taken(printed, {"STUDY": "heart"}) is None
    assert line.taken(printed.replace("close 01", "close 02"), {"STUDY": "lung"}) is None
    assert (line.fails, line.typed({"STUDY": "lung"})) == (True, "approve lung")
    assert Line("enrol", ("Is it? [y/N]: y", "Wrote it")).answers == "y\n"
