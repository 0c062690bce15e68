"""Wardround from Python: simulate a federation of hospitals, plan its privacy, read its results.

The commands do the same things by the same functions::

    import wardround

    study = wardround.Study.new("first", classes=("none", "finding"), privacy="none", rounds=5)
    results = wardround.simulate(study, "hospitals", out="runs/first")
    results.to_frame()

Names are imported when they are used, so that ``import wardround`` takes no time; what needs torch waits for it then.
Versions are semantic: what ``docs/api.md`` lists keeps its names and meaning until the first number changes; before
version 1.0 a change of these is announced in ``CHANGELOG.md`` and raises the second number.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wardround_common.arguments import told_in_arguments

if TYPE_CHECKING:
    from wardround_client.intake.scanned import Scan as Scan
    from wardround_client.intake.scanned import scan as scan
    from wardround_client.prediction.answers import Predictions as Predictions
    from wardround_client.prediction.answers import predict as predict
    from wardround_common.errors import WardroundError as WardroundError
    from wardround_common.results.comparison import Comparison as Comparison
    from wardround_common.results.comparison import compare as compare
    from wardround_common.strategies.contract import Moments as Moments
    from wardround_common.strategies.contract import Strategy as Strategy
    from wardround_common.study.file import Study as Study
    from wardround_simulation.door.exporting import Exported as Exported
    from wardround_simulation.door.exporting import export as export
    from wardround_simulation.door.outcome import Results as Results
    from wardround_simulation.door.participants import Pool as Pool
    from wardround_simulation.door.participants import pool as pool
    from wardround_simulation.door.planning import Planned as Planned
    from wardround_simulation.door.planning import plan as plan
    from wardround_simulation.door.simulating import simulate as simulate
    from wardround_simulation.door.sweeping import SweepResults as SweepResults
    from wardround_simulation.door.sweeping import sweep as sweep

_WHERE = {
    "Study": "wardround_common.study.file",
    "simulate": "wardround_simulation.door.simulating",
    "Results": "wardround_simulation.door.outcome",
    "pool": "wardround_simulation.door.participants",
    "Pool": "wardround_simulation.door.participants",
    "sweep": "wardround_simulation.door.sweeping",
    "SweepResults": "wardround_simulation.door.sweeping",
    "plan": "wardround_simulation.door.planning",
    "Planned": "wardround_simulation.door.planning",
    "compare": "wardround_common.results.comparison",
    "Comparison": "wardround_common.results.comparison",
    "export": "wardround_simulation.door.exporting",
    "Exported": "wardround_simulation.door.exporting",
    "scan": "wardround_client.intake.scanned",
    "Scan": "wardround_client.intake.scanned",
    "predict": "wardround_client.prediction.answers",
    "Predictions": "wardround_client.prediction.answers",
    "Strategy": "wardround_common.strategies.contract",
    "Moments": "wardround_common.strategies.contract",
    "WardroundError": "wardround_common.errors",
}
"""Each name of the package and the module that it comes from, in the order in which a reader meets them."""

__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("wardround")
    if name not in _WHERE:
        raise AttributeError(f"module 'wardround' has no attribute {name!r}")
    found = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found if isinstance(found, type) else told_in_arguments(found)
    return globals()[name]


def __dir__() -> list[str]:
    return [*_WHERE, "__version__"]
