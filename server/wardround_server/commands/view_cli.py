"""``wardround view``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of finished runs.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="Write the page here.")] = Path("view.html"),
) -> None:
    """Write a page that shows finished runs side by side: what 'compare' prints, with intervals and curves drawn."""
    from wardround_common.errors import StorageError
    from wardround_common.results.comparison import compare, read_results
    from wardround_common.storage import write_atomically
    from wardround_server.page.view import view_page

    found = compare(runs)
    try:
        with out.open("rb") as file:
            replaces = file.read(15).lower() == b"<!doctype html>"
    except FileNotFoundError:
        replaces = True
    except OSError as error:
        raise StorageError(f"the page cannot be written here ({error.strerror})", where=str(out)) from None
    if not replaces:
        raise StorageError("this file is there and is no page", where=str(out), do="Name another with --out.")
    write_atomically(out, view_page(found, [read_results(run) for run in runs]).encode())
    typer.echo(f"Wrote {out}")
