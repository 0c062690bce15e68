"""A model's card: what a buyer, an ethics board or a regulator asks of it, as Markdown and as a page from one template.

Its sections are those of Mitchell et al. (*Model cards for model reporting*, FAT* 2019), with the questions that the
applied model card of the Coalition for Health AI adds. What a machine knows stands here as the run has it; what only a
person can say comes from ``card.toml``, and a question that nobody answered says so.

Numbers of patients below :data:`SMALLEST` are not published, nor others from which they would follow: where a class is
that small on one side, there are no fractions of its records, since a few of two decimals are of one number only, and
other figures have two decimals and no interval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markupsafe import Markup

from wardround_common.metrics.shapes import Estimate, GroupFigures
from wardround_common.metrics.sum_intervals import FROM_SUMS, INDEPENDENT
from wardround_common.pages.documents import documents
from wardround_common.results import ALL, DEPLOYED, EXTERNAL, FEDERATED, TRAINED, HospitalRecord, Results, SiteMetrics
from wardround_common.results.evaluation import OF_PATIENTS, UNMOVED
from wardround_common.results.model_folder import Card, Judgement
from wardround_common.results.parts import Part
from wardround_common.study.privacy import DpSgd
from wardround_common.study.words.describe import Passage, describe
from wardround_common.study.words.work import CLASSES_COUNTED, says_unlike
from wardround_common.tasks.contract import Metric, Task
from wardround_common.tasks.registry import task_of
from wardround_server.report.card_words import UNSAID, CardWords
from wardround_server.report.tables.cells import ordered_sites, site_title
from wardround_server.report.words import interval, listing, number, records
from wardround_server.report.write import TEMPLATES

SMALLEST = 10
"""A number of patients or images below this is not published: a common floor of health statistics."""
FEW = f"fewer than {SMALLEST}"
FEW_SIDES = " (few)"
NOT_SHOWN = "–"
AREAS = ("auroc", "auprc")
"""Figures of a class that are no fractions of its records."""
DIGITS = 2
"""Of a hospital's figures: the exact fraction would tell how many patients there were."""
DIGITS_OF_ALL = 3
SHARED = (
    "Some hospitals share near-identical images. Each splits its own patients, so one half may be trained on and the "
    "other tested on: test numbers may be too good."
)
_ADVICE = re.compile(r" Write [a-z_]+ = [^.]*\.")
_SPECIAL = re.compile(r"([\\`*\[\]<>|~&#!]|(?<![^\W_])_|_(?![^\W_]))")  # within a word an underscore is one


class Raw(str):
    """Markdown that is written as it is."""

    __slots__ = ()


@dataclass(frozen=True)
class Signed:
    """Who signs the release: their fingerprint, and in which role."""

    fingerprint: str
    role: str


