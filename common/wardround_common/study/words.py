"""What a study does, in plain words: what leaves a hospital, what does not, what it costs, who can see what.

These words are a promise to the people who approve a study; they change together with the code that they describe.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wardround_common.errors import RoundError
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.plugins.names import package_of
from wardround_common.secagg.expander import LEAK_BITS, LOST_BITS, TRIED_BITS, form_of
from wardround_common.study.before import INPUT_TENSORS, asks_intensities
from wardround_common.study.file import THROUGH, Data, DistributedDpSgd, DpSgd, NoPrivacy, Study, Training
from wardround_common.study.plugins import STEPS_KEY
from wardround_common.study.sums import margins_for, threshold_for
from wardround_common.tasks.contract import Task
from wardround_common.tasks.registry import task_of

NORMS = {"group": "group normalisation", "instance": "instance normalisation", "batch": "batch normalisation"}
INTENSITIES = {
    "percentile": "the 0.5th to 99.5th percentile of each image become 0 to 1",
    "window": "each file's own window becomes 0 to 1",
    "range": "each image's minimum to maximum become 0 to 1",
    "steps": "each image's values are taken as its steps leave them",
}


@dataclass(frozen=True)
class Passage:
    """One heading and the sentences below it."""

    heading: str
    sentences: tuple[str, ...]


def describe(study: Study) -> tuple[Passage, ...]:
    """Say what a study will do, for the people at a hospital who approve it."""
    return (
        Passage("What it will do", tuple(_work(study))),
        Passage("Who may take part", tuple(_hospitals(study))),
        Passage("What leaves a hospital", tuple(_leaves(study))),
        Passage("What does not leave a hospital", tuple(_stays(study))),
        Passage("What it costs in privacy", (*_cost(study), *_cost_of_start(study))),
        Passage("What the coordinator can see in this version", (*_seen(study), *_tracked(study))),
    )


def _work(study: Study) -> Iterator[str]:
    data, training, evaluation = study.data, study.training, study.evaluation
    yield (
        f"Trains {_network(study)} to {_task(study).words(study.task).purpose} in "
        f"{_listed(data.modalities)} {_form(data)}{_of_parts(data)}, "
        f"{data.inputs} channel{'s' if data.inputs > 1 else ''}; {_intensities(study)}."
    )
    if data.steps:
        whole = "a whole series" if _task(study).takes_series(study.task) else "the image"
        measured = "slice by slice, with what is measured taken from " if whole != "the image" else ""
        yield (
            f"Before that, each image goes through {len(data.steps)} step{'s' if len(data.steps) > 1 else ''}, in this "
            f"order{f', {measured}{whole}' if measured else ''}: {'; '.join(one.said for one in data.steps)}. The same "
            "is done to each image that the model is asked about."
        )
    if study.data.normalisation and not asks_intensities(study):
        yield "Then the model standardises each channel as the one that it starts from."
    elif study.data.normalisation:
        yield (
            "Then the model standardises each channel by the mean and the standard deviation of a pixel over the "
            "training patients of all hospitals, which they add up once, before the first round; each patient counts "
            "alike, however many images there are."
        )
    yield from _order(study)
    yield from _variables(study)
    yield from _start(study)
    yield from _weights(study)
    yield from said_of_own_code(study)
    yield from said_of_plugins(study)
    yield from _series(study)
    rounds = f"{training.rounds} round{'s' if training.rounds > 1 else ''}"
    if isinstance(study.privacy, DistributedDpSgd):
        yield (
            f"{rounds} of one step. In each, every hospital draws each training patient with a chance of "
            f"{study.privacy.sampling_rate:g} and adds up their gradients; the coordinator divides the sum over the "
            f"hospitals by {training.batch_size}, a number that the study states, and makes a step of "
            f"{training.learning_rate:g} ({training.schedule})."
        )
    else:
        yield f"{rounds}. In each, every hospital makes {_local_work(training, study)}."
    if training.augmentations:
        yield f"Training images are varied: {_listed(training.augmentations)}."
    if training.class_weights is not None:
        pairs = zip(_task(study).weighted(study.task), training.class_weights, strict=True)
        yield f"The loss weighs {_listed([f'{word} {weight:g}' for word, weight in pairs])}."
    yield from _imbalance(study)
    if training.measure:
        held = f", with a lambda of {training.ditto_lambda:g}" if training.ditto_lambda is not None else ""
        yield f"{training.measure.work.removesuffix('.')}{held}."
        yield f"At the end each hospital has a complete model of its own. {training.measure.outside}"
    if training.variates:
        yield training.variates.work
    if training.threads != 1:
        yield f"Every hospital computes with {training.threads} threads: a different number changes the model."
    if training.micro_batch is not None:
        unit = {"patient": "patients", "slice": "slices", "series": "series"}.get(data.record, "images")
        yield (
            f"At most {training.micro_batch} {unit} go through the network at once, and a step is that of its whole "
            "batch: a different number changes the model, by roundings."
        )
    yield (
        f"The coordinator {_strategy(study)}; a round counts only when at least "
        f"{study.aggregation.min_hospitals} hospital{'s' if study.aggregation.min_hospitals > 1 else ''} answered."
    )
    yield from _vote(study)
    yield from _waits(study)
    who = "Each hospital that trains" if evaluation.external else "Each hospital"
    point = (
        f"to choose the operating point ({_task(study).said_of_point(study.task, evaluation.sensitivity)})"
        if _task(study).has_point
        else "for validation"
    )
    yield (
        f"{who} keeps {evaluation.validation:.0%} of its patients {point} and {evaluation.test:.0%} to test; a "
        "patient is in one part only."
    )
    yield from _kept(study)
    if evaluation.usual:
        yield says_unlike(study)
    if evaluation.external:
        yield (
            f"{_only(study)} only evaluate{_s(evaluation.external)}: the model is never trained on patients there and "
            "chooses nothing by them. It is tried on all of them once, after the last round."
        )


def said_of_own_parts(study: Study, *, simulated: bool) -> str:
    """Say what of the model each hospital kept, what another one gets, and of which the figures are; empty if nothing
    was kept.
    """
    measure = study.training.measure
    if measure is None:
        return ""
    of_shared = measure.beside and isinstance(study.privacy, DpSgd) and not simulated
    of = "the shared model" if of_shared else "each hospital's own model, on its own patients"
    return f"{measure.work} {measure.stays} {measure.outside} The figures here are of {of}."


def said_of_classes(study: Study, counts: Sequence[int], weights: Sequence[float]) -> str:
    """Say how many training images of each class the hospitals counted, and the weights that followed."""
    said = [f"{word} {n:,} (weight {w:.3g})" for word, n, w in zip(study.groups, counts, weights, strict=True)]
    return f"Training images that the hospitals counted before the first round: {_listed(said)}."


def said_of_intensities(study: Study, layout: Layout, model: Vector) -> Iterator[str]:
    """Say by which mean and deviation a model standardises its input; nothing where it does not."""
    if study.data.normalisation is None:
        return
    tensors = layout.tensors(model)
    mean, deviation = (_listed([f"{value:.3f}" for value in tensors[name].tolist()]) for name in INPUT_TENSORS)
    noise = " with noise" if asks_intensities(study) and isinstance(study.privacy, DpSgd) else ""
    whose = "that it starts from" if study.model.start else f"that the hospitals added up{noise} before the first round"
    yield (
        f"The model standardises each channel of its input, from 0 to 1, by the mean {mean} and the deviation "
        f"{deviation} {whose}."
    )


def _imbalance(study: Study) -> Iterator[str]:
    """Say what is done about classes that are rare, besides weights."""
    training = study.training
    if training.count_classes:
        yield (
            "The loss weighs each class by the inverse of how many training images all hospitals have of it, which "
            "they add up once, before the first round."
        )
    if training.focal_gamma is not None:
        private = " It changes no patient's chance of being drawn, and no clipping: epsilon is as without."
        yield (
            f"The loss of an image counts less the surer the model is of its class (focal loss, gamma "
            f"{training.focal_gamma:g}).{private if isinstance(study.privacy, DpSgd) else ''}"
        )
    if training.sampling == "balanced":
        yield (
            "A pass draws as many images as the hospital has, with replacement: each of its classes is as likely, "
            "and within a class each image. The counts that this needs stay at the hospital."
        )


def says_unlike(study: Study) -> str:
    """Say that the model flags images, which it cannot where validation images were too few; empty if not asked for."""
    if study.evaluation.usual is None:
        return ""
    return (
        "When the model is asked about new images, it says which are less like those of validation patients than "
        f"{study.evaluation.usual:.0%} of these are."
    )


def _start(study: Study) -> Iterator[str]:
    """Say from which released model it starts; nothing if from what the seed gives."""
    start = study.model.start
    if start is None:
        return
    of = f"the study {start.trained[0].name} {start.trained[0].study[:12]}"
    after = [f"{one.name} {one.study[:12]}" for one in start.trained[1:]]
    chain = f", which went on from {', then '.join(after)}" if after else ""
    yield (
        f"It starts from the released model '{start.name}', trained in {of}{chain}; its file has the SHA-256 "
        f"{start.model}. The coordinator gives the weights in the first round, and each hospital checks them."
    )


def _weights(study: Study) -> Iterator[str]:
    """Say from which file of weights the network begins; nothing if from none."""
    weights = study.model.weights
    if weights is None:
        return
    seeded = f" {len(weights.seeded)} tensors are not from it, but from the seed." if weights.seeded else ""
    converted = (
        f" {weights.converted} batch normalisations of it give their scale and shift to another normalisation, without "
        "their statistics."
        if weights.converted
        else ""
    )
    yield (
        f"The network begins with the file of weights '{weights.name}' (SHA-256 {weights.file}), which each hospital "
        f"is given locally and checks.{seeded}{converted} What it was learnt from is not counted: "
        "no ledger knows of it."
    )


def _cost_of_start(study: Study) -> Iterator[str]:
    """Say what the training of the model cost, from which the study starts."""
    start = study.model.start
    if start is None:
        return
    if start.cost is None:
        without = _listed([one.name for one in start.trained if one.epsilon is None])
        yield (
            f"The model that it starts from was trained without differential privacy ({without}): it may remember "
            "patients of that training, and no epsilon of this study covers them."
        )
    else:
        epsilon, delta = start.cost
        yield (
            f"The training of the model that it starts from cost a patient at most epsilon {epsilon:.3g} (delta "
            f"{delta:g}), which stays spent. Each hospital's ledger adds what this study costs to it, patient by "
            "patient; a patient who was not in that training starts at 0."
        )


def _kept(study: Study) -> Iterator[str]:
    """Say which round's model is kept; nothing if it is the last one's."""
    evaluation = study.evaluation
    if evaluation.keep == "mean-of-last":
        yield f"The model that is kept is the mean of the models of the last {evaluation.average} rounds."
    if evaluation.keep == "best":
        yield (
            f"The model that is kept is that of the round with the best {_task(study).first.term} over all validation "
            "patients together, by the sums that hospitals send anyway: the choice costs no privacy."
        )
    if evaluation.patience:
        times = f"{evaluation.patience} evaluation{'s' if evaluation.patience > 1 else ''}"
        yield f"The study ends early after {times} without a better one."


def _order(study: Study) -> Iterator[str]:
    """Say in which order the images of a record are read; nothing where that plays no part."""
    if not study.ordered:
        return
    if study.data.record == "slice":
        yield (
            f"Each image is shown with the one before and the one after it in its series and with {THROUGH} of the "
            "whole series, with which it is compared, and the model is told how far from the middle of the series it "
            "is: by place in the patient, or else by number, among the images that the study takes. A series whose "
            "files do not state this order is left out. Places and numbers stay at the hospital."
        )
        return
    record, of = study.data.record, "sequence by sequence, " if study.data.sequences else ""
    time = "examinations by date, those of one day by time, series by number, " if record == "patient" else ""
    yield (
        f"The images of a {record} are read one after the other, and what came before changes what is made of each: "
        f"{of}{time}and the images of a series by their place in the patient, or else by number. A {record} whose "
        "files do not state this order is left out. Dates, places and numbers stay at the hospital, and the model is "
        "told none of them: it sees the order."
    )


def _variables(study: Study) -> Iterator[str]:
    """Say what the model is told of a patient besides images; nothing if it is told nothing."""
    variables = study.data.variables
    if not variables:
        return
    private = isinstance(study.privacy, DpSgd)
    covered = (
        " They are a part of the patient's record: clipped, noised and accounted for with the images."
        if private
        else ""
    )
    yield (
        f"Besides images the model is told {_listed([one.said() for one in variables])}, which each hospital reads "
        "from its clinical.csv, its table of labels or its files, and keeps. What a hospital does not know of a patient"
        f" the model is told as missing; nothing is filled in.{covered}"
    )


def _of_parts(data: Data) -> str:
    return f", of {_listed(data.body_parts)} where their files state a body part" if data.body_parts else ""


def _form(data: Data) -> str:
    if data.patch_size is None or data.spacing_mm is None:
        one = f"images of {data.square} × {data.square} pixels"
        if data.record == "slice":
            return f"{one}, each among others of its series"
        return f"{one}, up to {data.bag_size} of a {data.record} together as one record" if data.bagged else one
    voxel, patch = (" × ".join(f"{each:g}" for each in three) for three in (data.spacing_mm, data.patch_size))
    return (
        f"volumes with voxels of {voxel} mm, with {data.patches_per_volume} patches of {patch} voxels drawn from each "
        "in a pass"
    )


def _intensities(study: Study) -> str:
    said = INTENSITIES[study.data.intensity]
    return said.replace("image", "series") if _task(study).takes_series(study.task) else said


def said_of_own_code(study: Study) -> Iterator[str]:
    """Say which code of a researcher's own the study names; nothing if it names none."""
    if study.own_code:
        yield (
            f"{_listed(study.own_code)} {'is' if len(study.own_code) == 1 else 'are'} a researcher's own code, which "
            "is not in the registry: only a simulation that brings the code can run this study, and no hospital does. "
            "The digest in its name is of its source, and not of what that calls."
        )


