"""The evidence pack as one page: no script, no request, in the look of the run's report."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.ticker import NullFormatter

from wardround_common.counting import count
from wardround_common.documents.epsilon_statement import EpsilonStatement
from wardround_common.metrics import Estimate
from wardround_common.pages.documents import documents
from wardround_common.results import ALL, PrivacySpent
from wardround_common.study.privacy import DpSgd
from wardround_common.tasks.registry import task_of
from wardround_server.report.figures.style import INK, RULE, SERIES, Picture, in_style, panel, picture
from wardround_server.report.tables.table import Table, table
from wardround_server.report.words import interval, listing, number, size, small, with_interval
from wardround_server.report.write import TEMPLATES
from wardround_simulation.evidence.record import Evidence, Hospital, InversionFinding, MembershipFinding


@dataclass(frozen=True, slots=True)
class KeyNumber:
    """One number that a reader should take home."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of the inversion, and what is said below it."""

    source: str
    title: str
    detail: str


def render(evidence: Evidence, pictures: Mapping[str, bytes], statements: Mapping[str, EpsilonStatement]) -> str:
    """Return the page as one HTML document.

    ``pictures`` are the PNG files by the names that the pack gives them; ``statements`` are by hospital.
    """
    members = evidence.attacks.membership
    folders = (Path(__file__).parent, TEMPLATES)
    facts = {
        "canaries": _canary_table(evidence),
        "members": _member_table(members) if members else None,
        "approved": _approved(evidence),
        "costs": _costs(evidence),
        "quality": _quality(evidence),
    }
    return (
        documents(*folders)
        .get_template("page.html")
        .render(
            **facts,
            evidence=evidence,
            verdict=_verdict(evidence),
            parts=[(anchor, title) for anchor, title in _PARTS.items() if facts.get(_TABLES.get(anchor, ""), True)],
            summary=_summary(evidence),
            numbers=_key_numbers(evidence),
            roc=_roc(members) if members else None,
            shown=_shown(evidence, pictures),
            stated=_stated(evidence, statements) if statements else None,
            roster=_roster(statements) if statements else None,
            above=[
                h.name for h in evidence.hospitals if h.planned and _above(statements.get(h.name), h.planned.epsilon)
            ],
            files=_files(evidence),
        )
    )


_PARTS = {
    "canaries": "Does the code keep to its ε?",
    "membership": "Who was trained on?",
    "inversion": "Does an update show an image?",
    "approved": "Who approved the study",
    "cost": "Planned cost",
    "stated": "Stated cost",
    "quality": "How good the model is",
    "study": "The study",
    "files": "Files",
}
"""The contents of the page, by the anchors of its sections."""
_TABLES = {
    "canaries": "canaries",
    "membership": "members",
    "approved": "approved",
    "cost": "costs",
    "quality": "quality",
}
"""Sections that are there if their table is."""


def _verdict(evidence: Evidence) -> list[tuple[str, str]]:
    """Answer in three lines: is the model good, is it private, what now."""
    canary, members = evidence.attacks.canaries, evidence.attacks.membership
    whole = evidence.metrics.get(ALL) or next(iter(evidence.metrics.values()), None)
    first = task_of(evidence.study.task).first
    good = "it was not judged on test patients"
    if whole and (found := whole[first.name]).value is not None:
        good = f"{first.term} {with_interval(number(found.value), interval(found))}"
        if evidence.not_in_means:
            words = listing([f"“{word}”" for word in evidence.not_in_means])
            good += f"; without {words}, which too few test patients have"
    privacy = evidence.study.privacy
    private = isinstance(privacy, DpSgd)
    known = f"ε at most {privacy.epsilon:g}" if isinstance(privacy, DpSgd) else "no differential privacy"
    if evidence.deployed and evidence.study.noised:
        known += f" for those trained on, and {evidence.study.evaluation_epsilon:g} for those on whom it was judged"
    broken = canary is not None and not canary.holds
    if canary is not None:
        known += "; the claim is broken by the canary audit" if broken else "; the claim held against the canary audit"
    told = members is not None and members.auroc.low is not None and members.auroc.low > 0.5
    if members is not None and members.auroc.low is not None:
        known += f"; membership inference {'tells who was trained on' if told else 'tells nobody apart'}"
    now = "check the fingerprints and run 'wardround evidence verify FOLDER' on this folder; then decide on the release"
    if broken:
        now = "do not release this model: find out why the training spends more than it says"
    elif told or not private:
        now = "release it only to those who could be shown the training images"
    return [("Good?", good), ("Private?", known), ("Now", now)]


