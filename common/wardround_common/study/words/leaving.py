"""What leaves a hospital in a study, and what does not."""

from __future__ import annotations

from collections.abc import Iterator

from wardround_common.metrics import recalibration
from wardround_common.study.before import asks_intensities
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd, DpSgd, NoPrivacy
from wardround_common.study.words.phrases import listed, only, task_in, trained_on

TOLD_BY_SUMS = (
    "These sums are exact. Whoever reads them with their models, and has an image of a patient, can find out whether "
    "the patient is among those who are summed and {told}, masked or not: the fewer patients and the more "
    "evaluations, the surer; of 80 patients mostly by one, of 1,000 by ten"
)
TOLD_BY_LEVELS = (
    "Scores are counted in few levels. The sums are exact all the same: whoever reads them with their models, "
    "and has an image of a patient, can guess better than by chance whether the patient is among those who are summed "
    "and {told}, masked or not: the fewer patients and the more evaluations, the better ([evaluation] every)."
)
TOLD_BY_MARKS = (
    "These sums are exact. Whoever reads them with their models, and has an image of a patient and what is {marked} in "
    "it, can guess better than by chance whether the patient is among those who are summed, masked or not: the fewer "
    "patients and the more evaluations, the better"
)

TOLD_BY_FEW = (
    "These sums are few numbers, and exact: whoever reads them with their models, and has an image of a patient, can "
    "guess better than by chance whether the patient is among those who are summed, masked or not: the fewer patients "
    "and the more evaluations, the better"
)
FOUND_BY_MADE_UP_MODEL = (
    "A coordinator that sends a model made up for one image finds out by one evaluation, of however many patients, "
    "whether the patient is among them"
)
TOLD_BY_MADE_UP_MODEL = (
    "A coordinator that sends a model made up for one image finds both out by one evaluation, of however many patients."
)


def leaves(study: Study) -> Iterator[str]:
    """Say what of a hospital others read."""
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
            f"From {only(study)}: the names and shapes{also}, once, and at the end the sums over the test patients; "
            "none of the updates."
        )
    yield from _counted(study)
    if study.aggregation.secure:
        yield from _leaves_masked(study, private=private)
        return
    yield (
        f"Each round of training: the update (how the parameters moved{', clipped and noised' if private else ''}), "
        f"the number of training {trained_on(study)[1]} and of steps, and "
        f"{'the epsilon so far' if private else 'the mean loss'}."
    )
    yield (
        f"Each evaluation, and once at the end over the test patients: sums over the images of a split "
        f"({task_in(study).leaves()}), never an image's own. {task_in(study).words(study.task).caution}"
    )
    yield from _told_by_sums(study)
    yield from _leaves_in_any_case(study)


def _told_by_sums(study: Study) -> Iterator[str]:
    """Say what exact sums tell of one patient."""
    task = task_in(study)
    keys = [
        "every",
        *(["levels"] if task.in_levels else ()),
        *(["[privacy] evaluation_epsilon"] if task.noised else ()),
    ]
    less = f"([evaluation] {', '.join(keys)})"
    if study.evaluation.levels:
        yield f"{TOLD_BY_LEVELS.format(told=task.told)} {TOLD_BY_MADE_UP_MODEL}"
    elif task.marked:
        marks = TOLD_BY_MARKS.format(marked=task.marked)
        yield f"{marks} {less}. {FOUND_BY_MADE_UP_MODEL}, and whether anything is {task.marked} in it."
    elif task.coarse:
        yield f"{TOLD_BY_FEW} {less}. {FOUND_BY_MADE_UP_MODEL}, and which {task.group_words[0]} is theirs."
    elif task.generates:
        yield f"{TOLD_BY_FEW} {less}. {FOUND_BY_MADE_UP_MODEL}."
    else:
        yield f"{TOLD_BY_SUMS.format(told=task.told)} {less}. {TOLD_BY_MADE_UP_MODEL}"


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
        "and a histogram of how far each lies from the others. They go with the model, but for a public release. "
        "A coordinator that makes up the first ones learns from the histogram whether one image is among them."
        f"{uncovered if isinstance(study.privacy, DpSgd) else ''}"
    )


def _by_subgroup(study: Study) -> Iterator[str]:
    """Say what the sums over test patients also leave by; nothing where the study does not ask."""
    asked, least = study.evaluation.subgroups, study.evaluation.smallest_subgroup
    if not asked:
        return
    ways = [f"{one.name} ({', '.join(one.cells)})" for one in asked]
    yield (
        f"With the sums over test patients, in one message: the same by {listed(ways)}, and the number of patients. "
        f"A hospital merges subgroups of fewer than {least} of its patients before that, so that none follows from the "
        "others either; one whose policy refuses (subgroups = false) takes part without. A subgroup that one hospital "
        "alone tells is its own, masked or not: all of them are if the others refuse. Whoever reads these sums may "
        "join them by a score that only one patient has, and so know several attributes of somebody."
    )