def said_of_plugins(study: Study) -> Iterator[str]:
    """Say which code of others' the study runs, and what its digest says; nothing if it runs none."""
    for plugin in study.plugin:
        parts = [
            f"the {key.rpartition('.')[2].removesuffix('s')} '{name}'"
            for key, name in study.plugin_parts
            if package_of(name) == plugin.package
        ]
        yield (
            f"{_listed(parts)[0].upper()}{_listed(parts)[1:]} {'is' if len(parts) == 1 else 'are'} no part of "
            f"Wardround, but of the plug-in {plugin.package} {plugin.version}, whose files have the SHA-256 "
            f"{plugin.sha256}. Only an installation with exactly these files runs: whoever installed it vouches for "
            "it. It runs with all rights of the service, and the digest covers neither what it does nor the packages "
            "that it imports."
        )


def _series(study: Study) -> Iterator[str]:
    """Say which series are taken, of a task that takes series."""
    if study.data.sequences:
        roles = _listed([f"'{one.role}'" for one in study.data.sequences])
        yield (
            f"Of each patient it takes images of the series {roles}, by what scanners write of them, up to "
            f"{study.data.share} of each. A series that a patient has not is told to the model as missing; a patient "
            "with one of them takes part."
        )
    if not _task(study).takes_series(study.task):
        return
    taken = _listed([f"'{one.role}'" for one in study.data.series]) if study.data.series else "the only series there is"
    yield (
        f"Of each patient it takes {taken}, by what scanners write of a series, with the outlines that somebody drew "
        "in it. A patient with a series missing, or without outlines, is left out."
    )


