"""What two studies of nearly the same hospitals tell together, which each of them alone does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wardround_common.study.file import Study


def said_of_near_rosters(study: Study, approved: Iterable[Study]) -> Iterator[str]:
    """Say which of the studies approved here differ from this one by fewer hospitals than a secure sum may be over.

    The sums of the one less those of the other are over these few, as far as both judge one model on the same patients
    (docs/secagg.md, section 10).
    """
    if not study.aggregation.secure:
        return
    ours = {one.key: one.name for one in study.roster}
    for other in approved:
        theirs = {one.key: one.name for one in other.roster}
        more, fewer = (ours, theirs) if len(ours) > len(theirs) else (theirs, ours)
        apart = sorted(more[key] for key in more.keys() - fewer.keys())
        if other.digest() == study.digest() or fewer.keys() - more.keys():
            continue
        if other.aggregation.secure and 0 < len(apart) < study.aggregation.min_hospitals:
            yield (
                f"Its hospitals are those of '{other.study.name}', which was approved here, but for "
                f"{', '.join(apart)}. Where both judge nearly one model on the same patients, their secure sums less "
                "one another are those of these few. If it is not plain why there are two studies, ask the coordinator."
            )
