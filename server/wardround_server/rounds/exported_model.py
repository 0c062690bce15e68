"""A finished run's model as a release: a folder that a hospital can use, of a simulation and a deployment alike."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from wardround_common.documents.exported_run import STATEMENTS, study_toml
from wardround_common.documents.model_release import seal
from wardround_common.documents.software_release import KEY, SIGNATURE, SUMS
from wardround_common.errors import CHECK_FILE, ModelError, StorageError
from wardround_common.keys.identity import Identity, fingerprint
from wardround_common.messages.parameters import check_model, vector_digest
from wardround_common.results import ALL, DEPLOYED, FEDERATED, Results, SiteMetrics
from wardround_common.results.model_folder import (
    CARD,
    MODEL,
    STUDY,
    Card,
    Judgement,
    PrivacyClaim,
    read_model_folder,
)
from wardround_common.results.parts import PARTS, Part, Parts
from wardround_common.results.unlike import UNLIKE, Unlike, read_summed
from wardround_common.shell.settings_file import settings_text
from wardround_common.storage import half_written, no_room_is_said, read_whole, sweep, write_atomically
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd
from wardround_common.study.start import Start
from wardround_common.study.sums import point_of
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of
from wardround_server.report import model_card
from wardround_server.report.card_words import WORDS, CardWords, read_words
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_server.rounds.course import State

REPORT, RESULTS = "report.html", "results.json"
COPIED = (MODEL, REPORT, RESULTS)
MARKDOWN, PAGE = "model-card.md", "model-card.html"
BUNDLE, ONNX = "bundle", "model.onnx"
"""Where other forms of the network are, which packages that have torch make (``Form``)."""
MADE = (BUNDLE, ONNX, PARTS, MARKDOWN, PAGE, WORDS, STATEMENTS, SUMS, SIGNATURE, KEY)
"""What an export makes anew each time, from what it copied."""

Form = Callable[[Path], Part]
"""Writes another form of the model in a folder into that folder, and says what it is or why it was not made."""


@dataclass(frozen=True)
class Release:
    """What goes into a release besides the model."""

    words: CardWords | None = None
    """For the card; None: those of ``card.toml`` in the run's folder, if it is there."""
    identity: Identity | None = field(default=None, repr=False)
    """Who signs; None for nobody."""
    role: str = "researcher who made it"
    """In which role."""
    forms: Sequence[Form] = ()
    more: Mapping[str, bytes] = field(default_factory=dict)
    """Further files, by name: of a deployed run, who approved it and what it cost."""
    public: bool = False
    """Leave out report and results, which have every number of patients as it is, small numbers of the card, and what
    tells unlike images: by its exact sums of features anybody who has an image guesses whether it was among them."""


def check_not_a_coordinators(run: Path) -> None:
    """Check that a folder is not a run in a coordinator's, of which only what was exported has all that is needed.

    Raises:
        StorageError: it is; it names the command that exports it.
    """
    if (run / "approvals").is_dir():
        place = run.absolute()
        raise StorageError(
            "this is a run in a coordinator's folder, which is exported first",
            where=str(run),
            do="Name the folder that this makes: wardround coordinator export "
            f"{shlex.quote(str(place.parents[1]))} {place.name} --out DIR",
        )


def check_over(run: Path, do: str) -> None:
    """Check that a run has all that is exported: the report is written last, after the test patients were asked.

    Raises:
        StorageError: it has not; ``do`` says what to do then.
    """
    if not run.is_dir():
        what = "this is a file, and a run is a folder" if run.exists() else "there is no such folder"
        raise StorageError(what, where=str(run), do="Name the folder of a finished run.")
    if (run / CARD).exists():  # its checkpoint is not there, of which the temperature is fitted
        raise StorageError(
            "this is an exported model already", where=str(run), do="Copy the folder, or name that of the run."
        )
    lacking = [name for name in COPIED if not (run / name).exists()]
    if lacking:
        raise StorageError(
            f"this run has no {Path(lacking[0]).stem} yet: there is nothing to export before it is over",
            where=str(run),
            do=do,
        )


