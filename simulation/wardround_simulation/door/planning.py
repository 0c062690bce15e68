"""``plan`` as a function: a study and hospitals' sizes in, noise and epsilon out, before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround_client import networks
from wardround_client.training.rehearsal import rehearse
from wardround_common.arguments import checked
from wardround_common.errors import StudyError
from wardround_common.results.frames import frame
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd
from wardround_simulation.door.simulating import as_study
from wardround_simulation.plan import StudyPlan, plan_study

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Planned:
    """What a study will cost at hospitals of given sizes, and the signal that is left."""

    study: Study = field(repr=False)
    plan: StudyPlan

    @property
    def epsilon(self) -> float:
        """The most that a patient of any hospital will have spent, with all rounds."""
        spends = (
            [*self.plan.local] if self.plan.distributed is None or not self._shared else [self.plan.distributed.all]
        )
        return max(one.epsilon for one in spends)

    @property
    def _shared(self) -> bool:
        return isinstance(self.study.privacy, DistributedDpSgd)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each hospital under local trust, and all together under distributed trust."""
        for number, spend in enumerate(self.plan.local, 1):
            yield {"noise of": f"local, no. {number}", **dataclasses.asdict(spend)}
        if self.plan.distributed is not None:
            yield {"noise of": "distributed, all", **dataclasses.asdict(self.plan.distributed.all)}

    def to_frame(self) -> DataFrame:
        """Return the rows as a pandas DataFrame.

        Raises:
            StudyError: pandas is not installed.
        """
        return frame(self.rows())

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        from wardround_simulation.plan_page import HEAD, cells

        rows = [HEAD, *cells(self.plan)]
        return f"<table>{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</table>"


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in row)


@checked
def plan(
    study: Study | Path | str,
    patients: Sequence[int],
    *,
    dropouts: int | None = None,
    colluders: int | None = None,
) -> Planned:
    """Plan a private study: compute its privacy cost and the noise it needs, before anything is trained.

    Args:
        study: a study, or the path of a study file.
        patients: number of training patients at each hospital.
        dropouts: hospitals that may drop out of a step; None for what the study says, else 0.
        colluders: hospitals that may reveal their noise; None for what the study says, else 1.

    Raises:
        StudyError: the study is wrong.
        PrivacyError: the study has no differential privacy, or cannot keep what it promises.
    """
    parsed, counts = as_study(study), [int(count) for count in patients]
    if not counts or min(counts) < 1:
        raise StudyError("there is nothing to plan for", do="Give the number of training patients of each hospital.")
    rehearse(parsed)
    parameters = sum(each.numel() for each in networks.build(parsed).parameters() if each.requires_grad)
    privacy = parsed.privacy
    usual = (privacy.dropouts, privacy.colluders) if isinstance(privacy, DistributedDpSgd) else (0, 1)
    terms = (usual[0] if dropouts is None else dropouts, usual[1] if colluders is None else colluders)
    return Planned(parsed, plan_study(parsed, counts, parameters, *terms))
