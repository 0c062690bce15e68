"""What a study costs in privacy, and by whom that is counted."""

from __future__ import annotations

import math
from collections.abc import Iterator

from wardround_common.study.file import Study
from wardround_common.study.plugins import STEPS_KEY
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.words.phrases import listed, only, task_in, trained_on


def cost(study: Study) -> Iterator[str]:
    """Say what epsilon a patient pays, for what it holds, and what it does not cover."""
    privacy = study.privacy
    if task_in(study).generates:
        yield said_of_drawn(study)
    if not isinstance(privacy, DpSgd):
        yield "There is no differential privacy: nothing bounds what the model or an update reveals about a patient."
        yield (
            "Anyone with the model may find out whether a patient was in the training data; anyone who reads a "
            "hospital's update may reconstruct some of its images. Write mechanism = 'dp-sgd' to bound both."
        )
        return
    yield (
        f"Over the whole study, epsilon {privacy.epsilon:g} and delta {privacy.delta:g} for each training patient "
        "of each hospital (DP-SGD). A patient with images at two hospitals spends it at both."
    )
    yield (
        f"In the worst case, anyone who reads every update can become {_factor(privacy.epsilon)} more certain, in "
        f"odds, that a patient was trained on, and more than that only with a small probability, which delta "
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
    (one, several), most = trained_on(study), privacy.images_per_patient
    patient = f"one {one}" if most == 1 else f"the mean over up to {most} {several}"
    yield (
        f"In a step a sampled patient contributes {patient}, clipped to an L2 norm of {privacy.clip_norm:g}; "
        + (
            _noise_shares(study, privacy)
            if isinstance(privacy, DistributedDpSgd)
            else "each hospital adds enough noise on its own."
        )
    )
    yield f"Epsilon covers the training patients' part in the updates, and so the model. {_not_covered(study)}"
    if study.evaluation.external:
        yield (
            f"Nothing is spent at {only(study)}, where nobody is trained on. The sums over the test patients there "
            "are exact, and epsilon does not cover them."
        )


def _not_covered(study: Study) -> str:
    epsilon = study.evaluation_epsilon
    if not study.noised or epsilon is None:
        return (
            "It does not cover the counts and the evaluation sums, which are exact, or this study's settings if they "
            "were tuned on the same patients."
        )
    return (
        f"The validation and the test patients have an epsilon of their own, {epsilon:g} at the same delta over the "
        f"whole study, for the evaluation sums: who reads them can become {_factor(epsilon)} more certain, in odds, "
        "that somebody is among these patients. Neither covers the numbers of patients and images, or this study's "
        "settings if they were tuned on the same patients."
    )


def cost_of_start(study: Study) -> Iterator[str]:
    """Say what the training of the model cost, from which the study starts."""
    start = study.model.start
    if start is None:
        return
    if start.cost is None:
        why = listed([f"{one.unbounded} ({one.name})" for one in start.trained if one.unbounded])
        yield (
            f"The model that it starts from was trained {why}: it may remember patients of that training, and no "
            "epsilon of this study covers them."
        )
    else:
        epsilon, delta = start.cost
        yield (
            f"The training of the model that it starts from cost a patient at most epsilon {epsilon:.3g} (delta "
            f"{delta:g}), which stays spent. Each hospital's ledger adds what this study costs to it, patient by "
            "patient; a patient who was not in that training starts at 0."
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


def _factor(epsilon: float) -> str:
    if epsilon > 50:  # beyond any meaning, and in the end beyond a float
        return "almost without bound"
    factor = math.exp(epsilon)
    return f"{factor:.2g} times" if factor < 10 else f"{factor:,.0f} times"
