"""What a step asks a card to start, and the memory that it takes there: reckoned without a card, and not measured.

Run with ``make bench-kernels``, on any machine. The real training runs on a pretended card (``tests/pretend_card.py``)
that computes shapes and no numbers. Counted are torch's operations that start at least one kernel, one each: no views,
no empty tensors. On a card some start several, and a large one takes longer than a small one: where the count is what
bounds a step, as in small networks, it says how much slower a private step is; elsewhere it does not. Bytes are those
of tensors that are alive, at the most at once: without what kernels take while they run, and without what the
allocator keeps or loses between pieces.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from gpu import CASES, Case, ours
from pretend_card import CUDA, pretend_card

RESULTS = Path(__file__).parent / "results" / "kernels.json"
STEPS = (1, 3)
"""Steps of a shorter and a longer round: what the longer one has more of is its steps'."""


def counted(case: Case, steps: int, *, private: bool) -> tuple[Counter[str], int]:
    """Return what a round asks a card to start, and the most bytes that are alive in it."""
    with pretend_card(numbers=False) as card:
        turn = ours(Case(case.network, case.size, case.batch, steps, case.dense), str(CUDA), private=private)
        turn()  # the split is sent to the card, and constants are made
        card.reset()
        turn()
        return card.started.copy(), card.peak


def figures_of(case: Case) -> tuple[dict[str, float], dict[str, Counter[str]]]:
    """Return the figures of a case, and by kind of step how often each operation is started."""
    found: dict[str, float] = {}
    each: dict[str, Counter[str]] = {}
    for kind in ("plain", "private"):
        (few, _), (many, peak) = (counted(case, steps, private=kind == "private") for steps in STEPS)
        many.subtract(few)
        each[kind] = Counter({name: count // (STEPS[1] - STEPS[0]) for name, count in many.items()})
        found[f"{case.key}_{kind}_kernels"] = float(each[kind].total())
        found[f"{case.key}_{kind}_peak_gib"] = peak / 2**30
    found[f"{case.key}_kernels"] = found[f"{case.key}_private_kernels"] / found[f"{case.key}_plain_kernels"]
    found[f"{case.key}_memory"] = found[f"{case.key}_private_peak_gib"] / found[f"{case.key}_plain_peak_gib"]
    return found, each


def main(names: Sequence[str], out: Path | None, *, operations: bool) -> None:
    """Count all cases or those named, print and write the figures."""
    warnings.simplefilter("ignore")  # MONAI's imports speak of its optional parts
    figures: dict[str, float | str] = {"on_torch": torch.__version__}
    for case in CASES:
        if names and case.network not in names:
            continue
        found, each = figures_of(case)
        figures |= found
        print(", ".join(f"{key} {value:.4g}" for key, value in found.items()), flush=True)
        if operations:
            table = Table("operation", "plain", "private", title=case.key)
            for name, count in (each["private"] | each["plain"]).most_common():
                if count:
                    table.add_row(name, f"{each['plain'][name]}", f"{each['private'][name]}")
            Console(width=100).print(table)
    if out is not None and not names:
        rounded = {key: value if isinstance(value, str) else round(value, 4) for key, value in figures.items()}
        out.write_text(json.dumps(rounded, indent=2) + "\n")


def arguments(typed: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Count what a step asks a card to start, and its bytes.")
    parser.add_argument("networks", nargs="*", help="count these networks alone, and write nothing")
    parser.add_argument("--operations", action="store_true", help="list each operation")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where figures are written")
    return parser.parse_args(typed)


if __name__ == "__main__":
    given = arguments()
    main(given.networks, given.json, operations=given.operations)
