"""What two studies of nearly the same hospitals tell together, which each of them alone does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from wardround_common.study.file import Study


def said_of_near_rosters(study: Study, approved: Iterable[Study]) -> Iterator[str]:
    """Say from which of the studies approved here this one differs by fewer hospitals than a secure sum may be over.

    The sums of the one less those of the other are over these few, as far as both judge one model on the same patients
    (docs/secagg.md, section 10). Where each has some that the other has not, the signs of the difference tell them
    apart: scores are counted finely, and few of them fall together.
    """
    if not study.aggregation.secure:
        return
    ours = {one.key: one.name for one in study.roster}
    for other in approved:
        if other.digest() == study.digest() or not other.aggregation.secure:
            continue
        theirs = {one.key: one.name for one in other.roster}
        here, there = _lacking(ours, theirs), _lacking(theirs, ours)
        least = max(study.aggregation.min_hospitals, other.aggregation.min_hospitals)
        most = min(least - 1, len(ours) - len(here)) if here and there else least - 1  # else hardly nearly the same
        few = [", ".join(some) for some in (here, there) if 0 < len(some) <= most]
        if not few:
            continue
        if here and there:
            apart = (
                f"It lists {', '.join(here)} and not {', '.join(there)}, whom '{other.study.name}' lists, which was "
                "approved here."
            )
            whose = f"mostly those of {', or of '.join(few)}, alone"
        else:
            apart = f"Its hospitals are those of '{other.study.name}', which was approved here, but for {few[0]}."
            whose = "those of these few"
        yield (
            f"{apart} Where both judge nearly one model on the same patients, their secure sums less one another are "
            f"{whose}. If it is not plain why there are two studies, ask the coordinator."
        )


def _lacking(some: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Name those whose keys the others have not."""
    return sorted(some[key] for key in some.keys() - others.keys())
