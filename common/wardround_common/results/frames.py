"""Rows of plain values as a pandas DataFrame, where pandas is installed: it is an extra, and nothing else needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wardround_common.errors import StudyError

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Return rows as a pandas DataFrame.

    Raises:
        StudyError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise StudyError(
            "a table as a DataFrame needs pandas, which is not installed",
            do="Run: pip install 'wardround[frames]', or use the method 'rows'.",
        ) from None
    return pd.DataFrame([dict(row) for row in rows])