def _summary(evidence: Evidence) -> list[str]:
    patients = sum(hospital.patients or 0 for hospital in evidence.hospitals)
    trained = (
        f"This is what goes with the model of the run “{evidence.run}”: {count(len(_trainers(evidence)), 'hospital')} "
        f"trained it in {count(evidence.rounds, 'round')}"
    )
    said = [
        f"{trained}. It says which hospitals approved the study, signed, what they state that it cost their patients’ "
        "privacy, signed, and how good the model is on their test patients."
        if evidence.deployed
        else f"{trained} on {count(patients, 'patient')}. It says what was planned to be spent of the patients’ "
        "privacy, and how attacks on the code, on the model and on an update went."
    ]
    canary, members = evidence.attacks.canaries, evidence.attacks.membership
    if canary:
        held = (
            "The claim held against the audit, which is no proof that it is right."
            if canary.holds
            else "The claim is broken: the training spends more than it says. Do not release this model."
        )
        said.append(
            f"The accountant claims ε ≤ {canary.claimed_epsilon:.2f}; the canary audit shows that the training code "
            f"spends at least {canary.epsilon_at_least:.2f} with these settings. {held}"
        )
    if members and members.auroc.value is not None and members.auroc.low is not None:
        told = "tells" if members.auroc.low > 0.5 else "does not tell"
        said.append(
            f"With {members.shadows} shadow models the likelihood-ratio attack {told} the patients who were trained on "
            f"from the others better than chance: its AUROC is {number(members.auroc.value)} "
            f"({interval(members.auroc)}; 0.5 is guessing)."
        )
    return said


def _key_numbers(evidence: Evidence) -> list[KeyNumber]:
    attacks, made = evidence.attacks, list[KeyNumber]()
    planned = [h.planned for h in evidence.hospitals if h.planned is not None]
    if evidence.deployed and isinstance(evidence.study.privacy, DpSgd):
        privacy = evidence.study.privacy
        made.append(KeyNumber("ε of the study, at most", number(privacy.epsilon, 2), f"at δ = {small(privacy.delta)}"))
    elif planned:
        most = max(planned, key=lambda p: p.epsilon)
        made.append(KeyNumber("Planned ε, at most", number(most.epsilon, 2), f"at δ = {small(most.delta)}"))
    else:
        made.append(KeyNumber("Planned ε", "no limit", "no differential privacy"))
    if attacks.canaries:
        detail = f"{_whole(attacks.canaries.confidence)} confidence"
        made.append(KeyNumber("Canary audit: ε at least", number(attacks.canaries.epsilon_at_least, 2), detail))
    if attacks.membership:
        made.append(
            KeyNumber("Membership AUROC", number(attacks.membership.auroc.value), interval(attacks.membership.auroc))
        )
        caught = attacks.membership.caught
        made.append(KeyNumber("Members found", _percent(caught.value), "at 1 % false alarms"))
    whole = evidence.metrics.get(ALL) or next(iter(evidence.metrics.values()), None)
    if whole:
        first = task_of(evidence.study.task).first
        found = whole[first.name]
        made.append(KeyNumber(f"The model’s {first.term}", number(found.value), interval(found)))
    return made


def _canary_table(evidence: Evidence) -> Table | None:
    found = evidence.attacks.canaries
    if found is None:
        return None
    rows = [
        ("Claimed by the accountant", f"ε ≤ {found.claimed_epsilon:.3f} at δ = {small(found.delta)}"),
        ("Shown by the audit", f"ε ≥ {found.epsilon_at_least:.3f} with {_whole(found.confidence)} confidence"),
        (
            "Settings of",
            f"{found.hospital}: {count(found.steps, 'step')}, noise multiplier {found.noise_multiplier:.3f}",
        ),
        ("Noise that the auditor measured", f"{found.noise_found:.3f}"),
        ("Guesses", f"{found.right:,} of {found.guesses:,} right, about {count(found.canaries, 'canary', 'canaries')}"),
    ]
    return table("Canary audit", ("", ""), rows, "plain")


def _member_table(found: MembershipFinding) -> Table:
    rows = [
        ("AUROC", with_interval(number(found.auroc.value), interval(found.auroc, 3))),
        ("Members found at 1 % false alarms", with_interval(_percent(found.caught.value), _percents(found.caught))),
        ("Patients", f"{count(found.members, 'member')}, {count(found.others, 'other')}"),
        ("Shadow federations", f"{found.shadows}"),
    ]
    return table("Membership inference, 95 % intervals over patients", ("", ""), rows, "plain")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _whole(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def _percents(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{_percent(estimate.low)} to {_percent(estimate.high)}"


def _roc(found: MembershipFinding) -> Picture:
    with in_style():
        figure, axes = panel()
        axes.plot(found.roc.x, found.roc.x, color=RULE, linewidth=1, linestyle=(0, (3, 2)))
        axes.plot(found.roc.x, found.roc.y, color=SERIES[0])
        axes.axvline(0.01, color=INK, linewidth=0.6, linestyle=(0, (1, 2)))
        least = 1 / found.others
        axes.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.05))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda rate, place: f"{100 * rate:g} %")
            axis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="others taken for members", ylabel="members found", title="Membership inference")
        return picture(
            figure,
            "membership",
            alt="Fraction of members found against the fraction of others taken for members, both logarithmic",
            caption="Solid: the attack. Dashed: guessing. Dotted: 1 % false alarms. Both axes are logarithmic.",
        )


