"""Making an evidence pack: let hospitals state what they spent, attack the finished run, hash every file named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from wardround_client.training.local_work import PrivacyPlan
from wardround_common.errors import DataError, PrivacyError
from wardround_common.metrics import Estimate
from wardround_common.metrics.ranking import count_by_score, roc_points
from wardround_common.randomness import insecure_stream
from wardround_common.results import FEDERATED, Curve, HospitalRecord, PrivacySpent
from wardround_common.storage import no_room_is_said, write_atomically
from wardround_common.study.aggregation import Aggregation
from wardround_common.study.privacy import DpSgd, NoPrivacy
from wardround_common.study.words.describe import describe
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.means import rare_groups
from wardround_simulation import jobs
from wardround_simulation.attacks import canaries, inversion, membership
from wardround_simulation.evidence.finished_run import FinishedRun, digest_of
from wardround_simulation.evidence.page import render
from wardround_simulation.evidence.record import (
    Attacks,
    CanaryFinding,
    Evidence,
    FileDigest,
    Hospital,
    InversionFinding,
    MembershipFinding,
    Words,
)
from wardround_simulation.evidence.statements import make_statements, roster_of
from wardround_simulation.federation import START, WEIGHTS, Federation, Site, shared_study
from wardround_simulation.workers import Workers

FOLDER = "evidence"
CANARIES = 2000
Show = Callable[[str, int, int], None]
"""Told which attack, the steps done, and how many there are."""


@dataclass(frozen=True)
class Wanted:
    """Which attacks are wanted, and with what."""

    sites: tuple[Site, ...] | None
    """The run's hospitals; None if their images are not there, which leaves membership inference out."""
    shadows: int
    canaries: int = CANARIES
    iterations: int = inversion.ITERATIONS
    """Of each gradient inversion."""


def make_evidence(run: FinishedRun, wanted: Wanted, workers: Workers, show: Show) -> Evidence:
    """Attack a run and write ``evidence/evidence.json``, ``evidence.html`` and pictures into its folder.

    Raises:
        DataError: the hospitals are not those of the run, or their images have changed.
        StorageError: the folder cannot be written, or a hospital's ledger cannot be trusted.
    """
    made = datetime.now(UTC)
    statements = make_statements(run, made)
    folder = run.folder / FOLDER
    results, not_done = run.results, list[str]()
    if run.deployed and wanted.sites is not None:
        raise DataError("this was a deployed run: its images are at the hospitals, not here")
    if wanted.sites is not None:
        check_sites(run, wanted.sites)
    canary = _canaries(run, wanted, show, not_done)
    members = _membership(run, wanted, workers, show, not_done)
    original, inversions, pictures = _inversions(run, wanted, show, not_done)
    with no_room_is_said(folder):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "pictures").mkdir(parents=True)
    stated = {name: f"statements/hospital-{place}.statement" for place, name in enumerate(statements, start=1)}
    contents = pictures | {stated[name]: statement.content() for name, statement in statements.items()}
    for name, content in contents.items():
        write_atomically(folder / name, content)
    named = [f"../{name}" for name in run.files] + list(contents)
    evidence = Evidence(
        run=results.run,
        made=made,
        study=results.study,
        study_digest=results.study_digest,
        words=tuple(Words(heading=p.heading, sentences=p.sentences) for p in describe(results.study)),
        versions=results.versions,
        files=tuple(_digest(folder, name) for name in named),
        hospitals=tuple(_hospital(h, run.fingerprints[h.name] or None, stated.get(h.name)) for h in results.hospitals),
        roster=results.study.roster if run.deployed else roster_of(statements),
        deployed=run.deployed,
        rounds=len(results.rounds),
        metrics={site: dict(metrics.metrics) for site, metrics in results.evaluation.get(FEDERATED, {}).items()},
        not_in_means=tuple(rare_groups(results)),
        attacks=Attacks(
            canaries=canary,
            membership=members,
            original=original,
            inversions=inversions,
            not_done=tuple(not_done),
        ),
        notes=results.notes,
    )
    write_atomically(folder / "evidence.html", render(evidence, pictures, statements).encode())
    write_atomically(folder / "evidence.json", evidence.to_json().encode())
    return evidence


def check_sites(run: FinishedRun, sites: tuple[Site, ...]) -> None:
    """Make sure that these are the hospitals of the run, with the images and labels that it had.

    Raises:
        DataError: they are not.
    """
    names = {site.name for site in sites}
    if names != set(run.fingerprints):
        raise DataError(
            f"the run's hospitals are {', '.join(sorted(run.fingerprints))}, and here are {', '.join(sorted(names))}",
            do="Name the folder of hospitals that the run was made with.",
        )
    # Neither privacy nor aggregation decides which images, labels and split a hospital has.
    bare = {"privacy": NoPrivacy(mechanism="none"), "aggregation": Aggregation(min_hospitals=1, secure=False)}
    study = shared_study(run.results.study).model_copy(update=bare | {"roster": ()})
    federation = Federation(study, sites, weights=_weights_of(run))
    for name, fingerprint in run.fingerprints.items():
        if jobs.describe(federation, name).fingerprint != fingerprint:
            raise DataError(
                f"the images or labels of {name} have changed since the run",
                do="Name the folder of hospitals that the run was made with, as it was.",
            )


