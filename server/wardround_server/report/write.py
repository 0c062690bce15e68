"""Writing the report: the page and its numbers, each whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from wardround_common.errors import StorageError
from wardround_common.pages.documents import documents
from wardround_common.results import Results
from wardround_common.tasks.registry import task_of

TEMPLATES = Path(__file__).parent
"""Where the templates of the report are."""


def write_report(results: Results, folder: Path) -> Path:
    """Write ``report.html`` and ``results.json`` into a folder, which is made if needed; give the page's path.

    The page stands alone: no script, no request, light and dark, fit for print. A file that was there is replaced in
    one step, so that a reader never finds half of one.

    Raises:
        StorageError: a file cannot be written (the disk is full, the folder is not ours).
    """
    page, numbers = folder / "report.html", folder / "results.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(numbers, results.to_json())
        _replace(page, render(results))
    except OSError as error:
        raise StorageError(
            f"the report cannot be written ({error.strerror or 'no reason given'})",
            where=str(folder),
            do="Free some space or choose another folder; the run itself is not lost.",
        ) from error
    return page


def render(results: Results) -> str:
    """Return the page as one HTML document."""
    # Imported here: matplotlib takes a second to load, and a command that draws nothing should not wait for it.
    from wardround_server.report.alarms import alarms
    from wardround_server.report.page import sections
    from wardround_server.report.story import key_numbers, story, verdict
    from wardround_server.report.terms import terms_of_any

    found = sections(results)
    return (
        documents(TEMPLATES)
        .get_template("page.html")
        .render(
            results=results,
            verdict=verdict(results),
            parts=[*((one.anchor, one.title) for one in found), ("terms", "How to read the numbers")],
            story=story(results),
            alarms=alarms(results),
            numbers=key_numbers(results),
            sections=found,
            terms=[*task_of(results.study.task).terms(results.study.task), *terms_of_any(results)],
        )
    )


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