def _vote(study: Study) -> Iterator[str]:
    if study.aggregation.vote_margin is None:
        return
    yield (
        "The hospitals vote on each new model: one votes against it if, on its validation patients, the mean loss is "
        f"higher than that of the accepted model by more than {study.aggregation.vote_margin:g}. If half of the votes "
        "are against it, the model stays as it was, and the round's privacy cost still counts."
    )


def _waits(study: Study) -> Iterator[str]:
    aggregation = study.aggregation
    spent = " Its privacy cost still counts." if isinstance(study.privacy, DpSgd) else ""
    yield (
        f"A hospital that is still at work {_time(aggregation.deadline_minutes)} after a round was asked is late: the "
        f"round continues without it, and its answer is dropped.{spent} One that is silent for "
        f"{_time(aggregation.patience_minutes)} is no longer waited for once enough have answered. Both take part "
        "again in the next round they are there for."
    )


def _hospitals(study: Study) -> Iterator[str]:
    if not study.roster:
        yield "There is no roster: this is a draft, and only a simulation can run it."
        return
    count = len(study.roster)
    yield (
        f"{count} hospital{'s' if count > 1 else ''}, by {'their keys' if count > 1 else 'its key'}, which the digest "
        "covers. Compare each fingerprint with that hospital's staff by telephone, not through the coordinator:"
    )
    for listed in study.roster:
        yield f"{listed.name}{'' if study.trains(listed.name) else ' (only evaluates)'}: {listed.fingerprint}"