def _canaries(run: FinishedRun, wanted: Wanted, show: Show, not_done: list[str]) -> CanaryFinding | None:
    spent = [(h.privacy.epsilon, h.name, h.privacy) for h in run.results.hospitals if h.privacy is not None]
    if run.deployed:
        not_done.append("Canary audit: the coordinator of a deployed run is not told the hospitals' settings of noise.")
        return None
    if not spent:
        not_done.append("Canary audit: the study has no differential privacy, so there is no epsilon to audit.")
        return None
    claimed, name, privacy = max(spent)
    seed = run.results.seed
    try:
        found = canaries.audit(
            run.results.study,
            _plan(privacy),
            privacy.steps,
            canaries.canaries_for(privacy.delta, wanted.canaries),
            insecure_stream(seed, "evidence", "auditor"),
            insecure_stream(seed, "evidence", "hospital"),
            lambda done, of: show("Canary audit", done, of),
        )
    except PrivacyError as error:
        not_done.append(f"Canary audit: {error.what}.")
        return None
    return CanaryFinding(
        hospital=name,
        claimed_epsilon=claimed,
        epsilon_at_least=found.epsilon_at_least,
        confidence=found.confidence,
        delta=found.delta,
        canaries=found.canaries,
        steps=found.steps,
        guesses=found.guesses,
        right=found.right,
        noise_multiplier=privacy.noise_multiplier,
        noise_found=found.noise_found,
    )


def _plan(privacy: PrivacySpent) -> PrivacyPlan:
    return PrivacyPlan(privacy.delta, privacy.noise_multiplier, privacy.sampling_rate, 1)


def _membership(
    run: FinishedRun, wanted: Wanted, workers: Workers, show: Show, not_done: list[str]
) -> MembershipFinding | None:
    if wanted.sites is None:
        where = "are at the hospitals" if run.deployed else "were not given (--hospitals DIR)"
        not_done.append(f"Membership inference: the hospitals' images {where}.")
        return None
    task = task_of(run.results.study.task)
    if not task.weighted(run.results.study.task):
        not_done.append(f"Membership inference: the attack is on a model that tells classes, and not on {task.name}.")
        return None
    if wanted.shadows == 0:
        not_done.append("Membership inference: no shadow models were asked for.")
        return None
    start = run.folder / START if run.results.study.model.start else None
    if start and not start.is_file():
        not_done.append("Membership inference: the model that the study started from is not in the run's folder.")
        return None
    try:
        begins = Federation(run.results.study, wanted.sites, start=start, weights=_weights_of(run))
        federation = membership.without_masks(begins)
    except PrivacyError as error:
        not_done.append(f"Membership inference: {error.what}.")
        return None
    found = membership.attack(
        federation, run.model, wanted.shadows, workers, lambda done, of: show("Membership inference", done, of)
    )
    return MembershipFinding(
        shadows=found.shadows,
        members=found.members,
        others=found.others,
        auroc=_estimate(found.auroc),
        caught=_estimate(found.caught),
        roc=_roc(found),
    )


def _estimate(rate: membership.Rate) -> Estimate:
    return Estimate(rate.value, rate.low, rate.high)


def _roc(found: membership.Membership) -> Curve:
    """Return the curve at false-alarm rates evenly spaced in their logarithm, so that its left end shows."""
    scores = np.concatenate([found.scores_of_others, found.scores_of_members])
    is_member = np.arange(len(scores)) >= found.others
    rest, caught = count_by_score(scores, is_member, np.ones((1, len(scores))))
    x, y = roc_points(rest[0], caught[0])
    at = np.geomspace(1 / found.others, 1, 100)
    at[-1] = 1.0
    # The curve is a staircase: at a rate between two steps the lower one is what is reached.
    heights = y[np.searchsorted(x, at + 1e-12, side="right") - 1]
    return Curve(x=tuple(map(float, at)), y=tuple(map(float, heights)))


def _inversions(
    run: FinishedRun, wanted: Wanted, show: Show, not_done: list[str]
) -> tuple[str, tuple[InversionFinding, ...], dict[str, bytes]]:
    privacy = next((h.privacy for h in run.results.hospitals if h.privacy is not None), None)
    if run.deployed and isinstance(run.results.study.privacy, DpSgd):
        not_done.append("Gradient inversion of a noised update: the hospitals' settings of noise are not known here.")
    report = inversion.attack(
        run.results.study,
        None if privacy is None else _plan(privacy),
        insecure_stream(run.results.seed, "evidence", "inversion"),
        lambda done, of: show("Gradient inversion", done, of),
        iterations=wanted.iterations,
    )
    pictures = {"pictures/original.png": _png(report.original)}
    findings = []
    for number, found in enumerate(report.inversions, start=1):
        name = f"pictures/inversion-{number}.png"
        pictures[name] = _png(found.image)
        findings.append(InversionFinding(seen=found.seen, psnr_db=found.psnr_db, ssim=found.ssim, picture=name))
    return "pictures/original.png", tuple(findings), pictures


def _png(image: inversion.Image) -> bytes:
    out = BytesIO()
    Picture.fromarray(np.rint(255 * image).astype(np.uint8)).save(out, format="PNG")
    return out.getvalue()


def _digest(folder: Path, name: str) -> FileDigest:
    path = folder / name
    return FileDigest(path=name, bytes=path.stat().st_size, sha256=digest_of(path))


def _hospital(hospital: HospitalRecord, fingerprint: str | None, statement: str | None) -> Hospital:
    train = hospital.train
    return Hospital(
        name=hospital.name,
        patients=train.patients if train else None,
        images=train.images if train else None,
        data=fingerprint,
        planned=hospital.privacy,
        statement=statement,
    )


def _weights_of(run: FinishedRun) -> Path | None:
    """Return the file of weights that the run's network began with; None where it began with none."""
    return run.folder / WEIGHTS if run.results.study.model.weights else None
