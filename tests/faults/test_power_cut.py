"""A power cut at either end: what was not flushed is gone, and the run continues to the same model anyway.

At the coordinator more is gone than may be: its database is set back to the last copy of its log, as by a disk that
lied about a flush, while the hospitals and its other files know what came after.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from faults.flushed import lose_the_tail
from faults.mortal import WATCH
from faults.test_kill import COORDINATOR, HOSPITAL, HOSPITAL_WITH_DP, Made, finished, planted, slug
from link import until
from processes import NAMES, WAIT_S, Site

pytestmark = pytest.mark.faults
A = NAMES[0]
HOSPITALS = {**HOSPITAL, **HOSPITAL_WITH_DP}
STAGES = (
    *((A, stage) for stage in HOSPITALS if stage in {
        "images are scanned and prepared",
        "its key for the run is on the disk",
        "a round is charged",
        "a masked upload is on the disk",
        "an answer is on the disk",
        "the survivors are confirmed",
    }),
    *(("C", stage) for stage in COORDINATOR if stage in {
        "a run has its number",
        "the cohort of a round is noted",
        "a round is asked",
        "an upload is read",
        "the survivors are noted",
        "a checkpoint is written",
        "the report is written",
    }),
)  # fmt: skip

IN_CI = ("a masked upload is on the disk", "a checkpoint is written")
"""One at each end, so that CI sees when the suite no longer runs."""


@pytest.fixture(scope="module")
def watched(site: Site) -> Iterator[Site]:
    """Let the first hospital and the coordinator be watched by what notes the flushes."""
    for extra in ({WATCH: "yes"}, {}):
        for who in (A, "C"):
            site.terminate(who)
            site.extra = extra
            site.start(who)
            site.extra = {}
        if extra:
            yield site


@pytest.fixture(scope="module")
def expected(watched: Site) -> Made:
    study = planted(watched, "no-cut", "dp")
    watched.approve_here(study)
    watched.begin(study)
    return finished(watched, study)


@pytest.mark.parametrize(
    ("who", "stage"),
    [pytest.param(*each, marks=[pytest.mark.slow] if each[1] in IN_CI else []) for each in STAGES],
    ids=slug,
)
def test_a_power_cut_leaves_what_is_needed_to_go_on_when(watched: Site, expected: Made, who: str, stage: str) -> None:
    site = watched
    study = planted(site, f"cut-{STAGES.index((who, stage))}", "dp")
    site.approve_here(study)
    fault = replace({**HOSPITALS, **COORDINATOR}[stage], does="power-cut")
    fault.write(site.folder, who)
    site.begin(study)
    until(lambda: site.running[who].poll() is not None, WAIT_S)
    assert site.running[who].wait() == -9, site.logs()
    assert (site.folder / f"{who}.cut").exists()
    if who == "C":
        database = site.folder / "C" / "link" / "superlink.db"
        lost = lose_the_tail(database)
        assert lost > 0, "nothing was lost: this shows nothing"
        with closing(sqlite3.connect(database)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    site.extra = {WATCH: "yes"}
    site.start(who)
    site.extra = {}
    assert finished(site, study) == expected