def _task(study: Study) -> Task[Any, Any]:
    return task_of(study.task)


def _network(study: Study) -> str:
    model = study.model
    if model.network == "wavelets":
        first = "" if model.start else ", zero at first,"
        return f"a linear classifier on fixed wavelet features{first}"
    part = {
        "all": "",
        "head": ", of which the last layer is trained and the rest stays what the seed gives",
        "adapters": f", of which the last layer is trained and adapters of rank {model.rank}, which are added to the "
        "other layers; these stay what the seed gives",
    }[model.train]
    if model.bundle is not None:
        norm = "" if model.norm == "batch" else f"{NORMS[model.norm]} in the place of each batch normalisation, "
        return (
            f"MONAI's {model.bundle.target} as the bundle '{model.bundle.name}' defines it ({model.bundle.arguments}; "
            f"{norm}seed {model.seed}){part}"
        )
    return f"{model.network} ({NORMS[model.norm]}, seed {model.seed}){part}"


def _strategy(study: Study) -> str:
    how = study.training.how
    return how.words_of_a_step if isinstance(study.privacy, DistributedDpSgd) else how.words


def _local_work(training: Training, study: Study) -> str:
    unit = "patients expected per step" if isinstance(study.privacy, DpSgd) else "images per step"
    momentum = f", momentum {training.momentum:g}" if training.optimiser == "sgd" and training.momentum else ""
    decay = f", weight decay {training.weight_decay:g}" if training.weight_decay else ""
    much = f"{training.local_steps} steps" if training.local_steps else _times(training.passes)
    return (
        f"{much} over its training images with {training.optimiser} "
        f"(learning rate {training.learning_rate:g}, {training.schedule}{momentum}{decay}), "
        f"{training.batch_size} {unit}"
    )


