"""The report's first paragraph and its key numbers: what was trained, what it cost, how good it is, what to mind."""

from __future__ import annotations

from dataclasses import dataclass

from wardround_common.counting import count
from wardround_common.results import ALL, FEDERATED, POOLED, TRAINED, Results, alone, alone_hospital
from wardround_common.results.record import DEPLOYED
from wardround_common.study.privacy import DpSgd
from wardround_common.tasks.registry import task_of
from wardround_server.report.alarms import alarms
from wardround_server.report.tables.course import kept
from wardround_server.report.tables.maps import said_of_maps
from wardround_server.report.tables.means import (
    at_hospitals,
    counted,
    mean_over_hospitals,
    mean_where_not_trained,
    not_in_figures,
    said_of_means,
)
from wardround_server.report.tables.outside import fell_where_left_out
from wardround_server.report.tables.subgroups import said_of_worst
from wardround_server.report.words import duration, interval, judged, listing, number, small

MOST_GROUPS = 6
"""Groups of which the first paragraph says how many are found."""


@dataclass(frozen=True, slots=True)
class KeyNumber:
    """One number that a reader should take home."""

    label: str
    value: str
    detail: str = ""


def story(results: Results) -> list[str]:
    """Tell the run in plain words, one paragraph a string: alarms, then how good it is, before anything else."""
    parts = (
        alarms(results),
        [_what(results)],
        [*_found(results), *_how_good(results), *said_of_worst(results), *said_of_maps(results)],
        [_privacy(results)],
    )
    return [" ".join(part) for part in parts if part]


def verdict(results: Results) -> list[tuple[str, str]]:
    """Answer in three lines, before anything else: is the model good, is it private, what now.

    Not "safe": in a hospital that is said of what harms a patient, which no figure here speaks of.
    """
    mean, first = mean_over_hospitals(results, FEDERATED), results.headline
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    value = mean if mean is not None else whole.value(first.name) if whole else None
    good = "it was not judged on test patients"
    if value is not None:
        good = f"{first.term} {number(value)}{f' {first.unit}' if first.unit else ''} on test patients"
        best = best_alone(results)
        if best and mean is not None:
            better = first.goodness(mean) > first.goodness(best[1])
            good += f", {'better than' if better else 'no better than'} any hospital alone ({number(best[1])})"
        if mean is not None:
            good += _without(results)
    privacy, spent = results.study.privacy, most_spent(results)
    private = isinstance(privacy, DpSgd)
    told = "without differential privacy: it may remember patients"
    if isinstance(privacy, DpSgd) and spent is None:
        most = number(privacy.epsilon, 2)
        told = f"a training patient was exposed by at most ε = {most}; what was spent, the hospitals know"
    elif spent is not None:
        told = f"a training patient was exposed by at most ε = {number(spent, 2)}"
        if results.engine != DEPLOYED:
            told += ", had this not been a simulation, whose noise anybody can make again"
    now = "attack it with 'wardround evidence make RUN', then publish it with 'wardround export RUN'"
    if results.engine != DEPLOYED:
        now = "run the study at the hospitals, or attack this model with 'wardround evidence make RUN'"
    if not private:
        now = "give it only to those who could be shown the training images; 'wardround evidence make RUN' attacks it"
    if results.notes:
        now = f"read what to note first; then {now}"
    if alarms(results):
        good, now = f"{good}; but see the alarm", "do not use it before you have read the alarm"
    return [("Good?", good), ("Private?", told), ("Now", now)]


def _without(results: Results) -> str:
    """Name the groups that the mean over hospitals says nothing of, or not for every hospital; nothing if all count."""
    lacking = not_in_figures(results, results.trainers)
    nowhere = [f"“{word}”" for word, _, anywhere in lacking if not anywhere]
    somewhere = [f"“{word}”" for word, _, anywhere in lacking if anywhere]
    said = f"; without {listing(nowhere)}, which too few test patients have at any hospital" if nowhere else ""
    return said + (f"; not at every hospital with {listing(somewhere)}" if somewhere else "")