def export_model(run: Path, study: Study, out: Path, release: Release = Release()) -> list[str]:  # frozen
    """Write a finished run's model as a release and read it back; name its files.

    Raises:
        StorageError: a file cannot be read or written, or is of another run, or ``out`` holds anything else.
        ModelError: the model is not the one that the run made.
    """
    results = read_results(run)
    if results.study_digest != study.digest():
        raise StorageError(
            "this is of another study than the run: the study digest differs",
            where=str(run / RESULTS),
            do="Put back the file that the run wrote, or run the study again.",
        )
    words = release.words or (read_words(run / WORDS) if (run / WORDS).exists() else CardWords())
    _check_out(out, study, release.more)
    contents = {name: read_whole(run / name) for name in COPIED}
    contents[STUDY] = study_toml(study).encode()
    state = _state(run, study, contents[MODEL])
    unlike = None if release.public else _unlike(run, state)
    if unlike is not None:
        contents[UNLIKE] = unlike.content()
    for name in (REPORT, RESULTS) if release.public else ():
        del contents[name]
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    card = make_card(results, state, digests, public=release.public).model_copy(
        update={"unlike": unlike and unlike.threshold}
    )
    _clear(out, release.more)
    for name, content in {**contents, **release.more}.items():
        write_atomically(out / name, content)
    write_atomically(out / CARD, card.content())  # last: a folder that is cut off has no card
    read_model_folder(out)
    parts = [form(out) for form in release.forms]
    signed = model_card.Signed(fingerprint(release.identity.public), release.role) if release.identity else None
    text = model_card.markdown(results, card, words, parts, signed)
    stated = settings_text("What people said of this model", words.model_dump())
    written = {
        PARTS: Parts(parts=tuple(parts)).content(),
        WORDS: stated,
        MARKDOWN: text.encode(),
        PAGE: model_card.page(text, card.name).encode(),
    }
    for name, content in written.items():
        write_atomically(out / name, content)
    sums = seal(out, release.identity)
    copied = [name for name in (*contents, CARD) if name in sums.of]
    others = [name for name in sums.of if name not in copied]
    return [*copied, *others, SUMS, *((SIGNATURE, KEY) if release.identity else ())]


def read_results(run: Path) -> Results:
    """Read a finished run's results.

    Raises:
        StorageError: they cannot be read.
    """
    return Results.from_json(_text(run / RESULTS), where=str(run / RESULTS))


def _unlike(run: Path, state: State | None) -> Unlike | None:
    """Return what the images of the run's model are like; None if it is not known, or says nothing."""
    found = read_summed(run / UNLIKE)
    if found is None or found.threshold is None:
        return None
    if state is not None and found.model != vector_digest(state.chosen.model):
        raise StorageError(
            "this says what the images of another model are like",
            where=str(run / UNLIKE),
            do="Put back the file that the run wrote, or finish the run: repeat its command with --resume.",
        )
    return found


def _check_out(out: Path, study: Study, more: Mapping[str, bytes]) -> None:
    """Check that a folder is new, empty, or one that an export of the study wrote or began."""
    if not out.is_dir():
        if out.exists():
            raise StorageError("this is a file, and a release is a folder", where=str(out), do="Name another.")
        return
    if (out / CARD).exists() and read_model_folder(out).card.study_digest != study.digest():
        raise StorageError("this folder holds another model", where=str(out), do="Name a new folder with --out.")
    ours = {CARD, *COPIED, STUDY, UNLIKE, *MADE, *_tops(more)}
    killed = {left.name for name in ours for left in half_written(out, name)}
    if {path.name for path in out.iterdir()} - ours - killed:
        raise StorageError(
            "this folder holds other files, and nothing is written among them",
            where=str(out),
            do="Name a new folder with --out.",
        )


def _tops(more: Mapping[str, bytes]) -> set[str]:
    """Return the names of further files and of the folders in which they lie."""
    return {Path(name).parts[0] for name in more}


def _clear(out: Path, more: Mapping[str, bytes]) -> None:
    """Take away what an earlier export wrote, so that no form of another model stays; what was copied is replaced."""
    with no_room_is_said(out):
        for name in (CARD, UNLIKE, *MADE, REPORT, RESULTS, *_tops(more)):
            if (out / name).is_dir():
                shutil.rmtree(out / name)
            else:
                (out / name).unlink(missing_ok=True)
        sweep(out)


