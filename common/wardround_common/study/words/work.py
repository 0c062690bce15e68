"""What a study will do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wardround_common.counting import count
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.plugins.names import package_of
from wardround_common.study.before import INPUT_TENSORS, asks_intensities
from wardround_common.study.data import THROUGH, Data
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.training import Training
from wardround_common.study.words.phrases import listed, only, s_of, task_in, trained_on

NORMS = {"group": "group normalisation", "instance": "instance normalisation", "batch": "batch normalisation"}
INTENSITIES = {
    "percentile": "the 0.5th to 99.5th percentile of each image become 0 to 1",
    "window": "each file's own window becomes 0 to 1",
    "range": "each image's minimum to maximum become 0 to 1",
    "steps": "each image's values are taken as its steps leave them",
}


def work(study: Study) -> Iterator[str]:
    """Say what is trained, on what, how, and how it is judged."""
    data, training, evaluation = study.data, study.training, study.evaluation
    yield (
        f"Trains {_network(study)} to {task_in(study).words(study.task).purpose} in "
        f"{listed(data.modalities)} {_form(data)}{_of_parts(data)}, "
        f"{data.inputs} channel{'s' if data.inputs > 1 else ''}; {_intensities(study)}."
    )
    if data.steps:
        whole = "a whole series" if task_in(study).takes_series(study.task) else "the image"
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
        yield f"Training images are varied: {listed(training.augmentations)}."
    if training.class_weights is not None:
        pairs = zip(task_in(study).weighted(study.task), training.class_weights, strict=True)
        yield f"The loss weighs {listed([f'{word} {weight:g}' for word, weight in pairs])}."
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
        f"to choose the operating point ({task_in(study).said_of_point(study.task, evaluation.sensitivity)})"
        if task_in(study).has_point
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
            f"{only(study)} only evaluate{s_of(evaluation.external)}: the model is never trained on patients there and "
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


CLASSES_COUNTED = "Training images that the hospitals counted before the first round"


def said_of_classes(study: Study, counts: Sequence[int], weights: Sequence[float]) -> str:
    """Say how many training images of each class the hospitals counted, and the weights that followed."""
    said = [f"{word} {n:,} (weight {w:.3g})" for word, n, w in zip(study.groups, counts, weights, strict=True)]
    return f"{CLASSES_COUNTED}: {listed(said)}."


def said_of_intensities(study: Study, layout: Layout, model: Vector) -> Iterator[str]:
    """Say by which mean and deviation a model standardises its input; nothing where it does not."""
    if study.data.normalisation is None:
        return
    tensors = layout.tensors(model)
    mean, deviation = (listed([f"{value:.3f}" for value in tensors[name].tolist()]) for name in INPUT_TENSORS)
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


def said_of_noise(study: Study) -> Iterator[str]:
    """Say what noise in evaluation sums means for the figures; nothing where they have none."""
    if study.noised:
        noised = task_in(study).noised_sums()
        yield (
            f"Figures are of counts with noise ([privacy] evaluation_epsilon = {study.evaluation_epsilon:g}): of "
            f"patients, each of whom counts as one however many images there are, by {noised.words(study.task)}. How "
            f"many there are is not exact. {noised.effect}. Intervals hold what the noise does."
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
    seeded = (
        f" {count(len(weights.seeded), 'tensor is', 'tensors are')} not from it, but from the seed."
        if weights.seeded
        else ""
    )
    converted = (
        f" Of {count(weights.converted, 'batch normalisation')} of it, scale and shift go to another normalisation, "
        "without the statistics."
        if weights.converted
        else ""
    )
    yield (
        f"The network begins with the file of weights '{weights.name}' (SHA-256 {weights.file}), which each hospital "
        f"is given locally and checks.{seeded}{converted} What it was learnt from is not counted: "
        "no ledger knows of it."
    )


def _kept(study: Study) -> Iterator[str]:
    """Say which round's model is kept; nothing if it is the last one's."""
    evaluation = study.evaluation
    if evaluation.keep == "mean-of-last":
        yield f"The model that is kept is the mean of the models of the last {evaluation.average} rounds."
    if evaluation.keep == "best":
        yield (
            f"The model that is kept is that of the round with the best {task_in(study).first.term} over all "
            "validation patients together, by the sums that hospitals send anyway: the choice costs no privacy."
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
        f"Besides images the model is told {listed([one.said() for one in variables])}, which each hospital reads "
        "from its clinical.csv, its table of labels or its files, and keeps. What a hospital does not know of a patient"
        f" the model is told as missing; nothing is filled in.{covered}"
    )


def _of_parts(data: Data) -> str:
    return f", of {listed(data.body_parts)} where their files state a body part" if data.body_parts else ""


def _form(data: Data) -> str:
    if data.patch_size is None or data.spacing_mm is None:
        one = f"images of {data.square} × {data.square} pixels"
        if data.record == "slice":
            return f"{one}, each among others of its series"
        return f"{one}, up to {data.bag_size} of a {data.record} together as one record" if data.bagged else one
    voxel, patch = (" × ".join(f"{each:g}" for each in three) for three in (data.spacing_mm, data.patch_size))
    patches = count(data.patches_per_volume, "patch", "patches")
    return f"volumes with voxels of {voxel} mm, with {patches} of {patch} voxels drawn from each in a pass"


def _intensities(study: Study) -> str:
    said = INTENSITIES[study.data.intensity]
    return said.replace("image", "series") if task_in(study).takes_series(study.task) else said


def said_of_own_code(study: Study) -> Iterator[str]:
    """Say which code of a researcher's own the study names; nothing if it names none."""
    if study.own_code:
        yield (
            f"{listed(study.own_code)} {'is' if len(study.own_code) == 1 else 'are'} a researcher's own code, which "
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
            f"{listed(parts)[0].upper()}{listed(parts)[1:]} {'is' if len(parts) == 1 else 'are'} no part of "
            f"Wardround, but of the plug-in {plugin.package} {plugin.version}, whose files have the SHA-256 "
            f"{plugin.sha256}. Only an installation with exactly these files runs: whoever installed it vouches for "
            "it. It runs with all rights of the service, and the digest covers neither what it does nor the packages "
            "that it imports."
        )


