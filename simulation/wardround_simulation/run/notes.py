"""What a run's report says beside its figures: of privacy, data, hospitals that did not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wardround_client.intake.patients import guessed, said_of_doubts, said_of_patients
from wardround_common.counting import count
from wardround_common.refusals import explained
from wardround_common.results.released import prepared_otherwise, study_of
from wardround_common.results.unlike import UNLIKE, read_summed
from wardround_common.storage import read_whole
from wardround_common.study.privacy import DpSgd
from wardround_common.study.words.readers import said_of_graph
from wardround_common.study.words.work import (
    said_of_classes,
    said_of_intensities,
    said_of_own_code,
    said_of_own_parts,
    said_of_plugins,
)
from wardround_server.rounds.attendance import refusals
from wardround_server.rounds.course import State, not_usual
from wardround_simulation import jobs
from wardround_simulation.federation import START
from wardround_simulation.jobs import Description
from wardround_simulation.run.plan import Plan

LISTED_PAIRS = 10
"""Pairs of hospitals with near-identical images that are named, those with most first."""


def _has_usual(plan: Plan) -> bool:
    found = read_summed(plan.folder / UNLIKE)
    return found is not None and bool(found.histogram)


def said_of_files(refused: Mapping[str, int], left_out: Mapping[str, int]) -> Iterator[str]:
    """Say how many files a hospital does not use, by reason.

    What is left out has no one sum: it is images, and by the beginning of the reason masks, boxes and reports.
    """
    if refused:
        said = explained(dict(sorted(refused.items())))
        yield f"{count(sum(refused.values()), 'file was', 'files were')} refused: {said}"
    if left_out:
        yield f"left out: {explained(dict(sorted(left_out.items())))}"


def notes_of(plan: Plan, described: dict[str, Description], final: State) -> Iterator[str]:
    """Say what a reader of the figures must know besides, in sentences."""
    if isinstance(plan.study.privacy, DpSgd):
        if plan.study.privacy.trust == "distributed":
            yield (
                "Each hospital added its share of the noise. Epsilon holds against anyone who reads the sums over "
                "hospitals and the models; it rests on the secure sums, and does not hold for one hospital's sum by "
                f"itself.{'' if plan.study.noised else ' The sums by which the model was judged have no noise.'}"
            )
        yield (
            "This is a simulation: its noise was made from the seed, so that the run can be repeated. Epsilon says "
            "what the same study costs where hospitals draw secret noise; this model protects nobody's privacy."
        )
    else:
        yield "Differential privacy was off: the model may remember patients."
    yield from _said_of_start(plan, described)
    yield from sorted({site.said_of_cut for site in plan.sites if site.said_of_cut})
    if counted := final.classes:
        yield said_of_classes(plan.study, counted.counts, counted.weights())
    yield from said_of_intensities(plan.study, final.layout, final.chosen.model)
    if own := said_of_own_parts(plan.study, simulated=True):
        yield own
    yield from said_of_own_code(plan.study)
    yield from said_of_plugins(plan.study)
    yield from said_of_graph(plan.study, len(plan.sites))
    if plan.study.evaluation.usual and not _has_usual(plan):
        yield not_usual(plan.study)
    if plan.study.roster:
        yield (
            "The study's roster was not used: its hospitals' private keys are not here. The simulated hospitals have "
            "keys made from the seed, which protect nobody."
        )
    for name, description in described.items():
        intake = description.intake
        yield from (f"{name}: {said}." for said in said_of_files(intake.refused, intake.left_out))
        if guessed(intake.patients):
            how = said_of_patients(intake.patients, intake.confirmed)
            yield f"{name}: some patients are guessed, since their files name none ({how})."
        for doubt in said_of_doubts(intake.doubts):
            yield f"{name}: {doubt}."
        if intake.allowed:
            yield f"{name}: the scan was told to allow {', '.join(sorted(intake.allowed))}."
        if intake.duplicates_across_splits:
            yield (
                f"{name}: {count(intake.duplicates_across_splits, 'pair')} of near-identical images on two sides of "
                "the split of patients; its test numbers may be too good."
            )
        if intake.joined_patients:
            yield (
                f"{name}: {count(intake.joined_patients, 'patient')} with images nearly identical to another "
                "patient's: such patients were kept on one side of the split."
            )
        if intake.labels_disagree:
            yield (
                f"{name}: labels disagree in {count(intake.labels_disagree, 'pair')} of near-identical images; "
                "'wardround scan FOLDER' shows them."
            )
        for split in ("train", "validation", "test"):
            counts = getattr(description, split).per_class
            if getattr(description, split).images and len(counts) > 1 and sum(count > 0 for count in counts) < 2:
                yield f"{name}: its {split} patients have one class only; what needs two is not computed there."
    for record in final.history:
        if not record.answered:
            yield (
                f"Round {record.number} was given up: it could not be summed again after an interruption. The model "
                "stayed as it was, and what the round cost in privacy is spent."
            )
    yield from (f"{why[0].upper()}{why[1:]}." for why in refusals(final.history))
    absent = {absence.hospital for record in final.history for absence in record.absent}
    for name in sorted(absent):
        rounds = [record.number for record in final.history if any(a.hospital == name for a in record.absent)]
        of = count(len(final.history), "round")
        yield f"{name} did not answer in {len(rounds)} of {of} (first in round {rounds[0]})."


def _said_of_start(plan: Plan, described: dict[str, Description]) -> Iterator[str]:
    """Say from which model the study started and what its training cost whom; nothing if from what the seed gives."""
    start = plan.study.model.start
    if start is None:
        return
    yield (
        f"The study started from the released model '{start.name}' (SHA-256 {start.model}), and so did every model "
        "that it is compared with. A hospital that trained that model is not new to the models that leave it out."
    )
    before = study_of(read_whole(plan.folder / START), where=str(plan.folder / START))
    if differs := list(prepared_otherwise(plan.study, before)):
        yield f"Images are prepared otherwise than for the model that the study starts from: {'; '.join(differs)}."
    if not isinstance(plan.study.privacy, DpSgd):
        return
    found = {name: each.lineage for name, each in described.items() if each.lineage}
    if not any(each.patients for each in found.values()):
        yield (
            "The ledgers of this simulation do not hold what the training of that model cost: they began empty. "
            "Begin with --ledgers RUN to continue those of the run that trained it."
        )
        return
    for name, each in found.items():
        yield from (f"{name}: {sentence[0].lower()}{sentence[1:]}" for sentence in each.sentences())


def said_of_shared(shared: dict[tuple[str, str], jobs.Shared]) -> Iterator[str]:
    """Say which hospitals share images, most first; of many pairs, how many more there are."""
    most_first = sorted(shared.items(), key=lambda item: -item[1].pairs)
    for (one, other), found in most_first[:LISTED_PAIRS]:
        disagree = f"; labels disagree in {found.labels_disagree} of them" if found.labels_disagree else ""
        yield (
            f"{one} and {other} share {count(found.pairs, 'pair')} of near-identical images{disagree}. Each hospital "
            "splits its own patients, so one half may be trained on and the other tested on: test numbers may be too "
            "good."
        )
    if len(most_first) > LISTED_PAIRS:
        yield f"{count(len(most_first) - LISTED_PAIRS, 'more pair')} of hospitals with near-identical images."
