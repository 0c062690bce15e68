"""Write the notebooks of this folder from its scripts, or run them: ``make notebooks`` does both.

A script is the source: ``# %% [markdown]`` begins a cell of text, ``# %%`` one of code. Notebooks are kept without
outputs. A test says when one is not what its script says.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MARK = re.compile(r"^# %%(?P<text> \[markdown\])?$", re.MULTILINE)


def scripts() -> list[Path]:
    """Return the scripts that have a notebook, in the order in which a reader meets them."""
    return sorted(path for path in HERE.glob("*.py") if re.match(r"\d", path.name))


def notebook_of(script: str) -> dict[str, Any]:
    """Return the notebook of a script as JSON has it (nbformat 4.5)."""
    marks = list(MARK.finditer(script))
    ends = [*(mark.start() for mark in marks[1:]), len(script)]
    cells: list[dict[str, Any]] = []
    for number, (mark, end) in enumerate(zip(marks, ends, strict=True), 1):
        body = script[mark.end() : end].strip("\n")
        if mark["text"]:
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        cell: dict[str, Any] = {
            "cell_type": "markdown" if mark["text"] else "code",
            "id": f"cell-{number}",
            "metadata": {},
            "source": body.splitlines(keepends=True),
        }
        cells.append(cell if mark["text"] else cell | {"execution_count": None, "outputs": []})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def text_of(script: Path) -> str:
    """Return the notebook of a script as its file holds it."""
    notebook = notebook_of(script.read_text(encoding="utf-8"))
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def run(notebook: Path) -> float:
    """Run a notebook in a folder of its own by the kernel of this Python, and return the seconds that it took.

    A cell that ends with figures has to show a picture, and no cell two tables.
    """
    import nbformat
    from nbclient import NotebookClient

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        content = nbformat.read(notebook, as_version=4)
        NotebookClient(content, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in content.cells:
        shown = [output["data"] for output in cell.get("outputs", []) if "data" in output]
        if "figures()" in cell.source.splitlines()[-1] and not any("image/png" in data for data in shown):
            sys.exit(f"{notebook.name}: {cell.id} shows no picture")
        if sum("text/html" in data for data in shown) > 1:
            sys.exit(f"{notebook.name}: {cell.id} shows its table twice")
    return time.perf_counter() - began


def main() -> None:
    """Write all notebooks, or run those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["write", "run"])
    parser.add_argument("names", nargs="*", help="those to run; by default all")
    arguments = parser.parse_args()
    if arguments.what == "write":
        for script in scripts():
            script.with_suffix(".ipynb").write_text(text_of(script), encoding="utf-8")
        return
    named = [HERE / name for name in arguments.names] or [script.with_suffix(".ipynb") for script in scripts()]
    for notebook in named:
        print(f"{notebook.name}: {run(notebook):.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