def make_card(results: Results, state: State | None, files: dict[str, str], *, public: bool = False) -> Card:
    """Say what must be known of a run's model; without the run's ``state`` no temperature can be fitted.

    ``public``: for everybody, so that no small number of patients stands in it, nor figures from which one follows.
    """
    study, judged = results.study, results.evaluation.get(FEDERATED, {})
    task = task_of(study.task)
    site = judged.get(ALL) or (next(iter(judged.values())) if len(judged) == 1 else None)
    validation: Sums | None = state.chosen.validation if state else None
    validated = validation.records if validation else 0
    exact = None if site is None else _judgement(site)
    point = site.threshold if site else point_of(study, validation) if validation else None
    return Card(
        name=results.run,
        wardround=importlib.metadata.version("wardround"),
        engine=results.engine,
        task=study.task.name,
        classes=study.groups,
        study_digest=results.study_digest,
        start=study.model.start,
        trainers=results.trainers if results.engine == DEPLOYED else (),
        rounds=results.kept_rounds or _last(results),
        point=point,
        temperature=task.temperature(validation) if validation else None,
        validation_images=None if public and 0 < validated < model_card.SMALLEST else validated,
        privacy=_privacy(results),
        judgement=model_card.published(site, task, model_card.digits_of(results)) if site and public else exact,
        files=files,
    )


def _judgement(site: SiteMetrics) -> Judgement:
    metrics = {name: estimate.value for name, estimate in site.metrics.items()}
    return Judgement(patients=site.patients, images=site.images, metrics=metrics)


def _last(results: Results) -> tuple[int, ...]:
    """Return the last round that changed the model, where it is not on record which was kept."""
    counted = [record.number for record in results.rounds if record.counted]
    return tuple(counted[-1:])


def _privacy(results: Results) -> PrivacyClaim | None:
    privacy = results.study.privacy
    if not isinstance(privacy, DpSgd):
        return None
    each = [one.privacy.epsilon for one in results.hospitals if one.privacy]
    if model_card.hides_sizes(results):
        each.append(privacy.epsilon)  # the study's bound: what was spent tells, with the study file, how many
    spent = max(each, default=privacy.epsilon)
    bound = f"No training patient spent more than epsilon {spent:.3g} at delta {privacy.delta:g}"
    if results.engine != DEPLOYED:
        words = (
            f"{bound}, if noise is secret; this run was simulated, its noise came from the seed and protects nobody."
        )
    elif privacy.trust == "distributed":
        words = f"{bound}, against anyone who reads the sums over hospitals and the model."
    else:
        words = f"{bound}, against anyone who reads a hospital's updates or the model."
    if results.noised:
        words += (
            f" The sums over validation and test patients have noise of their own, and cost none of them more than "
            f"epsilon {results.study.evaluation_epsilon:g} at the same delta."
        )
    if start := results.study.model.start:
        words += _of_start(start, spent, privacy.delta)
    return PrivacyClaim(epsilon=spent, delta=privacy.delta, trust=privacy.trust, statement=words)


def _of_start(start: Start, spent: float, delta: float) -> str:
    """Say what a patient spent who was also in the training of the model that this one started from."""
    if start.cost is None:
        return f" It started from '{start.name}', whose training nothing bounds: the model may remember its patients."
    epsilon, also = start.cost
    return (
        f" It started from '{start.name}', whose training cost at most epsilon {epsilon:.3g} at delta {also:g}: a "
        f"patient who was in both spent at most {epsilon + spent:.3g} at delta {delta + also:g}."
    )


def _state(run: Path, study: Study, weights: bytes) -> State | None:
    """Return what the run knew after its last round, whose model the exported one must be."""
    where = str(run / MODEL)
    check_model(weights, study.digest(), where=where)
    try:
        tensors = load(weights)
    except (SafetensorError, ValueError, KeyError):
        raise ModelError("this is not a model of Wardround", where=where, do="Run the study again.") from None
    if not (run / "checkpoint").exists():
        return None
    state = read_checkpoint(run / "checkpoint", study)
    whole = {**state.layout.tensors(state.chosen.model), **(state.fixed.tensors if state.fixed else {})}
    same = tensors.keys() == whole.keys() and all(np.array_equal(tensors[name], part) for name, part in whole.items())
    if not same:
        raise ModelError(
            "the model is not the one that the run kept",
            where=where,
            do="Put back the model that the run wrote, or finish the run: repeat its command with --resume.",
        )
    return state


def _text(path: Path) -> str:
    try:
        return read_whole(path).decode()
    except UnicodeDecodeError:
        raise StorageError("the file cannot be read", where=str(path), do=CHECK_FILE) from None
