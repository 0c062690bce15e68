"""``export`` as a function: a finished run in, its model's release out; the command prints what this returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

from wardround_client.prediction.own_model import write_own_model
from wardround_common.arguments import checked
from wardround_common.errors import StorageError, StudyError
from wardround_common.keys.release_key import read_release_key
from wardround_common.results import Results
from wardround_common.shell.release_forms import forms, said_of_release
from wardround_common.study.file import read_study
from wardround_server.report.card_words import read_words
from wardround_server.rounds.exported_model import (
    RESULTS,
    Release,
    check_not_a_coordinators,
    check_over,
    export_model,
)
from wardround_simulation.federation import OWN_PARTS, kept_file


@dataclass(frozen=True)
class Exported:
    """A model's folder, which hospitals predict with and evaluate."""

    folder: Path
    files: tuple[str, ...] = field(repr=False)
    """What was written, by name."""

    own: str = ""
    """The hospital whose own model it is; empty for the release."""

    def said(self) -> str:
        """Say which forms of the model were written, which not and why, and who signed it."""
        if self.own:
            return f"The own model of {self.own}, for use there: no release, and signed by nobody."
        return said_of_release(self.folder)


@checked
def export(
    run: PathLike[str] | str,
    out: Path | str | None = None,
    *,
    words: Path | str | None = None,
    key: Path | str | None = None,
    public: bool = False,
    hospital: str | None = None,
) -> Exported:
    """Export a finished run's model as a release: weights, study, model card, MONAI bundle, ONNX, list of digests.

    Args:
        run: folder of the run, or its results.
        out: folder to write to; None for the run's name in this folder.
        words: file with what people say of the model, for its card.
        key: file with the private key to sign with; without one nobody signs.
        public: leave out report and results, which state small numbers of patients, and ``unlike.json``.
        hospital: write the own model of this simulated hospital instead, where the study lets each keep a part
            (``personal``).

    Raises:
        StorageError: there is no finished run, or the folder cannot be written.
        StudyError: the words are wrong, or the study's network is not here.
    """
    folder = Path(run)
    check_not_a_coordinators(folder)
    if folder.is_dir() and not (folder / "study.toml").exists():
        raise StorageError(
            "there is no run here: study.toml is missing",
            where=str(folder),
            do="Name a run's folder, such as runs/NAME.",
        )
    check_over(folder, "Finish it: run the command that started it with --resume.")
    target = Path(folder.resolve().name) if out is None else Path(out)
    if target.resolve() == folder.resolve():
        raise StorageError(
            "the model's folder is another one than the run's", where=str(target), do="Name another one (--out)."
        )
    if hospital is not None:
        return _own(folder, target, hospital)
    identity = None if key is None else read_release_key(Path(key))
    release = Release(None if words is None else read_words(Path(words)), identity, forms=forms(), public=public)
    return Exported(target, tuple(export_model(folder, read_study(folder / "study.toml"), target, release)))


def _own(run: Path, out: Path, hospital: str) -> Exported:
    """Write the own model of one hospital of a simulated run."""
    results = Results.from_json((run / RESULTS).read_text(encoding="utf-8"), where=str(run / RESULTS))
    if results.study.training.measure is None:
        raise StudyError(
            "nothing of this run's model is a hospital's own: all of it is shared",
            where=str(run),
            do="Export it without --hospital.",
        )
    if hospital not in results.trainers:
        raise StorageError(
            f"no hospital called {hospital!r} trained in this run",
            where=str(run),
            do=f"Name one of {', '.join(results.trainers)}.",
        )
    with TemporaryDirectory() as made:
        shared = Path(made) / "model"
        export_model(run, results.study, shared)
        write_own_model(shared, kept_file(run / OWN_PARTS, hospital), out)
    return Exported(out, tuple(sorted(path.name for path in out.iterdir())), own=hospital)
