"""What it takes to come in: seconds of import, lines for one's own network, strategy and task, the page under load.

Lines are those of code, without blank ones, comments and docstrings. The worked examples are those of
``examples/2_own_network.py`` and of ``CONTRIBUTING.md``. With ``--others DIR``, where DIR holds checkouts of NVFlare
and flower at the commits below, those of their own tutorials are counted by the same rule.
"""

from __future__ import annotations

import ast
import json
import re
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

import page_load

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "doors.json"
TIMES = 9


class Tutorial(NamedTuple):
    """Where another framework's own tutorial has a researcher write something."""

    file: str
    """From the folder of the checkouts: repository and path."""
    commit: str
    names: tuple[str, ...]


_FLARE, _FLOWER = "NVFlare/examples/hello-world/hello-pt", "flower/examples/quickstart-pytorch/pytorchexample"
OTHERS = {
    "nvflare": {
        "lines_own_network": [
            Tutorial(f"{_FLARE}/model.py", "5cdfa8edd5964c8ef46a2ebd1a38387215475f0b", ("SimpleNetwork",))
        ],
        "lines_own_task": [
            Tutorial(f"{_FLARE}/client.py", "0cc159af1dc290d31dd4168e5db8a56e4f14bfc9", ("evaluate", "main"))
        ],
    },
    "flower": {
        "lines_own_network": [Tutorial(f"{_FLOWER}/task.py", "298ad87318e4857cd00d484555a9a9432f126c50", ("Net",))],
        "lines_own_strategy": [
            Tutorial(
                "flower/framework/docs/source/tutorial-series-use-a-federated-learning-strategy-pytorch.rst",
                "06864bae54ae403e981f03086e30d2f2dedc9553",
                ("CustomFedAdagrad",),
            )
        ],
        "lines_own_task": [
            Tutorial(f"{_FLOWER}/task.py", "298ad87318e4857cd00d484555a9a9432f126c50", ("train", "test")),
            Tutorial(f"{_FLOWER}/client_app.py", "0299cb32d3a7b7bac605fcaa23b34cbb3f78f229", ("train", "evaluate")),
        ],
    },
}
"""An own task is training and evaluation as their authors write them, without the network and the reading of data."""


def lines_of_others(folder: Path) -> dict[str, int]:
    """Count in the tutorials of others, which lie in a folder."""
    return {
        f"{framework}_{kind}": sum(_counted(folder, one) for one in tutorials)
        for framework, kinds in OTHERS.items()
        for kind, tutorials in kinds.items()
    }


def _counted(folder: Path, tutorial: Tutorial) -> int:
    path = folder / tutorial.file
    if not path.is_file():
        raise SystemExit(f"there is no {path}: check out {tutorial.file.partition('/')[0]} at {tutorial.commit}")
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".rst":
        blocks = re.findall(r"^\.\. code-block:: python\n(?:    :.*\n)*\n((?:    .*\n|\n)+)", source, re.MULTILINE)
        source = next(textwrap.dedent(block) for block in blocks if f"class {tutorial.names[0]}" in block)
    found = part(source, set(tutorial.names))
    if not found:
        raise SystemExit(f"{path} has no {' and no '.join(tutorial.names)}: check out {tutorial.commit}")
    return lines_of_code(found)


def lines_of_code(source: str) -> int:
    """Count the lines of a program that hold code."""
    tree = ast.parse(source)
    told = {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
        for number in range(node.body[0].lineno, (node.body[0].end_lineno or node.body[0].lineno) + 1)
    }
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and at not in told for at, line in lines)


def part(source: str, names: set[str]) -> str:
    """Return the definitions of these names in a program, as they stand there."""
    nodes = [node for node in ast.parse(source).body if getattr(node, "name", "") in names]
    return "\n".join(ast.get_source_segment(source, node) or "" for node in nodes)


def worked_example(kind: str) -> str:
    """Return the code of a worked example of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = re.split(r"^### An? (\w+)$", text, flags=re.MULTILINE)[1:]
    section = dict(zip(parts[::2], parts[1::2], strict=True))[kind]
    return "\n".join(re.findall(r"^`[\w/]+\.py`:\n\n```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL))


def lines() -> dict[str, int]:
    """Count what a researcher writes for each kind, without the call of ``simulate`` that is there anyway."""
    example = (ROOT / "examples" / "2_own_network.py").read_text(encoding="utf-8")
    return {
        "lines_own_network": lines_of_code(part(example, {"Mine"})),
        "lines_own_strategy": lines_of_code(part(example, {"half"})),
        "lines_own_loss": lines_of_code(part(example, {"focal"})),
        "lines_own_task": lines_of_code(worked_example("task")),
    }


def import_s() -> float:
    """Return the seconds that ``import wardround`` adds to starting Python, the median of several."""

    def seconds(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
        return time.perf_counter() - began

    return statistics.median(seconds("import wardround") - seconds("pass") for _ in range(TIMES))


def first_cells() -> int:
    """Count the cells of code from opening a notebook to a simulated federation."""
    text = (ROOT / "examples" / "1_first_simulation.py").read_text(encoding="utf-8")
    cells = re.split(r"^# %%.*$", text, flags=re.MULTILINE)
    marks = re.findall(r"^# %%(.*)$", text, flags=re.MULTILINE)
    code = [cell for mark, cell in zip(marks, cells[1:], strict=True) if not mark.strip()]
    return next(number for number, cell in enumerate(code, 1) if "wardround.simulate(" in cell)


def main() -> None:
    """Measure, write, print."""
    if sys.argv[1:2] == ["--others"] and len(sys.argv) == 3:
        found: dict[str, Any] = dict(lines_of_others(Path(sys.argv[2])))
    elif len(sys.argv) > 1:
        raise SystemExit("write nothing, or --others DIR")
    else:
        found = {"import_s": round(max(import_s(), 0.0), 4), "first_cells": first_cells(), **lines()}
        page = page_load.measure()
        if not page:
            Console().print("The page was not measured: there is no Chromium with its driver (make test-pages).")
        found |= page
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | found, indent=1) + "\n", encoding="utf-8")
    table = Table("what", "measured")
    for name, value in found.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
