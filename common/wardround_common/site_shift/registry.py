"""The measures that are installed: each module of this package with a value ``MEASURE`` is one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from wardround_common import site_shift
from wardround_common.installed import installed
from wardround_common.registry import Registry, loads
from wardround_common.site_shift.contract import Measure

INSTALLED = loads((measure.name, measure) for measure in installed(site_shift, "MEASURE", Measure, besides=__name__))
MEASURES: Registry[Measure] = Registry("measure", lambda: INSTALLED)


def _named(name: str) -> str:
    """Return the name of a measure; none is a researcher's own, since a hospital must know what it keeps."""
    return name if name in INSTALLED else MEASURES.named(name[:0])


MeasureName = Annotated[str, AfterValidator(_named)]
"""The name of a measure that is installed."""