def key_numbers(results: Results) -> list[KeyNumber]:
    """Return the numbers at the head of the page; those that the run does not have are left out."""
    numbers = []
    mean, first = mean_over_hospitals(results, FEDERATED), results.headline
    unit = f" {first.unit}" if first.unit else ""
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    if mean is not None:
        numbers.append(KeyNumber(f"Federated {first.term}", number(mean) + unit, f"mean over {_of_hospitals(results)}"))
    if whole and whole.value(first.name) is not None:
        around = interval(whole.metrics[first.name])
        detail = f"95 % interval {around}" if around else f"{first.label}, no interval"
        numbers.append(KeyNumber("All test patients", number(whole.value(first.name)) + unit, detail))
    outside = mean_where_not_trained(results, FEDERATED)
    if outside is not None:
        said = ", ".join(results.external)
        numbers.append(KeyNumber("Where it did not train", number(outside) + unit, said))
    best = best_alone(results)
    if best:
        numbers.append(KeyNumber("Best hospital alone", number(best[1]) + unit, f"{best[0]}, mean over hospitals"))
    pooled = mean_over_hospitals(results, POOLED)
    if pooled is not None:
        numbers.append(KeyNumber(f"Pooled {first.term}", number(pooled) + unit, "images brought together"))
    spent = most_spent(results)
    if isinstance(results.study.privacy, DpSgd):
        limit = f"of {results.study.privacy.epsilon:g} at δ = {small(results.study.privacy.delta)}"
        numbers.append(KeyNumber("Privacy spent", f"ε {number(spent, 2)}", limit))
    else:
        numbers.append(KeyNumber("Privacy spent", "no limit", "no differential privacy"))
    took = sum(r.seconds for r in results.rounds)
    numbers.append(KeyNumber("Rounds", f"{len(results.rounds)}", f"in {duration(took)}"))
    return numbers


def _of_hospitals(results: Results) -> str:
    """Say of how many hospitals a mean is, where that is not all that trained."""
    having, every = len(at_hospitals(results, FEDERATED)), len(results.trainers)
    return "hospitals" if having == every else f"{having} of {count(every, 'hospital')}"


def best_alone(results: Results) -> tuple[str, float] | None:
    """Name the hospital whose own model has the best mean headline over all hospitals, with that mean."""
    found = [
        (hospital, value)
        for model in results.evaluation
        if (hospital := alone_hospital(model)) is not None
        and (value := mean_over_hospitals(results, model)) is not None
    ]
    return max(found, key=lambda pair: results.headline.goodness(pair[1]), default=None)


def at_home(results: Results) -> list[tuple[float, float]]:
    """Return, for each hospital's own test patients, the headline of its own model and of the federated one.

    Of the hospitals that means count.
    """
    pairs, first = [], results.headline.name
    for name in counted(results, results.trainers):
        own = results.evaluation.get(alone(name), {}).get(name)
        together = results.evaluation.get(FEDERATED, {}).get(name)
        if own and together and (a := own.value(first)) is not None and (b := together.value(first)) is not None:
            pairs.append((a, b))
    return pairs


def most_spent(results: Results) -> float | None:
    """Return the largest epsilon that any hospital has spent."""
    said = [h.privacy.epsilon for h in results.hospitals if h.privacy is not None]
    return max([*said, *(r.epsilon for r in results.rounds if r.epsilon is not None)], default=None)


def _what(results: Results) -> str:
    purpose = task_of(results.study.task).words(results.study.task).purpose
    known = [h for h in results.hospitals if h.train is not None and h.name in results.trainers]
    patients = sum(h.train.patients for h in known if h.train is not None)
    on = f" on {count(patients, 'training patient')}" if len(known) == len(results.trainers) and known else ""
    took = duration(sum(r.seconds for r in results.rounds))
    planned = results.study.training.rounds
    rounds = count(len(results.rounds), "round") + (f" of {planned} planned" if len(results.rounds) < planned else "")
    return (
        f"{count(len(results.trainers), 'hospital')} trained one model together to {purpose}{on}, "
        f"in {rounds} ({took}). Model updates and sums were exchanged, no image.{_kept(results)}{_external(results)}"
    )


def _kept(results: Results) -> str:
    """Say which model was kept, where it is another than the last."""
    if results.study.evaluation.keep == "last" or not results.kept_rounds:
        return ""
    return f" The model that was kept is {kept(results)}."


def _external(results: Results) -> str:
    """Name the hospitals that only evaluated; nothing if all trained."""
    if not results.external:
        return ""
    return f" It was also tried at {listing(list(results.external))}, which did not train."


