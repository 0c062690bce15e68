"""How many files a new network, strategy, format, step or task touches: run with ``make touched``.

Now: the files of the worked examples in ``CONTRIBUTING.md``, which a test puts into a copy of the code and trains
with (``tests/simulation/test_contributing.py``). Before: the files of the four packages that named an existing one when
their modules lay flat, so that another one of its kind would have been an edit of each.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
FLAT = "6b2ed24"
NAMED = {"network": "efficientnet", "strategy": "fedyogi", "format": "nifti", "step": "percentile", "task": "auroc"}
PACKAGES = [f"{package}/*.py" for package in ("common", "client", "server", "simulation")]


def after() -> dict[str, int]:
    """Count the files of each worked example."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = re.split(r"^### An? (\w+)$", text, flags=re.MULTILINE)[1:]
    counts = [len(re.findall(r"^`[\w/]+\.py`:$", part, re.MULTILINE)) for part in parts[1::2]]
    return dict(zip(parts[::2], counts, strict=True))


def before(word: str) -> str:
    """Count the files that named something, in any case; a question mark where the history does not go back so far."""
    found = subprocess.run(
        ["git", "grep", "-il", word, FLAT, "--", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return str(len(found.stdout.splitlines())) if found.returncode == 0 else "?"


def main() -> None:
    """Print the table."""
    table = Table("a new", "files before", "named", "files now")
    for kind, count in after().items():
        table.add_row(kind, before(NAMED[kind]), NAMED[kind], str(count))
    Console().print(table)


if __name__ == "__main__":
    main()
