"""What the benchmarks share: a table on the screen, and the same figures as flat JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.table import Table

from wardround_common.errors import WardroundError


def most_resident() -> int:
    """Return the most bytes that this process had resident, on Linux.

    Not ``ru_maxrss``: that of a started process begins at what its parent had when it started it.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _said(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error of ours, or a file that DATA lacks, as the commands do; a bug keeps its traceback."""
    if isinstance(error, WardroundError):
        print(f"Error: {error}", file=sys.stderr)
    elif isinstance(error, FileNotFoundError | NotADirectoryError) and error.filename is not None:
        print(f"Error: {error.filename}: there is no such file or folder", file=sys.stderr)
        do = "Name the data that this benchmark is of: its first lines say which."
        if not any(str(error.filename).startswith(given) for given in sys.argv[1:]):
            do = "What this benchmark needs is not installed here: 'make' with its target installs it."
        print(f"  → {do}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _said

RESULTS = Path(__file__).parent / "results"
SMALL = 1e-3
"""Below which a figure keeps digits instead of decimals."""


def known(name: str) -> dict[str, float]:
    """Return the figures of an earlier run; none if there was none."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def report(
    name: str, figures: Mapping[str, float], meanings: Mapping[str, str], before: Mapping[str, float] | None = None
) -> None:
    """Print the figures with what they mean, and write ``results/NAME.json``, with those of ``before`` that stay."""
    table = Table(title=name)
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for figure, value in figures.items():
        table.add_row(
            figure, f"{value:.3f}" if value == 0 or abs(value) >= SMALL else f"{value:.2e}", meanings.get(figure, "")
        )
    Console(width=120).print(table)
    RESULTS.mkdir(exist_ok=True)
    rounded = {figure: _rounded(float(value)) for figure, value in {**(before or {}), **figures}.items()}
    (RESULTS / f"{name}.json").write_text(json.dumps(rounded, indent=2) + "\n")


def _rounded(value: float) -> float:
    return round(value, 4) if abs(value) >= SMALL else float(f"{value:.3g}")