def _found(results: Results) -> list[str]:
    """Say of each group how many of the test patients' records the model finds; nothing of more than can be read."""
    sites, words = results.evaluation.get(FEDERATED, {}), results.study.groups
    whole = sites.get(ALL) or next(iter(sites.values()), None)
    shown = [] if whole is None else [pair for pair in zip(words, whole.by_group, strict=False) if pair[1].records]
    if not shown or len(words) > MOST_GROUPS:
        return []
    task, of = task_of(results.study.task), judged(results.study)
    least_first = sorted(shown, key=lambda pair: pair[1].found / pair[1].records)
    (word, group), *others = least_first
    first = f"{group.found:,} of the {group.records:,} {of} “{word}”"
    rest = [f"{other.found:,} of {other.records:,} “{name}”" for name, other in others]
    does = f"tells a value in the right {task.group_words[0]} for" if task.numeric else "finds"
    return [f"Of all test patients together it {does} {listing([first, *rest])}."]


def _how_good(results: Results) -> list[str]:
    federated, first = mean_over_hospitals(results, FEDERATED), results.headline
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    together = whole.value(first.name) if whole else None
    label = first.term
    reading = f" ({first.reading})" if first.reading else ""
    unit = f" {first.unit}" if first.unit else ""
    outside = mean_where_not_trained(results, FEDERATED)
    there = [] if outside is None else [f"At hospitals that did not train it is {number(outside)}{unit}."]
    if federated is None and together is not None:
        inside = results.evaluation[FEDERATED].get(TRAINED)
        among = inside.value(first.name) if inside else None
        whose, value = "the hospitals’ test patients", together
        if among is not None:
            whose, value = "the test patients of the hospitals that trained", among
        return [f"On {whose} together, which it never saw, its {label} is {number(value)}{unit}{reading}.", *there]
    if federated is None:
        return ["The model was not judged on test patients, so that nothing can be said of how good it is."]
    said = [
        f"On test patients that it never saw, its {label} is {number(federated)}{unit} on average over the hospitals"
        f"{reading}.",
        *filter(None, [said_of_means(results)]),
        *there,
    ]
    said += [
        f"{label} at the operating point falls from {number(together, 2)} to {number(apart, 2)} at {hospital} if that "
        "hospital does not train, where it falls most."
        for label, hospital, apart, together in fell_where_left_out(results)
        if apart < together
    ]
    best, pooled = best_alone(results), mean_over_hospitals(results, POOLED)
    alone_models = [alone(h.name) for h in results.hospitals if alone(h.name) in results.evaluation]
    means = [m for m in (mean_over_hospitals(results, model) for model in alone_models) if m is not None]
    if best:
        said.append(
            f"A model that one hospital trains alone reaches {number(sum(means) / len(means))} on the same patients on "
            f"average; the best of them, {best[0]}’s, {number(best[1])}."
        )
    home = at_home(results)
    if home:
        better = sum(first.goodness(together) > first.goodness(own) for own, together in home)
        own_mean = sum(own for own, _ in home) / len(home)
        said.append(
            f"On a hospital’s own patients its own model reaches {number(own_mean)} on average, and the federated "
            f"model is better at {better} of {count(len(home), 'hospital')}."
        )
    if pooled is not None:
        said.append(
            f"A model trained on all images in one place, which is what federation avoids, reaches {number(pooled)}."
        )
    if best and first.goodness(best[1]) > first.goodness(federated):
        said.append(f"The federation is not better than {best[0]} alone.")
    return said


def _privacy(results: Results) -> str:
    study, spent = results.study.privacy, most_spent(results)
    if not isinstance(study, DpSgd):
        return (
            "It was trained without differential privacy: the model may remember patients, and should go only to "
            "those who could be shown the training images."
        )
    judged = ""
    if results.noised:
        most = f"{results.study.evaluation_epsilon:g}"
        judged = f" Those on whom it was judged have an ε of their own for the sums over them, of at most {most}."
    if spent is None:
        bound = f"It was trained with differential privacy (ε ≤ {study.epsilon:g})"
        return f"{bound}; what was spent is not on record.{judged}"
    return (
        f"It was trained with differential privacy: over the whole run, a training patient was exposed by at most "
        f"ε = {spent:.2f} of the study’s {study.epsilon:g}, at δ = {small(study.delta)}. The smaller ε is, the less "
        f"the model can say of any one patient.{judged}"
    )
