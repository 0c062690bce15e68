"""What a study does, in plain words: what leaves a hospital, what does not, what it costs, who can see what.

These words are a promise to the people who approve a study; they change together with the code that they describe.
"""

from __future__ import annotations

from dataclasses import dataclass

from wardround_common.study.file import Study
from wardround_common.study.words.cost import cost, cost_of_start
from wardround_common.study.words.leaving import leaves, stays
from wardround_common.study.words.readers import hospitals, seen, tracked
from wardround_common.study.words.work import work


@dataclass(frozen=True)
class Passage:
    """One heading and the sentences below it."""

    heading: str
    sentences: tuple[str, ...]


def describe(study: Study) -> tuple[Passage, ...]:
    """Say what a study will do, for the people at a hospital who approve it."""
    return (
        Passage("What it will do", tuple(work(study))),
        Passage("Who may take part", tuple(hospitals(study))),
        Passage("What leaves a hospital", tuple(leaves(study))),
        Passage("What does not leave a hospital", tuple(stays(study))),
        Passage("What it costs in privacy", (*cost(study), *cost_of_start(study))),
        Passage("What the coordinator can see in this version", (*seen(study), *tracked(study))),
    )