def _shown(evidence: Evidence, pictures: Mapping[str, bytes]) -> list[Shown]:
    attacks = evidence.attacks
    first = Shown(_data(pictures[attacks.original]), "The image", "made up; 32 × 32 pixels")
    return [first, *(_shown_inversion(found, pictures) for found in attacks.inversions)]


def _shown_inversion(found: InversionFinding, pictures: Mapping[str, bytes]) -> Shown:
    detail = f"PSNR {found.psnr_db:.1f} dB, SSIM {found.ssim:.2f}"
    return Shown(_data(pictures[found.picture]), f"From {found.seen}", detail)


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _trainers(evidence: Evidence) -> list[Hospital]:
    """Return the hospitals that trained: one that only evaluated has spent nothing, and states nothing."""
    return [hospital for hospital in evidence.hospitals if evidence.study.trains(hospital.name)]


def _costs(evidence: Evidence) -> Table | None:
    if evidence.deployed:
        return None
    private = isinstance(evidence.study.privacy, DpSgd)
    rows: list[Sequence[str]] = []
    for hospital in _trainers(evidence):
        planned = hospital.planned
        noise = ("–", "–", "–")
        if planned is not None:
            noise = (f"{planned.noise_multiplier:.3f}", f"{planned.sampling_rate:.3f}", f"{planned.steps:,}")
        rows.append(
            (
                hospital.name,
                f"{hospital.patients or 0:,}",
                f"{hospital.images or 0:,}",
                "no limit" if planned is None else f"{planned.epsilon:.3f}",
                *(noise if private else ()),
                (hospital.data or "")[:12],
            )
        )
    of_noise = ("noise multiplier", "sampling rate", "steps") if private else ()
    head = ("", "training patients", "images", "planned ε", *of_noise, "data")
    return table(
        "By hospital. Data: the first 12 digits of the fingerprint of images, labels and split.", head, rows, "numbers"
    )


def _stated(evidence: Evidence, statements: Mapping[str, EpsilonStatement]) -> Table:
    rows: list[Sequence[str]] = []
    for hospital in _trainers(evidence):
        statement, planned = statements.get(hospital.name), hospital.planned
        if statement is None:
            rows.append((hospital.name, *("–",) * 6))
            continue
        rows.append(
            (
                hospital.name,
                _limit(evidence, planned),
                "no limit" if statement.epsilon is None else f"{statement.epsilon:.3f}",
                small(statement.delta),
                f"{statement.rounds_charged:,}",
                f"{statement.rounds_confirmed:,}",
                statement.accountant,
            )
        )
    head = ("", "planned ε", "stated ε, at most", "at δ", "rounds charged", "rounds confirmed", "accountant")
    return table("Stated and signed by each hospital, from its ledger", head, rows, "numbers")


def _limit(evidence: Evidence, planned: PrivacySpent | None) -> str:
    if evidence.deployed and isinstance(evidence.study.privacy, DpSgd):
        return f"{evidence.study.privacy.epsilon:.3f}"
    return "no limit" if planned is None else f"{planned.epsilon:.3f}"


def _part(evidence: Evidence, name: str, took_part: set[str]) -> str:
    if name not in took_part:
        return "no"
    return "yes" if evidence.study.trains(name) else "yes, and did not train"


def _approved(evidence: Evidence) -> Table | None:
    if not evidence.deployed:
        return None
    took_part = {hospital.name for hospital in evidence.hospitals}
    rows = [(one.name, one.fingerprint, _part(evidence, one.name, took_part)) for one in evidence.roster]
    head = ("", "fingerprint of the key", "approved and took part")
    return table("The study’s roster. The signatures are in approvals.json.", head, rows, "files")


def _roster(statements: Mapping[str, EpsilonStatement]) -> Table:
    rows = [
        (name, statement.fingerprint, f"{statement.ledger_entries:,}", statement.ledger_link)
        for name, statement in sorted(statements.items())
    ]
    head = ("", "fingerprint of the key", "ledger entries", "link of the last")
    return table("Roster, and the heads of the ledgers", head, rows, "files")


def _above(statement: EpsilonStatement | None, planned: float) -> bool:
    """Tell whether a hospital states that it spent more than was planned; 1e-9 is for the order of sums."""
    return statement is not None and (statement.epsilon is None or statement.epsilon > planned * (1 + 1e-9))


def _quality(evidence: Evidence) -> Table | None:
    shown = task_of(evidence.study.task).metrics
    rows = [
        (
            f"{site} (did not train)" if site in evidence.study.evaluation.external else site,
            *(with_interval(number(found[m.name].value), interval(found[m.name])) for m in shown),
        )
        for site, found in evidence.metrics.items()
    ]
    if not rows:
        return None
    return table("On test patients, with 95 % intervals", ("", *(m.label for m in shown)), rows, "numbers")


def _files(evidence: Evidence) -> Table:
    rows = [(file.path, size(file.bytes), file.sha256) for file in evidence.files]
    return table("'wardround evidence verify FOLDER' computes these again.", ("", "size", "SHA-256"), rows, "files")
