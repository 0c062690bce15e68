"""Put each case in, and print what became of it: ``make cases``. Ends with 1 if one is not as expected."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cases.case import Case
from cases.families import FAMILIES

NARROWEST = 150
"""Columns of the table, also where a terminal has fewer or there is none."""
SHARES = {"put in": 10, "expected": 9, "what became of it": 13}
"""How the width of the table is shared out."""


def show(families: Mapping[str, Sequence[Case]], console: Console) -> int:
    """Run the cases and print one line for each; return how many are not as expected."""
    count, wrong = 0, 0
    for family, cases in families.items():
        table = Table(box=box.SIMPLE_HEAD, title=family, title_justify="left", expand=True, pad_edge=False)
        for column, share in SHARES.items():
            table.add_column(column, ratio=share)
        table.add_column("", width=len("not ok"))
        for case in cases:
            became = became_of(case)
            good = case.as_expected(became)
            count, wrong = count + 1, wrong + (not good)
            said = case.shortened(became) if good else became
            verdict = Text("ok", "green") if good else Text("not ok", "bold red")
            table.add_row(Text(case.put_in), Text(case.expected), Text(said), verdict)
        console.print(table)
    console.print(f"{count} cases: {count - wrong} as expected, {wrong} not")
    return wrong


def became_of(case: Case) -> str:
    """Put a case in below a folder of its own, which what is said of it does not name."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's import speaks of its optional parts
        return case.became(Path(folder)).replace(f"{folder}/", "")


if __name__ == "__main__":
    screen = Console()
    sys.exit(show(FAMILIES, Console(width=max(screen.width, NARROWEST))) > 0)
