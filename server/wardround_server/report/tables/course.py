"""What the run used: patients and images, privacy, answers, settings, software."""

from __future__ import annotations

from wardround_common.counting import count
from wardround_common.results import HospitalRecord, Results, SplitCounts
from wardround_common.study.file import Study
from wardround_common.study.model import Model
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.start import Start
from wardround_common.study.training import Training
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import NOTHING, duration, listing, number, records, size, small


def data(results: Results) -> Table | None:
    """Show patients, images and classes of each hospital's training, validation and test data."""
    if not any(_splits(h) for h in results.hospitals):
        return None
    scanners = any(h.scanners for h in results.hospitals)
    rows: list[list[Cell | str]] = [
        [
            Cell(h.name, strong=True, quiet="" if results.study.trains(h.name) else "did not train"),
            *(_split(s, results.study) for s in (h.train, h.validation, h.test)),
            *([", ".join(h.scanners) or NOTHING] if scanners else []),
        ]
        for h in results.hospitals
    ]
    head = ["Hospital", "Training", "Validation", "Test", *(["Scanners"] if scanners else [])]
    each, of = task_of(results.study.task).group_words[0], records(results.study)
    counted = "Patients" if of == "patients" else f"Patients, and {of}"
    apart = f" of each {each}" if _told_apart(results.study) else ""
    return table(f"{counted}{apart}; patients are split, never images", head, rows)


def privacy(results: Results) -> Table | None:
    """Show what the study cost the patients of each hospital; None without differential privacy."""
    study = results.study.privacy
    rows: list[list[Cell | str]] = [
        [
            Cell(h.name, strong=True),
            Cell(number(h.privacy.epsilon, 2), shade=min(h.privacy.epsilon / study.epsilon, 1)),
            number(h.privacy.noise_multiplier, 2),
            f"{h.privacy.sampling_rate:.2%}",
            f"{h.privacy.steps:,}",
        ]
        for h in results.hospitals
        if h.privacy is not None and isinstance(study, DpSgd)
    ]
    head = ["Hospital", "ε spent", "Noise multiplier", "Patients a step", "Steps"]
    if not rows or not isinstance(study, DpSgd):
        return None
    caption = f"ε spent on each patient, of the study's {study.epsilon:g}, at δ = {small(study.delta)}"
    return table(caption, head, rows, "bars numbers")


def answers(results: Results) -> Table | None:
    """Show in how many rounds each hospital answered, and which it missed and why; None where all always did."""
    if not any(r.absent for r in results.rounds):
        return None
    rows = []
    for name in results.trainers:
        given = sum(name in r.answered for r in results.rounds)
        missed = [f"{r.number} ({a.kind})" for r in results.rounds for a in r.absent if a.hospital == name]
        more = f" and {len(missed) - 12} more" if len(missed) > 12 else ""
        rows.append([name, f"{given} of {len(results.rounds)}", (", ".join(missed[:12]) + more) or "none"])
    return table("Rounds in which each hospital answered", ["Hospital", "Answered", "Missed rounds"], rows)


def cost(results: Results) -> Table | None:
    """Show time and bytes of the whole run and of a round."""
    n = len(results.rounds)
    if not n:
        return None
    out, back = (
        sum(r.bytes_to_hospitals for r in results.rounds),
        sum(r.bytes_from_hospitals for r in results.rounds),
    )
    took = sum(r.seconds for r in results.rounds)
    rows = [
        ["Time", duration(took), duration(took / n)],
        ["To the hospitals", size(out), size(out / n)],
        ["From the hospitals", size(back), size(back / n)],
    ]
    return table(f"What {count(n, 'round')} took", ["", "Whole run", "Mean of a round"], rows, "numbers")


def settings(results: Results) -> Table:
    """Show what the study fixed."""
    s = results.study
    t = s.training
    noise = (
        f"DP-SGD, ε ≤ {s.privacy.epsilon:g} at δ = {small(s.privacy.delta)}, clipped at {s.privacy.clip_norm:g}, "
        + ("noise shared out under secure sums" if s.privacy.trust == "distributed" else "noise at each hospital")
        if isinstance(s.privacy, DpSgd)
        else "none"
    )
    work = (
        f"one step each, {s.privacy.sampling_rate:g} of all patients drawn, divided by {t.batch_size}"
        if isinstance(s.privacy, DistributedDpSgd)
        else f"{_work(t)}, batches of {t.batch_size}"
    )
    rows = [
        ["Task", f"{s.task.name}: {_learnt(s)}" if _told_apart(s) else s.task.name],
        ["Images", f"{', '.join(s.data.modalities)}, {_form(s)}, intensity by {s.data.intensity}"],
        *([["Steps before", "; ".join(one.said for one in s.data.steps)]] if s.data.steps else []),
        *([["Series told apart", listing([one.role for one in s.data.sequences])]] if s.data.sequences else []),
        *([["Told besides images", "; ".join(one.said() for one in s.data.variables)]] if s.data.variables else []),
        ["Network", _network(s.model)],
        *([["Starts from", _started(s.model.start)]] if s.model.start else []),
        ["Training", f"{t.strategy}, {count(t.rounds, 'round')}, {work}"],
        ["Optimiser", f"{t.optimiser}, learning rate {t.learning_rate:g}, {t.schedule}"],
        ["Model that is kept", kept(results)],
        ["Privacy", noise],
        ["Smallest cohort", count(s.aggregation.min_hospitals, "hospital")],
    ]
    if (margin := s.aggregation.vote_margin) is not None:
        rows.append(["Vote", f"against a next model whose validation loss is more than {margin:g} higher"])
    return table("What the study fixed", ["", ""], [[Cell(a, strong=True), b] for a, b in rows], "plain")


