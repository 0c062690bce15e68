"""The words, the table and the page of a plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from wardround_common.counting import count
from wardround_common.study.file import Study
from wardround_simulation.plan import Spend, StudyPlan

HEAD = ("", "patients", "rate", "steps", "noise", "epsilon", "S/N step", "S/N study")


def cells(plan: StudyPlan) -> Iterator[tuple[str, ...]]:
    """Return the table's rows: each hospital, the average of their models, and all under distributed trust."""
    for number, spend in enumerate(plan.local, start=1):
        yield _row(f"local, no. {number}", spend)
    if plan.distributed is None:
        return
    everybody = sum(spend.patients for spend in plan.local)
    yield (
        "local, averaged",
        f"{everybody:,}",
        "",
        "",
        "",
        f"{max(spend.epsilon for spend in plan.local):.3g}",
        "",
        f"{plan.local_signal_to_noise_of_study:.3g}",
    )
    yield _row("distributed, all", plan.distributed.all)


def _row(name: str, spend: Spend) -> tuple[str, ...]:
    return (
        name,
        f"{spend.patients:,}",
        f"{spend.sampling_rate:.3g}",
        f"{spend.steps:,}",
        f"{spend.noise_multiplier:.3g}",
        f"{spend.epsilon:.3g}",
        f"{spend.signal_to_noise:.3g}",
        f"{spend.signal_to_noise_of_study:.3g}",
    )


def said_of_start(study: Study, plan: StudyPlan) -> Iterator[str]:
    """Say what the training of the model cost from which the study starts; nothing if it starts from none."""
    start = study.model.start
    if start is None:
        return
    if start.cost is None:
        yield (
            f"Starts from the model '{start.name}', whose training nothing bounds: a patient who was in it has no "
            "epsilon, whatever this study costs."
        )
        return
    epsilon, delta = start.cost
    yield (
        f"Starts from the model '{start.name}', whose training cost a patient at most epsilon {epsilon:.3g} at delta "
        f"{delta:g}; with this study at most {epsilon + plan.epsilon:.3g} at delta {delta + plan.delta:g}. The "
        "hospitals' ledgers compose both, which is less; a patient new to that model starts at 0."
    )


def notes(plan: StudyPlan) -> Iterator[str]:
    """Say what the numbers mean and rest on."""
    yield "Rate: the chance of a patient to be in a step. Noise: its standard deviation over clip_norm, on the sum."
    yield (
        "S/N: the largest length that a mean of clipped gradients can have, over the expected length of its noise in "
        f"{plan.parameters:,} parameters; real gradients disagree, and stay below it. Over the study the signal grows "
        "with the steps, the noise with their root."
    )
    for one in plan.judging:
        yield (
            f"{one.split.capitalize()} patients: epsilon at most {one.epsilon:g} for {count(one.sums, 'evaluation')}. "
            f"Each count of all hospitals together gets noise of a standard deviation of {one.deviation:.3g} patients; "
            "what that does to figures: docs/evaluation.md, 'With noise'."
        )
    if plan.distributed is None:
        yield "Distributed trust needs a sum over two or more hospitals."
        return
    yield "Averaged: the hospitals' updates weighted by patients, each with its own noise."
    d = plan.distributed
    yield (
        f"Distributed: the noise of {d.counted_on} of {len(plan.local)} hospitals is enough, a share of {d.share:.3g} "
        f"each ({d.dropouts} may drop out, {d.colluders} collude). If all answer and none colludes, epsilon is "
        f"{d.epsilon_if_all_answer:.3g}; S/N counts all their noise. Every step is one secure sum. Rounding to "
        "integers is not in these numbers."
    )


def epsilons_around(epsilon: float) -> list[float]:
    """Choose the epsilons of the curve, evenly in the logarithm, with the study's own among them."""
    low, high = min(0.25, epsilon / 4), max(16.0, 2 * epsilon)
    count = max(12, round(2 * math.log2(high / low)))
    return sorted({epsilon} | {low * (high / low) ** (k / count) for k in range(count + 1)})


def render(study: Study, plan: StudyPlan, plans: Sequence[StudyPlan]) -> str:
    """Return the page as one HTML document: no script, no request."""
    from wardround_common.pages.documents import documents
    from wardround_server.report.figures.style import in_style
    from wardround_server.report.figures.trade import trade

    local = [(each.epsilon, each.local_signal_to_noise_of_study) for each in plans]
    lines = {"local trust, averaged" if plan.distributed else "local trust": local}
    if plan.distributed:
        lines["distributed trust"] = [
            (each.epsilon, each.distributed.all.signal_to_noise_of_study) for each in plans if each.distributed
        ]
    with in_style():
        picture = trade(lines, plan.epsilon)
    return (
        documents(Path(__file__).parent)
        .get_template("plan.html")
        .render(
            study=study,
            plan=plan,
            picture=picture,
            head=HEAD,
            rows=list(cells(plan)),
            notes=[*said_of_start(study, plan), *notes(plan)],
        )
    )