def _series(study: Study) -> Iterator[str]:
    """Say which series are taken, of a task that takes series."""
    if study.data.sequences:
        roles = listed([f"'{one.role}'" for one in study.data.sequences])
        yield (
            f"Of each patient it takes images of the series {roles}, by what scanners write of them, up to "
            f"{study.data.share} of each. A series that a patient has not is told to the model as missing; a patient "
            "with one of them takes part."
        )
    if not task_in(study).takes_series(study.task):
        return
    taken = listed([f"'{one.role}'" for one in study.data.series]) if study.data.series else "the only series there is"
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


def _network(study: Study) -> str:
    model = study.model
    if model.network == "wavelets":
        first = "" if model.start else ", zero at first,"
        return f"one linear layer on fixed wavelet features{first}"
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
    _, several = trained_on(study)
    unit = "patients expected per step" if isinstance(study.privacy, DpSgd) else f"{several} per step"
    momentum = f", momentum {training.momentum:g}" if training.optimiser == "sgd" and training.momentum else ""
    decay = f", weight decay {training.weight_decay:g}" if training.weight_decay else ""
    much = count(training.local_steps, "step") if training.local_steps else _times(training.passes)
    return (
        f"{much} over its training {several} with {training.optimiser} "
        f"(learning rate {training.learning_rate:g}, {training.schedule}{momentum}{decay}), "
        f"{training.batch_size} {unit}"
    )


def _time(minutes: float) -> str:
    for unit, length in (("day", 1440), ("hour", 60)):
        if minutes >= length:
            count = minutes / length
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def _times(passes: float) -> str:
    return "1 pass" if passes == 1 else f"{passes:g} passes" if passes > 1 else f"{passes:g} of a pass"