def _leaves(study: Study) -> Iterator[str]:
    private = isinstance(study.privacy, DpSgd)
    values = "" if study.model.start else " and, from one hospital, their first values"
    yield f"Once: the names and shapes of the model's parameters{values}."
    if study.model.train != "all":
        yield (
            "Of the layers that are not trained, nothing: in each round only the numbers that are trained leave. One "
            f"hospital sends the others once, as the seed{' and the file of weights' if study.model.weights else ''} "
            "gives them, so that the model's file is whole; no patient changes them."
        )
    if study.evaluation.external:
        also = " and the key for secure sums" if study.aggregation.secure else ""
        yield (
            f"From {_only(study)}: the names and shapes{also}, once, and at the end the sums over the test patients; "
            "none of the updates."
        )
    yield from _counted(study)
    if study.aggregation.secure:
        yield from _leaves_masked(study, private=private)
        return
    yield (
        f"Each round of training: the update (how the parameters moved{', clipped and noised' if private else ''}), "
        f"the number of training images and of steps, and {'the epsilon so far' if private else 'the mean loss'}."
    )
    yield (
        f"Each evaluation, and once at the end over the test patients: sums over the images of a split "
        f"({_task(study).leaves()}), never an image's own. {_task(study).words(study.task).caution}"
    )
    yield from _by_subgroup(study)
    yield from _maps(study)
    yield from _recalibrated(study)
    yield from _withheld(study)
    yield from _features(study)
    yield from _ballot(study)
    yield "When a hospital cannot answer: one fixed word for the kind of fault, no text."


def _counted(study: Study) -> Iterator[str]:
    """Say what leaves before the first round; nothing where nothing does."""
    if asks_intensities(study):
        masked = "masked so that only a sum over hospitals can be read: " if study.aggregation.secure else ""
        yield (
            f"Once, before the first round, {masked}the number of training patients and, for each channel, the sums "
            "over these patients of the mean and the mean square of their pixels, from 0 to 1 each. The result is part "
            f"of the model.{_noise_before(study.privacy)}"
        )
    if study.training.count_classes:
        masked = "masked so that only a sum over hospitals can be read: " if study.aggregation.secure else ""
        yield (
            f"Once, before the first round, {masked}the number of training images of each class. Each hospital is told "
            "the sums, and so knows what the others have together."
        )


