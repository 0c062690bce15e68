"""The notebooks are what the scripts say, without outputs; each runs where the package is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = importlib.util.spec_from_file_location("notebooks", EXAMPLES / "notebooks.py")
assert SPEC is not None
assert SPEC.loader is not None
notebooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(notebooks)
SCRIPTS = notebooks.scripts()


def test_each_script_has_a_notebook_and_no_notebook_is_alone() -> None:
    assert len(SCRIPTS) == 5
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.stem))
def test_a_notebook_is_what_its_script_says_and_holds_no_outputs(script: Path) -> None:
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert text == notebooks.text_of(script), "run: python examples/notebooks.py write"
    cells = json.loads(text)["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    compile(code, script.name, "exec")
    assert cells[0]["cell_type"] == "markdown"


@pytest.mark.slow
def test_a_notebook_runs_and_one_that_fails_says_so(tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    assert notebooks.run(EXAMPLES / "2_own_network.ipynb") > 0
    broken = notebooks.notebook_of("# %%\n1 / 0\n")
    (tmp_path / "broken.ipynb").write_text(json.dumps(broken))
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.run(tmp_path / "broken.ipynb")
