"""Who takes part in a study, and who can see what of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from wardround_common.counting import count
from wardround_common.errors import RoundError
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.secagg.expander import LEAK_BITS, LOST_BITS, TRIED_BITS, form_of
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd
from wardround_common.study.sums import margins_for, threshold_for
from wardround_common.study.words.phrases import listed, only, task_in


def hospitals(study: Study) -> Iterator[str]:
    """Say who may take part, and how each is told from somebody else."""
    if not study.roster:
        yield "There is no roster: this is a draft, and only a simulation can run it."
        return
    count = len(study.roster)
    yield (
        f"{count} hospital{'s' if count > 1 else ''}, by {'their keys' if count > 1 else 'its key'}, which the digest "
        "covers. Compare each fingerprint with that hospital's staff by telephone, not through the coordinator:"
    )
    for one in study.roster:
        yield f"{one.name}{'' if study.trains(one.name) else ' (only evaluates)'}: {one.fingerprint}"


def seen(study: Study) -> Iterator[str]:
    """Say what the coordinator reads of a hospital."""
    if study.evaluation.external:
        yield _seen_external(study)
    if study.aggregation.secure:
        yield (
            f"Sums over at least {study.aggregation.min_hospitals} hospitals: their updates, counts and evaluation "
            "sums are masked, and only the sum can be unmasked. This holds even if the coordinator lies, as long as "
            "the hospitals know each other's keys and enough of them are honest (docs/secagg.md, sections 6 and 10)."
        )
        yield from said_of_graph(
            study, max(len(study.roster) - len(study.evaluation.external), study.aggregation.min_hospitals)
        )
        own = "a class" if study.noised else "a class, a subgroup, maps or a recalibration of its own"
        noise = ", with the noise of the sum" if study.noised else ""
        yield (
            f"A part of a sum to which one hospital alone has something to give, such as {own}, is that "
            f"hospital's{noise}: the sum says neither that it is so nor whose it is."
        )
        bound = "the epsilon above bounds" if isinstance(study.privacy, DpSgd) else "nothing bounds"
        yield (
            "It sees which hospitals took part in a round. By leaving one out of some rounds it can compare sums, "
            "and so learn that hospital's number of images, and something about its update and evaluation sums; "
            f"{bound} what the update reveals{', as its own bounds these sums' if study.noised else ''}."
        )
        return
    yield (
        "Sums are not secure: the coordinator reads each hospital's update, counts and sums one by one, not only "
        "their sum over hospitals. Write secure = true to change that."
    )
    if isinstance(study.privacy, DpSgd):
        yield "Each update carries its hospital's own noise, so the epsilon above holds against the coordinator too."
    else:
        yield "Without noise, take part only if you would trust the coordinator with the training images themselves."
    yield "The coordinator learns how large each hospital's data are, and how well the model does there."


def _seen_external(study: Study) -> str:
    """Say over whom the figures are where the model did not train."""
    who = only(study)
    if not study.aggregation.secure:
        return f"How well the model does at {who}, hospital by hospital; the report has them apart from all others."
    if study.external_apart:
        return f"How well the model does over {who} together: their test patients are summed apart from all others."
    return (
        f"How well the model does at {who} is not seen by itself: a secure sum over so few would say too much "
        "of one, so that their test patients are summed together with those of the hospitals that train."
    )


def said_of_graph(study: Study, hospitals: int) -> Iterator[str]:
    """Say what a secure sum over a number of hospitals leaves to chance; nothing up to 100, where nothing is."""
    form = None
    if study.aggregation.secure:
        with suppress(RoundError):  # a number of hospitals that the study does not allow has no sum
            form = form_of(hospitals, threshold_for(study, hospitals), *margins_for(study))
    if form is None:
        return
    yield (
        f"With {hospitals} hospitals each has {form.degree} others as neighbours, of which any {form.share_threshold} "
        "can open its masks; a hash of all hospitals' keys draws them, and nobody chooses it. If no more than "
        f"{count(form.colluders, 'hospital')} side with the coordinator, and did before the keys were known, the "
        f"probability that any honest hospital's numbers can be read is at most 2^-{LEAK_BITS}, even if the "
        f"coordinator tries 2^{TRIED_BITS} sets of keys. If up to {count(form.dropouts, 'hospital')} drop out of a "
        f"round by accident, the round is lost with a probability of at most 2^-{LOST_BITS} (docs/secagg.md, section "
        "15)."
    )


def tracked(study: Study) -> Iterator[str]:
    """Say where the rounds' pooled figures go besides the coordinator's own report; nothing if they do not."""
    tracking = study.tracking
    kept = {
        "MLflow": tracking.mlflow,
        "TensorBoard": tracking.tensorboard,
        "Weights & Biases": tracking.wandb,
        f"the sink '{tracking.sink}'": tracking.sink,
    }
    readers = [name for name, on in kept.items() if on]
    if not readers:
        return
    alone, first = study.aggregation.min_hospitals == 1, task_in(study).first.term
    yield (
        f"For {listed(readers)} it keeps each round's figures over all hospitals together: losses, {first}, how many "
        f"hospitals answered and were missing, seconds and bytes."
        + ("" if tracking.hospitals else " No hospital's own number is among them")
        + ("" if tracking.hospitals else ", unless a round is of one hospital only." if alone else ".")
    )
    if tracking.hospitals:
        private = study.privacy.mechanism == "dp-sgd"
        losses = "the validation loss" if private else "the training loss, the validation loss"
        yield (
            f"There, and in the run's results, are also each hospital's own figures of each round, under its name: "
            f"{losses} and {first} on its validation patients, each over {LEAST_RECORDS} images or more. The "
            "coordinator knows them anyhow, since sums are not secure; so does everybody who reads there."
            + (" They have no noise, and epsilon does not cover them: nobody is trained on." if private else "")
        )
    if tracking.server:
        named = "" if tracking.hospitals else " but no hospital's name"
        yield (
            f"It sends them, with the study's name, digest and settings{named}, to the MLflow server at "
            f"{tracking.server}."
        )
    if tracking.sink:
        yield (
            "The sink is code of a plug-in, which runs at the coordinator and at no hospital. It is given these "
            "figures and the study's name, digest and settings, and where it takes them, its code says."
        )