def _work(training: Training) -> str:
    if training.local_steps:
        return count(training.local_steps, "local step")
    return f"{training.passes:g} local epoch{'' if training.passes == 1 else 's'}"


def _learnt(study: Study) -> str:
    """Say what the model tells apart; of a number, what it is."""
    task = task_of(study.task)
    return task.words(study.task).purpose.rstrip(",") if task.numeric else listing(list(study.groups))


def _started(start: Start) -> str:
    """Name the model that the study starts from, and the studies that trained it, the last first."""
    studies = ", before that ".join(f"{one.name} {one.study[:12]}" for one in start.trained)
    return f"the model '{start.name}', SHA-256 {start.model}, trained in {studies}"


def kept(results: Results) -> str:
    """Say which model the run kept."""
    evaluation, rounds = results.study.evaluation, results.kept_rounds
    planned = results.study.training.rounds
    early = (
        f"; ended after {count(evaluation.patience, 'evaluation')} without a better one"
        if evaluation.patience and rounds and rounds[-1] + evaluation.patience <= len(results.rounds) < planned
        else ""
    )
    if len(rounds) > 1:
        return f"the mean of those of rounds {rounds[0]} to {rounds[-1]}"
    if evaluation.keep == "best" and rounds:
        return f"that of round {rounds[0]}, the best by {results.headline.term} on the validation patients{early}"
    return "that of the last round"


def _form(study: Study) -> str:
    data = study.data
    if data.spacing_mm is None:
        together = "each among others of its series" if data.record == "slice" else ""
        if data.bagged and not together:
            read = ", read in their order" if study.ordered else ""
            together = f"up to {data.bag_size} of a {data.record} together{read}"
        return ", ".join(filter(None, [f"{data.square} pixels", together]))
    voxel, patch = (" × ".join(f"{each:g}" for each in three) for three in (data.spacing_mm, data.extent))
    return f"voxels of {voxel} mm, patches of {patch}"


def origin(results: Results) -> Table:
    """Show what made these numbers: digest, seed, software, devices, times."""
    rows = [
        ["Study digest", results.study_digest],
        ["Seed of the run", str(results.seed)],
        ["Engine", results.engine],
        ["Devices", ", ".join(results.devices)],
        ["Software", ", ".join(f"{name} {version}" for name, version in results.versions.items())],
        ["Started", f"{results.started:%Y-%m-%d %H:%M:%S %Z}"],
        ["Finished", f"{results.finished:%Y-%m-%d %H:%M:%S %Z}"],
    ]
    return table("What made these numbers", ["", ""], [[Cell(a, strong=True), b] for a, b in rows], "plain")


def _splits(hospital: HospitalRecord) -> list[SplitCounts]:
    return [s for s in (hospital.train, hospital.validation, hospital.test) if s is not None]


def _split(split: SplitCounts | None, study: Study) -> Cell:
    if split is None or not split.images:
        return Cell(NOTHING)
    some = zip(split.per_class, study.groups, strict=True)
    parts = [f"{word}: {n:,}" if word[0].isdigit() else f"{n:,} {word}" for n, word in some]
    many = task_of(study.task).group_words[1]
    shown = " · ".join(parts) if len(parts) <= 6 else f"{sum(n > 0 for n in split.per_class)} of {len(parts)} {many}"
    if study.data.gathered:
        more = "" if study.data.record == "patient" else f", {split.images:,} series"
    else:
        more = f", {count(split.images, records(study).removesuffix('s'))}"
    return Cell(f"{count(split.patients, 'patient')}{more}", quiet=shown if _told_apart(study) else "")


def _told_apart(study: Study) -> bool:
    """Whether a task tells images apart: one that makes images of no classes has a single group, of all images."""
    return not (task_of(study.task).generates and len(study.groups) == 1)


def _network(model: Model) -> str:
    """Return the network's name, normalisation and seed, and of a bundle what it is."""
    bundle = model.bundle
    said = "" if bundle is None else f"; {bundle.target} of MONAI with {bundle.arguments}"
    return f"{model.network}, {model.norm} normalisation, seed {model.seed}{said}"