def markdown(results: Results, card: Card, words: CardWords, parts: Sequence[Part], signed: Signed | None) -> str:
    """Return the card as Markdown."""
    environment = Environment(
        loader=PackageLoader("wardround_server.report", "."),
        autoescape=False,  # noqa: S701  # it is Markdown: every value passes `escaped`, and the page takes no HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=escaped,
    )
    study = results.study
    passages = {passage.heading: passage for passage in describe(study)}
    text = environment.get_template("model_card.md").render(
        raw=Raw,
        results=results,
        card=card,
        study=study,
        purpose=task_of(study.task).words(study.task).purpose,
        said=lambda key: getattr(words, key) or UNSAID,
        stated=[key for key in CardWords.model_fields if getattr(words, key) is not None],
        deployed=card.engine == DEPLOYED,
        private=isinstance(study.privacy, DpSgd),
        noised=results.noised,
        rounds=listing([str(number) for number in card.rounds]),
        alarms=alarms(results),
        notes=notes(results),
        data=data(results),
        data_words=_data_words(results),
        scanners=scanners(results),
        overall=overall(results),
        few_cases=any(map(few_of_a_class, results.evaluation.get(FEDERATED, {}).values())),
        hospitals=by_hospital(results),
        groups=by_group(results),
        subgroups=subgroups(results),
        maps=maps(results),
        calibration=calibration(results, card),
        privacy=privacy(results),
        cost=_joined(passages["What it costs in privacy"]),
        seen=_joined(passages["What the coordinator can see in this version"]),
        work=[
            sentence
            for sentence in _joined(passages["What it will do"])
            if card.unlike is not None or sentence != says_unlike(study)
        ],
        parts=parts,
        signed=signed,
        smallest=SMALLEST,
        dense=task_of(study.task).dense,
        point_words=task_of(study.task).said_of_point(study.task, study.evaluation.sensitivity),
        sensitivity=study.evaluation.sensitivity,
        decides=task_of(study.task).decides,
        terms=task_of(study.task).terms(study.task),
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def page(text: str, title: str) -> str:
    """Return a card's Markdown as one HTML document in the look of the run's report."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return (
        documents(TEMPLATES)
        .get_template("model_card.html")
        .render(
            title=title,
            body=Markup(parser.render(text)),  # noqa: S704  # made with html=False: what a person wrote is escaped
        )
    )


def _table_open(self: RendererHTML, tokens: Sequence[object], at: int, options: object, env: object) -> str:
    return '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>\n'


def _table_close(self: RendererHTML, tokens: Sequence[object], at: int, options: object, env: object) -> str:
    return "</table></div>\n"


def escaped(value: object) -> str:
    """Write a value so that Markdown takes it for text, on one line."""
    if isinstance(value, Raw):
        return value
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Raw:
    """Write a table in Markdown; the first column is words, the others are numbers."""
    lines = [head, *rows]
    written = ["| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines]
    rule = "|" + "|".join(["---", *("---:" for _ in head[1:])]) + "|"
    return Raw("\n".join([written[0], rule, *written[1:]]))


def alarms(results: Results) -> list[str]:
    """Name the classes or structures that the model fails altogether, without a number of patients."""
    sites, task = results.evaluation.get(FEDERATED, {}), task_of(results.study.task)
    decides = task.verdict[0]
    whole = sites.get(ALL) or next(iter(sites.values()), None)
    if whole is None:
        return ["No test patient judged this model: nothing is known of how good it is."]
    said = []
    for word, group in zip(results.study.groups, whole.by_group, strict=False):
        if task.numeric and group.records and not group.found:
            said.append(f"The model tells no test case of “{word}” a value there. Nobody should rely on it for them.")
        elif group.records and not group.decided:
            said.append(f"The model never {decides} “{word}”. Nobody should rely on it to find “{word}”.")
        elif group.records and not group.found:
            said.append(f"The model found none of the test cases of “{word}”. Nobody should rely on it to find them.")
    return said


def notes(results: Results) -> list[str]:
    """Return what a reader must know of the run, without what was counted at hospitals.

    Neither at one of them nor at two; nor the images of each class at all, less those that the table shows.
    """
    names = [one.name for one in results.hospitals]
    shared = [note for note in results.notes if _is_of_two(note, names)]
    counted = (*(f"{name}:" for name in names), CLASSES_COUNTED)
    found = [note for note in results.notes if not note.startswith(counted) and note not in shared]
    return [*found, SHARED] if shared else found


def _is_of_two(note: str, names: Sequence[str]) -> bool:
    """Tell whether a note says what two hospitals share."""
    rests = [note.removeprefix(f"{one} and ") for one in names if note.startswith(f"{one} and ")]
    return any(rest.startswith(f"{other} share ") for rest in rests for other in names)


def suppressed(value: int) -> str:
    """Write a number of patients or images, if it is large enough to be published."""
    return f"{value:,}" if value >= SMALLEST or value == 0 else FEW


def data(results: Results) -> Raw | None:
    """Show each hospital's training data; None where the coordinator knows none of it.

    Where a number of one hospital is small, none of its kind is shown of any, and only their sum: by the others', from
    which their test patients follow, all test patients would tell it.
    """
    known = [one for one in results.hospitals if one.train is not None and results.study.trains(one.name)]
    if not known:
        return None
    words = results.study.groups
    every = [_counts(one) for one in known]
    sums = [sum(column) for column in zip(*every, strict=True)]
    hidden = hides_sizes(results)
    few = hidden or any(0 < each < SMALLEST for counts in every for each in counts[2:])
    rows = [
        [one.name, *(NOT_SHOWN if (hidden, few)[place > 1] else f"{each:,}" for place, each in enumerate(counts))]
        for one, counts in zip(known, every, strict=True)
    ]
    if len(known) > 1:
        of_classes = [NOT_SHOWN if any(0 < each < SMALLEST for each in sums[2:]) else f"{each:,}" for each in sums[2:]]
        rows.append(["All together", *map(suppressed, sums[:2]), *of_classes])
    heads = ["Hospital", "Training patients", records(results.study).capitalize(), *(f"“{word}”" for word in words)]
    if results.study.data.record == "patient":  # each is one record: the same number twice
        heads, rows = heads[:2] + heads[3:], [row[:2] + row[3:] for row in rows]
    return table(heads, rows)


def _counts(one: HospitalRecord) -> list[int]:
    return [] if one.train is None else [one.train.patients, one.train.images, *one.train.per_class]


def scanners(results: Results) -> str:
    """Name the scanners of the training images, where a researcher who simulates knows them; else nothing."""
    return listing(sorted({scanner for one in results.hospitals for scanner in one.scanners}))


def _data_words(results: Results) -> str:
    trained = f"{len(results.trainers)} hospital{'s' if len(results.trainers) > 1 else ''} trained"
    outside = f"; {listing(list(results.external))} only evaluated" if results.external else ""
    return f"{trained}: {listing(list(results.trainers))}{outside}."


def _shown(estimate: Estimate, digits: int, *, interval_too: bool = True) -> str:
    """Write a figure; an interval that follows from a number of patients alone would tell that number."""
    around = interval(estimate) if interval_too and estimate.reason != OF_PATIENTS else ""
    return number(estimate.value, digits) + (f" ({around})" if around else "")


def _cell(site: SiteMetrics, metric: Metric[Any], digits: int, *, interval_too: bool = True) -> str:
    """Show a site's figure as far as it does not tell how many of a class there are."""
    if metric.counts and few_of_a_class(site):
        return NOT_SHOWN
    may = interval_too and _may_show_interval(site, metric.name)
    return _shown(site.metrics[metric.name], digits, interval_too=may)


def overall(results: Results) -> Raw | None:
    """Show every metric on all test patients together, and apart by whether the hospital trained.

    Where one of the two parts is small neither is shown: taken from all, the other would tell it. Where one has few of
    a class, no column has an interval or a third decimal, from which it would follow of how many the others are.
    """
    shown = _together(results)
    if not shown:
        return None
    digits, task = digits_of(results), task_of(results.study.task)
    rows = [
        [
            f"{metric.label}{f' [{unit}]' if (unit := task.unit_of(metric, results.study.task)) else ''}",
            *(_cell(site, metric, digits, interval_too=digits > DIGITS) for _, site in shown),
        ]
        for metric in task.metrics
    ]
    return table(["Metric (95 % interval)", *(site_title(name) for name, _ in shown)], rows)


def _together(results: Results) -> list[tuple[str, SiteMetrics]]:
    """Name what is shown of all hospitals together, and apart by whether they trained."""
    sites = results.evaluation.get(FEDERATED, {})
    found = [(name, sites[name]) for name in (ALL, TRAINED, EXTERNAL) if name in sites]
    if not found and len(sites) == 1:
        found = list(sites.items())
    if any(_few(site) for _, site in found):
        found = found[:1]
    return [(name, site) for name, site in found if not _few(site)]


def digits_of(results: Results) -> int:
    """Return how many decimals figures of all hospitals have, wherever they stand: two where a part has few of a class.

    With a third one of all, and two of a part, it would follow of how many the others are.
    """
    return DIGITS if any(few_of_a_class(site) for _, site in _together(results)) else DIGITS_OF_ALL


def _few(site: SiteMetrics) -> bool:
    return (site.images if site.patients is None else site.patients) < SMALLEST


def few_of_a_class(site: SiteMetrics) -> bool:
    """Tell whether a fraction of one class's records, with its interval, would tell a small number of them."""
    return site.fewest is not None and site.fewest < SMALLEST


OF_DECIDED = ("ppv", "npv", "precision")
"""Fractions of what the model decides for: how many these are is not among the numbers that are looked at."""


def _may_show_interval(site: SiteMetrics, metric: str) -> bool:
    """Tell whether a figure's interval tells no small number: from sums it follows from a fraction and of how many."""
    why = site.metrics[metric].reason
    if few_of_a_class(site) or why in FROM_SUMS - {INDEPENDENT}:
        return False  # the latter follow from more than a fraction and of how many: they are for the report
    return not (metric in OF_DECIDED and why == INDEPENDENT)


def _is_small(group: GroupFigures) -> bool:
    return group.records < SMALLEST or 0 < (group.rest or 0) < SMALLEST


def published(site: SiteMetrics, task: Task[Any, Any], digits: int) -> Judgement | None:
    """Return what may be published of a site, with so many decimals; None where it has few patients."""
    if _few(site) or site.images < SMALLEST:
        return None
    few = few_of_a_class(site)
    hidden = {metric.name for metric in task.metrics if metric.counts} if few else set()
    values = {name: None if name in hidden else estimate.value for name, estimate in site.metrics.items()}
    return Judgement(
        patients=site.patients,
        images=site.images,
        metrics={name: None if value is None else round(value, digits) for name, value in values.items()},
    )


def by_hospital(results: Results) -> Raw | None:
    """Show the headline and what is compared beside it, hospital by hospital; None where only sums are known.

    Where one's number of patients is not published, no interval is, from which another's would follow.
    """
    task, sites = task_of(results.study.task), results.evaluation.get(FEDERATED, {})
    names, hidden = list(dict.fromkeys((task.headline, *task.compared))), hides_sizes(results)
    rows = []
    for name, site in ordered_sites(results, sites):
        if name in (ALL, TRAINED, EXTERNAL):
            continue
        label = name if results.study.trains(name) else f"{name} (did not train)"
        if _few(site):
            rows.append([label, FEW, *("–" for _ in names[1:])])
        else:
            mark = "" if site.enough else FEW_SIDES
            figures = (_cell(site, task.metric(each), DIGITS, interval_too=not hidden) for each in names)
            rows.append([label + mark, *figures])
    head = ["Test patients of", *(task.metric(name).label for name in names)]
    return table(head, rows) if rows else None


def by_group(results: Results) -> Raw | None:
    """Show the figures of each class or structure on all test patients; None where there are few.

    Where one class of an image's several is small, the others have areas under curves alone: of how many they are would
    follow from their fractions, and the small one is what is left of all images.
    """
    task, sites = task_of(results.study.task), results.evaluation.get(FEDERATED, {})
    whole = sites.get(ALL)
    if whole is None or len(whole.by_group) < task.fewest_groups:
        return None
    names = list(whole.by_group[0].figures)
    parted = sum(group.records for group in whole.by_group) == whole.images
    if parted and any(0 < group.records < SMALLEST for group in whole.by_group):
        names = [name for name in names if name in AREAS]
        if not names:
            return None
    rows = [
        [word, *((FEW if _is_small(group) else number(group.figures[name])) for name in names)]
        for word, group in zip(results.study.groups, whole.by_group, strict=True)
    ]
    return table(["", *(task.metric(name).label for name in names)], rows)


def subgroups(results: Results) -> Raw | None:
    """Show the figures of subgroups of patients; None where the run has none.

    Beside a small subgroup no number of patients is shown: taken from all of them, the others would tell it. So it is
    where a hospital that is in none of them has few.
    """
    task, whole = task_of(results.study.task), results.evaluation.get(FEDERATED, {}).get(ALL)
    names = list(dict.fromkeys((task.headline, *task.compared)))
    rows = []
    for subgrouping in results.subgroups:
        rest = whole.images - sum(cell.images for cell in subgrouping.cells) if whole else 0
        small = 0 < rest < SMALLEST or any(cell.patients < SMALLEST for cell in subgrouping.cells)
        for cell in subgrouping.cells:
            label = f"{subgrouping.name}: {cell.value}"
            if cell.patients < SMALLEST:
                rows.append([label, FEW, *("–" for _ in names)])
            else:
                many = cell.fewest is not None and cell.fewest >= SMALLEST
                each = [(cell.metrics[name], task.metric(name).counts and not many) for name in names]
                figures = (
                    NOT_SHOWN if hidden else _shown(one, DIGITS, interval_too=many and one.reason not in FROM_SUMS)
                    for one, hidden in each
                )
                shown = "–" if small else f"{cell.patients:,}"
                rows.append([label + ("" if cell.enough else FEW_SIDES), shown, *figures])
    return table(["", "Test patients", *(task.metric(name).label for name in names)], rows) if rows else None


def maps(results: Results) -> Raw | None:
    """Show how much of the model's maps lies in lesions; None where the run has no such sums of enough patients.

    Where one of the numbers of patients is small, none is shown: taken from all of them, the others would tell it. Nor
    is any where a hospital's number of patients is not, since all test patients of another may have maps.
    """
    found = results.maps
    if found is None or found.everybody.patients < SMALLEST:
        return None
    each = {"all hospitals": found.everybody} | found.hospitals
    small = hides_sizes(results) or any(one.patients < SMALLEST for one in each.values())
    rows = [
        [
            name,
            "–" if small else f"{one.patients:,}",
            _shown(one.pointing_game, DIGITS, interval_too=not small),  # of how many it is would follow
            *(number(part) for part in (one.mass_in_lesion, one.random, one.untrained)),
        ]
        for name, one in each.items()
        if one.patients >= SMALLEST
    ]
    head = ["", "Test patients", "Pointing game", "Mass in lesion", "Lesion covers", "Random weights"]
    return table(head, rows)


def calibration(results: Results, card: Card) -> list[str]:
    """Say how far probabilities can be believed."""
    task = task_of(results.study.task)
    if task.dense and card.point is not None:
        return ["The confidence of a box ranks boxes; it is not calibrated, and no probability that a lesion is there."]
    if task.dense:
        return ["Outlines have no probabilities to calibrate."]
    if card.temperature is None:
        return ["No temperature could be fitted: probabilities are the network's own, and not calibrated."]
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    labels = {metric.name: metric.label for metric in task.metrics}
    said = [
        f"Log-odds are divided by a temperature of {card.temperature:.3g}, fitted on the validation patients of all "
        "hospitals together (Guo et al. 2017); the figures below are of the probabilities before that."
    ]
    found = [] if whole is None or _few(whole) else [name for name in UNMOVED if name in whole.metrics]
    if whole is not None:
        said += [
            f"{labels[name]} on all test patients: {number(whole.value(name), digits_of(results))}." for name in found
        ]
    if not found:
        said = [said[0].partition(";")[0] + "."]
    if results.study.noised:
        said.append(
            "It was fitted to counts with noise, which mostly makes it too high: probabilities lie nearer to even."
        )
    return said


def hides_sizes(results: Results) -> bool:
    """Tell whether no hospital's number of patients is published, nor what it follows from: that of one is small.

    Of how many patients the model is tested in all is published, and a hospital's part of them follows from its
    training patients and the study: what all others leave is the one's.
    """
    sites = results.evaluation.get(FEDERATED, {}).values()
    trained = [one.train.patients for one in results.hospitals if one.train and results.study.trains(one.name)]
    return any(many < SMALLEST for many in trained) or any(map(_few, sites))


def privacy(results: Results) -> Raw | None:
    """Show what the study cost the patients of each hospital.

    Where numbers of patients are not shown, neither epsilon nor noise is: with the study file, both tell them.
    """
    rows, hidden = [], hides_sizes(results)
    for one in results.hospitals:
        if one.privacy is None:
            continue
        shown = [number(one.privacy.epsilon, 2), f"{one.privacy.delta:g}", number(one.privacy.noise_multiplier, 2)]
        rows.append([one.name, "–", shown[1], "–"] if hidden else [one.name, *shown])
    return table(["Hospital", "ε spent", "δ", "Noise multiplier"], rows) if rows else None


def _joined(passage: Passage) -> Iterator[str]:
    """Yield what a study says of itself, without the advice that it gives to a hospital that could still decline."""
    for sentence in passage.sentences:
        if "take part only if" not in sentence:
            yield _ADVICE.sub("", sentence)