def _noise_before(privacy: NoPrivacy | DpSgd) -> str:
    if not isinstance(privacy, DpSgd):
        return ""
    shared = isinstance(privacy, DistributedDpSgd)
    whose = "its share of the noise" if shared else "noise that is enough by itself"
    return (
        f" Each hospital adds {whose} to these numbers, of which one patient moves each by at most 1/2, measured from "
        f"the middle. By itself it costs a patient epsilon {privacy.normalisation_epsilon:g}, and it is charged before "
        "it leaves; with all rounds together it stays within the study's epsilon."
    )


def _features(study: Study) -> Iterator[str]:
    if not study.evaluation.usual:
        return
    uncovered = " They have no noise, and epsilon does not cover them: it covers the training patients."
    yield (
        f"Twice at the end, {'masked in the same way: ' if study.aggregation.secure else ''}sums over the validation "
        "patients' images as the finished model sees them: the count, sums and sums of products of 32 numbers of each, "
        "and a histogram of how far each lies from the others. They go with the model."
        f"{uncovered if isinstance(study.privacy, DpSgd) else ''}"
    )


def _by_subgroup(study: Study) -> Iterator[str]:
    """Say what the sums over test patients also leave by; nothing where the study does not ask."""
    asked, least = study.evaluation.subgroups, study.evaluation.smallest_subgroup
    if not asked:
        return
    ways = [f"{one.name} ({', '.join(one.cells)})" for one in asked]
    yield (
        f"With the sums over test patients, in one message: the same by {_listed(ways)}, and the number of patients. "
        f"A hospital merges subgroups of fewer than {least} of its patients before that, so that none follows from the "
        "others either; one whose policy refuses (subgroups = false) takes part without. Whoever reads these sums may "
        "join them by a score that only one patient has, and so know several attributes of somebody."
    )


def _maps(study: Study) -> Iterator[str]:
    """Say what leaves of maps of what the model's answers hang on; nothing where the study does not ask."""
    asked, least = study.evaluation.maps, study.evaluation.smallest_subgroup
    if asked is None:
        return
    lesions = f"that masks call {_listed(asked.lesions)}" if asked.lesions else "that masks outline"
    free = (
        " They have no noise and cost no epsilon: it covers the training patients, and these are test patients."
        if isinstance(study.privacy, DpSgd)
        else ""
    )
    clear = (
        ""
        if study.aggregation.secure
        else " A coordinator that sends models of its own making, one after the other, can learn from them where "
        "lesions lie."
    )
    yield (
        f"With the sums over test patients, in one message: how much of the finished model's maps ({asked.method}) "
        f"lies in lesions {lesions}, as six whole numbers: patients, images, hits, and the sums of three parts. No map "
        f"leaves, and nothing where fewer than {least} test patients have an outlined lesion; a hospital whose policy "
        f"refuses (maps = false) takes part without.{clear}{free}"
    )


def _recalibrated(study: Study) -> Iterator[str]:
    """Say what leaves of each hospital's own recalibration; nothing where the study does not ask."""
    if not study.evaluation.recalibrated:
        return
    private = isinstance(study.privacy, DpSgd)
    free = " Epsilon is not spent on it and does not cover it: nobody is trained on." if private else ""
    clear = (
        ""
        if study.aggregation.secure
        else " Beside the first ones, one hospital's show its slope and biases, which were fitted without noise."
    )
    yield (
        "With the sums over test patients, in one message: the same sums by the hospital's own recalibration of the "
        "finished model, a slope and a bias for each class that it fits to its validation patients and keeps; without "
        f"enough of them, the same once more.{clear}{free}"
    )


def _withheld(study: Study) -> Iterator[str]:
    """Say what leaves of the model without each input; nothing where the study does not ask."""
    if not study.evaluation.withheld:
        return
    private, least = isinstance(study.privacy, DpSgd), study.evaluation.smallest_subgroup
    free = " Epsilon is not spent on it and does not cover it: nobody is trained on." if private else ""
    yield (
        f"With the sums over test patients, in one message: the same sums with each of {_listed(study.data.told)} "
        "withheld from the finished model, and of how many records it is known. Where fewer than "
        f"{least} of a hospital's test patients have an input, it sends the first sums once more and counts nobody, "
        f"and where fewer than {least} lack it, it counts all.{free}"
    )


