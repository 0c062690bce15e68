"""What studies of nearly the same hospitals tell together, which each of them alone does not."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from wardround_common.study.file import Study

MOST_TOGETHER = 6
"""Of the earlier studies, how many with rosters that differ are looked at all together."""
WEIGHTS = (-2, -1, 0, 1, 2)
"""With which their sums are."""


def said_of_near_rosters(study: Study, approved: Iterable[Study]) -> Iterator[str]:
    """Say from which of the studies approved here this one differs by fewer hospitals than a secure sum may be over.

    The sums of the one less those of the other are over these few, as far as both judge one model on the same patients
    (docs/secagg.md, section 10). Where each has some that the other has not, the signs of the difference tell them
    apart: scores are counted finely, and few of them fall together. Three studies and more can leave few hospitals
    where no two of them do: that is said, too.
    """
    if not study.aggregation.secure:
        return
    earlier = [one for one in approved if one.digest() != study.digest() and one.aggregation.secure]
    ours, shown = _listed(study), []
    for other in earlier:
        theirs = _listed(other)
        here, there = _lacking(ours, theirs), _lacking(theirs, ours)
        least = max(study.aggregation.min_hospitals, other.aggregation.min_hospitals)
        most = min(least - 1, len(ours) - len(here)) if here and there else least - 1  # else hardly nearly the same
        few = [some for some in (here, there) if 0 < len(some) <= most]
        if not few:
            continue
        shown.append(min(map(len, few)))
        if here and there:
            apart = (
                f"It lists {', '.join(here)} and not {', '.join(there)}, whom '{other.study.name}' lists, which was "
                "approved here."
            )
            whose = f"mostly those of {', or of '.join(map(', '.join, few))}, alone"
        else:
            those = f"those of '{other.study.name}', which was approved here"
            apart = f"Its hospitals are {those}, but for {', '.join(few[0])}."
            whose = "those of these few"
        yield (
            f"{apart} Where both judge nearly one model on the same patients, their secure sums less one another are "
            f"{whose}. If it is not plain why there are two studies, ask the coordinator."
        )
    if (found := _fewest_of_all(study, earlier)) and (not shown or len(found[1]) < min(shown)):
        names, few_of_all = found
        yield (
            f"Its secure sums and those of {', '.join(names)}, which were approved here, can be added and subtracted "
            f"so that mostly those of {', '.join(few_of_all)} are left, where all judge nearly one model on the same "
            "patients. If it is not plain why there are so many studies, ask the coordinator."
        )


def _fewest_of_all(study: Study, earlier: Sequence[Study]) -> tuple[list[str], list[str]] | None:
    """Name the fewest hospitals that are left of sums of the study and of two or more earlier ones, and these studies.

    None where on one side, of those that are added or of those that are subtracted, as many are left as a sum needs.
    """
    others = {frozenset(_listed(one)): one for one in earlier}  # of equal rosters one
    others.pop(frozenset(_listed(study)), None)
    known = [study, *list(others.values())[-MOST_TOGETHER:]]
    least = max(one.aggregation.min_hospitals for one in known)
    rosters = [_listed(one) for one in known]
    names = {key: name for one in reversed(rosters) for key, name in one.items()}
    keys = sorted(names, key=names.__getitem__)
    there = np.array([[key in one for key in keys] for one in rosters], np.int64)  # (studies, hospitals)
    kinds, of_kind, alike = np.unique(there, axis=1, return_inverse=True, return_counts=True)
    weights = np.array(list(itertools.product((1, 2), *[WEIGHTS] * (len(known) - 1))))
    weights = weights[np.count_nonzero(weights, axis=1) > 2]
    left = weights @ kinds  # (weightings, kinds of hospitals)
    added, taken = (left > 0) @ alike, (left < 0) @ alike
    few = np.flatnonzero((np.maximum(added, taken) < least) & (added + taken > 0))
    if not len(few):
        return None
    best = min(few.tolist(), key=lambda at: (added[at] + taken[at], np.count_nonzero(weights[at])))
    shown = [names[key] for key, kind in zip(keys, of_kind.ravel().tolist(), strict=True) if left[best, kind]]
    used = [f"'{one.study.name}'" for one, weight in zip(known[1:], weights[best, 1:], strict=True) if weight]
    return sorted(used), shown


def _listed(study: Study) -> dict[str, str]:
    """Return the names of a study's hospitals by their keys."""
    return {one.key: one.name for one in study.roster}


def _lacking(some: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Name those whose keys the others have not."""
    return sorted(some[key] for key in some.keys() - others.keys())
