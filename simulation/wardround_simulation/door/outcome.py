"""What came of a run, for a person who reads it in Python: tables, pictures, and the summary as a notebook shows it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround_common.arguments import checked
from wardround_common.errors import StorageError
from wardround_common.results import ALL, FEDERATED, HospitalRecord, RoundRecord, SiteMetrics
from wardround_common.results import Results as Record
from wardround_common.results.comparison import read_results
from wardround_common.results.frames import frame
from wardround_common.study.file import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Results:
    """The results of a run and the folder that it is in."""

    record: Record = field(repr=False)
    """All of them, as ``results.json`` and the report have them."""
    folder: Path

    @classmethod
    @checked
    def read(cls, folder: Path | str) -> Results:
        """Read the results of a run from its folder.

        Raises:
            StorageError: there is no run, or it has no results yet, or they are damaged.
        """
        return cls(read_results(Path(folder)), Path(folder))

    def __fspath__(self) -> str:
        """Return the folder's path, so that results stand where a run is asked for."""
        return str(self.folder)

    @property
    def study(self) -> Study:
        """The study that was run."""
        return self.record.study

    @property
    def hospitals(self) -> tuple[HospitalRecord, ...]:
        """What each hospital had and spent."""
        return self.record.hospitals

    @property
    def rounds(self) -> tuple[RoundRecord, ...]:
        """What each completed round took and gave."""
        return self.record.rounds

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know, one sentence each."""
        return self.record.notes

    @property
    def epsilon(self) -> float | None:
        """The most that a patient of any hospital has spent; None without differential privacy."""
        return max((one.privacy.epsilon for one in self.hospitals if one.privacy), default=None)

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.folder / "report.html"

    @property
    def model(self) -> Path:
        """The weights of the model."""
        return self.folder / "model.safetensors"

    @checked
    def site(self, model: str = FEDERATED, site: str = ALL) -> SiteMetrics:
        """Return how a model does on a site's test patients: a hospital's, or those of all.

        Raises:
            StorageError: the run did not judge such a model, or not there.
        """
        found = self.record.evaluation.get(model, {}).get(site)
        if found is None:
            models = ", ".join(self.record.evaluation) or "none"
            sites = ", ".join(self.record.evaluation.get(model, {}))
            raise StorageError(
                f"the run has no figures of the model {model!r} at {site!r}",
                where=str(self.folder),
                do=f"It has those of {model!r} at {sites}." if sites else f"Its models are {models}.",
            )
        return found

    @checked
    def value(self, metric: str | None = None, *, model: str = FEDERATED, site: str = ALL) -> float | None:
        """Return a metric, by default the task's headline; None where these patients do not define it.

        Raises:
            StorageError: there is no such metric, or no such figures.
        """
        found, name = self.site(model, site), metric or self.record.headline.name
        if name not in found.metrics:
            raise StorageError(f"there is no metric {name!r}", do=f"There are {', '.join(found.metrics)}.")
        return found.value(name)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each metric of each model at each site, with its 95 % interval where there is one."""
        for model, sites in self.record.evaluation.items():
            for site, of in sites.items():
                for name, estimate in of.metrics.items():
                    yield {
                        "model": model,
                        "site": site,
                        "patients": of.patients,
                        "images": of.images,
                        "metric": name,
                        "value": estimate.value,
                        "low": estimate.low,
                        "high": estimate.high,
                    }

    def to_frame(self) -> DataFrame:
        """Return every metric of every model at every site as a pandas DataFrame, one row each.

        Raises:
            StudyError: pandas is not installed.
        """
        return frame(self.rows())

    def rounds_to_frame(self) -> DataFrame:
        """Return the rounds as a pandas DataFrame, one row each.

        Raises:
            StudyError: pandas is not installed.
        """
        return frame(
            {
                "round": one.number,
                "seconds": one.seconds,
                "training_loss": one.training_loss,
                "validation_loss": one.validation_loss,
                one.headline.metric: one.headline.value,
                "epsilon": one.epsilon,
                "answered": len(one.answered),
                "absent": len(one.absent),
            }
            for one in self.rounds
        )

    def figures(self) -> dict[str, Figure]:
        """Return the pictures of the report as matplotlib figures, by name; those that the run has not are left out."""
        from wardround_server.report.figures import course, quality, sites, style

        drawers = {
            "headline": course.headline,
            "loss": course.loss,
            "epsilon": course.epsilon,
            "seconds": course.seconds,
            "traffic": course.traffic,
            "attendance": course.attendance,
            "hospitals": sites.forest,
            "roc": quality.roc,
            "precision_recall": quality.precision_recall,
            "calibration": quality.calibration,
        }
        with style.in_style():
            drawn = {name: draw(self.record) for name, draw in drawers.items()}
        return {name: one.figure for name, one in drawn.items() if one is not None}

    def summary(self) -> str:
        """Return the summary that the command prints, as text."""
        return self._printed(html=False)

    def _repr_html_(self) -> str:
        """Return the summary as a notebook shows it."""
        return self._printed(html=True)

    def _printed(self, *, html: bool) -> str:
        from rich.console import Console

        from wardround_server.report import summary

        # In a notebook rich would show it, besides what is returned here.
        console = Console(record=True, file=io.StringIO(), width=110, force_jupyter=False)
        console.print(summary(self.record))
        if not html:
            return console.export_text(styles=False)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