def _ballot(study: Study) -> Iterator[str]:
    if study.aggregation.vote_margin is None:
        return
    signed = ", signed" if study.aggregation.secure else ""
    yield (
        f"Each round, in the clear{signed}: one bit, the hospital's vote. It says whether the model did worse on the "
        "validation patients, who are not trained on; epsilon does not cover it."
    )


def _leaves_masked(study: Study, *, private: bool) -> Iterator[str]:
    yield "Once: a public key for this run, signed by the hospital."
    if isinstance(study.privacy, DistributedDpSgd):
        yield (
            "Each round of training, masked so that only a sum over hospitals can be read: the sum of the drawn "
            "patients' clipped gradients with the hospital's share of the noise, and no other number: no count, no "
            "loss, no epsilon."
        )
        yield from _leaves_beside(study)
        return
    yield (
        f"Each round of training, masked so that only a sum over hospitals can be read: the update (how the parameters "
        f"moved{', clipped and noised' if private else ''}), the number of training images"
        f"{'' if private else ', the loss'}, and how many numbers of the update were clipped at "
        f"± {study.aggregation.clip:g}."
    )
    yield from _leaves_beside(study)


def _leaves_beside(study: Study) -> Iterator[str]:
    every = study.evaluation.every
    how_often = "" if every == 1 else f" (after every {every} rounds and the last)"
    yield (
        f"Each evaluation{how_often}, and once at the end over the test patients, masked in the same way: sums over "
        f"the images of a split ({_task(study).leaves()})."
    )
    yield "After each of these: a signature on the list of hospitals that are summed, and the shares that open the sum."
    if study.aggregation.clip_statements:
        yield "With each round of training: a signed statement of the limits to which the hospital clipped."
    yield from _by_subgroup(study)
    yield from _maps(study)
    yield from _recalibrated(study)
    yield from _withheld(study)
    yield from _features(study)
    yield from _ballot(study)
    yield "When a hospital cannot answer: one fixed word for the kind of fault, no text."


def _only(study: Study) -> str:
    """Name the hospitals that only evaluate."""
    return _listed(study.evaluation.external)


def _s(names: tuple[str, ...]) -> str:
    return "s" if len(names) == 1 else ""


def _stays(study: Study) -> Iterator[str]:
    if study.training.measure:
        yield study.training.measure.stays
    if study.training.variates:
        yield study.training.variates.stays
    yield (
        "Images and pixels, outlines, DICOM attributes, patient identifiers, dates, file names, a patient's "
        f"{'variables, ' if study.data.variables else ''}label or score."
    )
    yield "The scan's index and report, the prepared images, and the logs."


def _cost(study: Study) -> Iterator[str]:
    privacy = study.privacy
    if _task(study).generates:
        yield said_of_drawn(study)
    if not isinstance(privacy, DpSgd):
        yield "There is no differential privacy: nothing bounds what the model or an update reveals about a patient."
        yield (
            "Anyone with the model may find out whether a patient was in the training data; anyone who reads a "
            "hospital's update may reconstruct some of its images. Write mechanism = 'dp-sgd' to bound both."
        )
        return
    yield (
        f"Over the whole study, epsilon {privacy.epsilon:g} and delta {privacy.delta:g} for each patient of each "
        "hospital (DP-SGD). A patient with images at two hospitals spends it at both."
    )
    yield (
        f"In the worst case, anyone who reads every update can become {_factor(privacy.epsilon)} more certain, in "
        f"odds, that a patient took part, and more than that only with a small probability, which delta "
        f"({privacy.delta:g}) keeps small. Delta should be well below 1/N for a hospital with N patients."
    )
    if study.training.measure:
        yield study.training.measure.private
    if study.training.variates:
        yield study.training.variates.private
    if any(key == STEPS_KEY for key, _ in study.plugin_parts):
        yield (
            "Steps of preparation spend nothing, as long as each sees one image and keeps nothing of others: then a "
            "patient's images change no other's. For the steps of plug-ins this is tried, on noise before approval and "
            "on pieces of images while they are prepared, and not proved: read their code."
        )
    distributed = isinstance(privacy, DistributedDpSgd)
    if distributed:
        yield (
            "This holds against anyone who reads the secure sums and all models, but not against somebody who reads a "
            "single hospital's update: it rests on the secure sums (docs/distributed-privacy.md)."
        )
    patient = (
        "one image" if privacy.images_per_patient == 1 else f"the mean over up to {privacy.images_per_patient} images"
    )
    yield (
        f"In a step a sampled patient contributes {patient}, clipped to an L2 norm of {privacy.clip_norm:g}; "
        + (
            _noise_shares(study, privacy)
            if isinstance(privacy, DistributedDpSgd)
            else "each hospital adds enough noise on its own."
        )
    )
    yield (
        "Epsilon covers the training patients' part in the updates, and so the model. It does not cover the counts and "
        "the evaluation sums, which are exact, or this study's settings if they were tuned on the same patients."
    )
    if study.evaluation.external:
        yield (
            f"Nothing is spent at {_only(study)}, where nobody is trained on. The sums over the test patients there "
            "are exact, and epsilon does not cover them."
        )