def _maps(study: Study) -> Iterator[str]:
    """Say what leaves of maps of what the model's answers hang on; nothing where the study does not ask."""
    asked, least = study.evaluation.maps, study.evaluation.smallest_subgroup
    if asked is None:
        return
    lesions = f"that masks call {listed(asked.lesions)}" if asked.lesions else "that masks outline"
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
        f"refuses (maps = false) takes part without. What one hospital alone sends is its own, masked or not."
        f"{clear}{free}"
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
        f"enough of them, the model's own once more. There probabilities are in {recalibration.LEVELS} levels: finer "
        "ones would tell slope and bias. Where one hospital alone can fit, the difference of the two sums is its own."
        f"{clear}{free}"
    )


def _withheld(study: Study) -> Iterator[str]:
    """Say what leaves of the model without each input; nothing where the study does not ask."""
    if not study.evaluation.withheld:
        return
    private, least = isinstance(study.privacy, DpSgd), study.evaluation.smallest_subgroup
    free = " Epsilon is not spent on it and does not cover it: nobody is trained on." if private else ""
    yield (
        f"With the sums over test patients, in one message: the same sums with each of {listed(study.data.told)} "
        "withheld from the finished model, and of how many records it is known. Where fewer than "
        f"{least} of a hospital's test patients have an input, it sends the first sums once more and counts nobody, "
        f"and where fewer than {least} lack it, others who are drawn keep it, so that {least} do. Where one "
        "hospital alone has an input, the difference of the two sums is its own, masked or not: nearly all scores of "
        f"its test patients, by class.{free}"
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
        f"moved{', clipped and noised' if private else ''}), the number of training "
        f"{trained_on(study)[1]}{'' if private else ', the loss'}, and how many numbers of the update were clipped at "
        f"± {study.aggregation.clip:g}."
    )
    yield from _leaves_beside(study)


def _leaves_beside(study: Study) -> Iterator[str]:
    every = study.evaluation.every
    how_often = "" if every == 1 else f" (after every {every} rounds and the last)"
    if study.noised:
        yield from _noised(study, how_often)
    else:
        yield from _exact(study, how_often)
    yield "After each of these: a signature on the list of hospitals that are summed, and the shares that open the sum."
    if study.aggregation.clip_statements:
        yield "With each round of training: a signed statement of the limits to which the hospital clipped."
    yield from _leaves_in_any_case(study)


def _noised(study: Study, how_often: str) -> Iterator[str]:
    noised, shared = task_in(study).noised, isinstance(study.privacy, DistributedDpSgd)
    if noised is None or study.evaluation_epsilon is None or not isinstance(study.privacy, DpSgd):
        return
    whose = "its share of the noise" if shared else "noise that is enough by itself"
    yield (
        f"Each evaluation{how_often}, and once at the end over the test patients, masked in the same way: counts of "
        f"the patients of a split, each of whom counts as one, by {noised.words(study.task)}, and no other sum. Each "
        f"hospital adds {whose}."
    )
    yield (
        "Whatever model the coordinator sends, what these sums tell of a validation or test patient costs at most "
        f"epsilon {study.evaluation_epsilon:g} at delta {study.privacy.delta:g} over the whole study"
        f"{', as long as the secure sums hold' if shared else ''}. It is charged before they leave."
    )


def _exact(study: Study, how_often: str) -> Iterator[str]:
    yield (
        f"Each evaluation{how_often}, and once at the end over the test patients, masked in the same way: sums over "
        f"the images of a split ({task_in(study).leaves()})."
    )
    yield from _told_by_sums(study)


def _leaves_in_any_case(study: Study) -> Iterator[str]:
    """Say what leaves where the study asks for it, whether sums are secure or not."""
    yield from _by_subgroup(study)
    yield from _maps(study)
    yield from _recalibrated(study)
    yield from _withheld(study)
    yield from _features(study)
    yield from _ballot(study)
    yield "When a hospital cannot answer: one fixed word for the kind of fault, no text."


def stays(study: Study) -> Iterator[str]:
    """Say what never leaves."""
    if study.training.measure:
        yield study.training.measure.stays
    if study.training.variates:
        yield study.training.variates.stays
    yield (
        "Images and pixels, labels, outlines and boxes, DICOM attributes, patient identifiers, dates, file names, a "
        f"patient's {'variables or ' if study.data.variables else ''}score."
    )
    yield "The scan's index and report, the prepared images, and the logs."