def said_of_drawn(study: Study) -> str:
    """Say what an image that is drawn from the study's model costs the patients."""
    if isinstance(study.privacy, DpSgd):
        return (
            "Whoever has the model can draw any number of images from it. That costs nothing more, since they follow "
            "from the model alone (post-processing): the model's epsilon is that of all images together."
        )
    return (
        "Whoever has the model can draw any number of images from it, and each may be close to a patient's: a made "
        "image is not anonymous because it is made."
    )


def _noise_shares(study: Study, privacy: DistributedDpSgd) -> str:
    def hospitals(count: int) -> str:
        return f"{count} hospital{'' if count == 1 else 's'}"

    least = study.aggregation.min_hospitals
    return (
        f"each hospital adds its share of integer noise. The shares are enough even if {hospitals(privacy.dropouts)} "
        f"drop{'s' if privacy.dropouts == 1 else ''} out of a round and {hospitals(privacy.colluders)} "
        f"tell{'s' if privacy.colluders == 1 else ''} the coordinator the noise that was added; a hospital opens no "
        f"sum over fewer than that, nor over fewer than {least}."
    )


def _seen(study: Study) -> Iterator[str]:
    if study.evaluation.external:
        yield _seen_external(study)
    if study.aggregation.secure:
        yield (
            f"Sums over at least {study.aggregation.min_hospitals} hospitals: their updates, counts and score sums are "
            "masked, and only the sum can be unmasked. This holds even if the coordinator lies, as long as the "
            "hospitals know each other's keys and enough of them are honest (docs/secagg.md, sections 6 and 10)."
        )
        yield from said_of_graph(
            study, max(len(study.roster) - len(study.evaluation.external), study.aggregation.min_hospitals)
        )
        yield (
            "A part of a sum to which one hospital alone has something to give, such as a class, a subgroup, maps or a "
            "recalibration of its own, is that hospital's: the sum says neither that it is so nor whose it is."
        )
        bound = "the epsilon above bounds" if isinstance(study.privacy, DpSgd) else "nothing bounds"
        yield (
            "It sees which hospitals took part in a round. By leaving one out of some rounds it can compare sums, "
            "and so learn that hospital's number of images, and something about its update and scores; "
            f"{bound} what the update reveals."
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
    who = _only(study)
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
        f"{form.colluders} hospitals side with the coordinator, and did before the keys were known, the probability "
        f"that any honest hospital's numbers can be read is at most 2^-{LEAK_BITS}, even if the coordinator tries "
        f"2^{TRIED_BITS} sets of keys. If up to {form.dropouts} hospitals drop out of a round by accident, the round "
        f"is lost with a probability of at most 2^-{LOST_BITS} (docs/secagg.md, section 15)."
    )


def _tracked(study: Study) -> Iterator[str]:
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
    alone, first = study.aggregation.min_hospitals == 1, _task(study).first.term
    yield (
        f"For {_listed(readers)} it keeps each round's figures over all hospitals together: losses, {first}, how many "
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


def _factor(epsilon: float) -> str:
    if epsilon > 50:  # beyond any meaning, and in the end beyond a float
        return "almost without bound"
    factor = math.exp(epsilon)
    return f"{factor:.2g} times" if factor < 10 else f"{factor:,.0f} times"


def _time(minutes: float) -> str:
    for unit, length in (("day", 1440), ("hour", 60)):
        if minutes >= length:
            count = minutes / length
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def _times(passes: float) -> str:
    return "1 pass" if passes == 1 else f"{passes:g} passes" if passes > 1 else f"{passes:g} of a pass"


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
