"""How the run went, as pictures: learning curves, privacy spent, time and bytes, who answered."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from wardround_common.counting import count
from wardround_common.kinds import with_article
from wardround_common.results import Results
from wardround_common.study.privacy import DpSgd
from wardround_common.study.words.phrases import trained_on
from wardround_server.report.figures.quality import shorten
from wardround_server.report.figures.style import INK, SERIES, Picture, line_style, panel, picture
from wardround_server.report.words import small

MARKS = ("X", "s", "D", "^", "v", "P", "o", "*")  # one for each kind of absence


def loss(results: Results) -> Picture | None:
    """Draw the mean training and validation loss by round."""
    one = with_article(trained_on(results.study)[0])
    return _lines(
        results,
        "loss",
        title="Loss",
        unit=f"nats {one}",
        lines={
            "training": [r.training_loss for r in results.rounds],
            "validation, all hospitals": [r.validation_loss for r in results.rounds],
        },
        caption=f"Mean loss of {one} by round, over all hospitals.",
    )


def headline(results: Results) -> Picture | None:
    """Draw the headline of the pooled validation patients by round."""
    first = results.headline
    return _lines(
        results,
        first.name.replace("_", "-"),
        title=f"Validation {first.term}",
        unit=first.unit or first.label,
        lines={"validation, all hospitals": [r.headline.value for r in results.rounds]},
        caption=f"{first.label} of all hospitals' validation patients by round, computed from sums over the hospitals.",
    )


def epsilon(results: Results) -> Picture | None:
    """Draw the epsilon spent so far by hospital and round, beside the study's."""
    privacy = results.study.privacy
    names = [h.name for h in results.hospitals if any(h.name in r.epsilons for r in results.rounds)]
    if not isinstance(privacy, DpSgd) or not names:
        return None
    figure, axes = panel()
    for k, name in enumerate(names):
        label = shorten(name) if len(names) <= len(SERIES) else None
        axes.plot(
            *_known(results, [r.epsilons.get(name) for r in results.rounds]), label=label, **line_style(k, len(names))
        )
    axes.axhline(privacy.epsilon, color=INK, linewidth=1, linestyle=(0, (1, 1.2)), label="the study's limit")
    axes.set(title="Privacy spent", ylabel="ε of a patient", ylim=(0, privacy.epsilon * 1.12))
    _by_round(axes, len(results.rounds))
    figure.legend(loc="outside lower left", ncols=2)
    most = max(r.epsilon or 0 for r in results.rounds)
    return picture(
        figure,
        "epsilon",
        alt=f"Epsilon spent by round and hospital; the most is {most:.2f}, the study's limit {privacy.epsilon:g}",
        caption=f"ε spent so far by hospital, at δ = {small(privacy.delta)}; dotted: what the study may spend.",
    )


def seconds(results: Results) -> Picture | None:
    """Draw how long each round took."""
    return _lines(
        results,
        "seconds",
        title="Time",
        unit="seconds a round",
        lines={"": [r.seconds for r in results.rounds]},
        caption="Seconds from the start of a round to the new model.",
        from_zero=True,
    )


def traffic(results: Results) -> Picture | None:
    """Draw how many bytes went to and from the hospitals in each round."""
    return _lines(
        results,
        "traffic",
        title="Traffic",
        unit="MB a round",
        lines={
            "to the hospitals": [r.bytes_to_hospitals / 1e6 for r in results.rounds],
            "from the hospitals": [r.bytes_from_hospitals / 1e6 for r in results.rounds],
        },
        caption="Megabytes between the coordinator and all hospitals by round.",
        from_zero=True,
    )


def attendance(results: Results) -> Picture | None:
    """Draw who answered in which round; None where everybody always did or there is only one round."""
    kinds = sorted({a.kind for r in results.rounds for a in r.absent})
    names = list(results.trainers)
    if not kinds or len(results.rounds) < 2:
        return None
    figure, axes = panel(9.4, 0.9 + 0.24 * len(names))
    row = {name: len(names) - k for k, name in enumerate(names)}
    for name in names:
        answered = [r.number for r in results.rounds if name in r.answered]
        axes.plot(
            answered, [row[name]] * len(answered), linestyle="", marker="|", color=SERIES[0], markersize=7, alpha=0.8
        )
    for k, kind in enumerate(kinds):
        missing = [(r.number, row[a.hospital]) for r in results.rounds for a in r.absent if a.kind == kind]
        axes.plot(
            [x for x, _ in missing],
            [y for _, y in missing],
            linestyle="",
            marker=MARKS[k % len(MARKS)],
            color=SERIES[1],
            markersize=5.5,
            label=kind,
        )
    axes.set(title="Who answered", yticks=list(row.values()), yticklabels=[shorten(name) for name in row])
    axes.set_ylim(0.4, len(names) + 0.6)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _by_round(axes, len(results.rounds))
    figure.legend(loc="outside right upper")
    gaps = sum(len(r.absent) for r in results.rounds)
    return picture(
        figure,
        "attendance",
        alt=f"Which hospital answered in which round; {count(gaps, 'answer is', 'answers are')} missing",
        caption="A bar for each answer; another mark for each that is missing, by its kind.",
    )


def _lines(
    results: Results,
    name: str,
    *,
    title: str,
    unit: str,
    lines: dict[str, Sequence[float | None]],
    caption: str,
    from_zero: bool = False,
) -> Picture | None:
    known = {label: _known(results, values) for label, values in lines.items()}
    known = {label: points for label, points in known.items() if points[0]}
    if not known or len(results.rounds) < 2:
        return None
    figure, axes = panel(4.6, 3.2)
    for k, (label, (x, y)) in enumerate(known.items()):
        axes.plot(x, y, label=label, **line_style(k, len(known)))
    axes.set(title=title, ylabel=unit)
    if from_zero:
        axes.set_ylim(0, max(max(y) for _, y in known.values()) * 1.08 or 1)
    _by_round(axes, len(results.rounds))
    if any(known):
        figure.legend(loc="outside lower left", ncols=2)
    last = ", ".join(f"{label or title} {y[-1]:.3g}" for label, (_, y) in known.items())
    return picture(figure, name, alt=f"{title} by round; in the last round: {last}", caption=caption)


def _known(results: Results, values: Sequence[float | None]) -> tuple[list[int], list[float]]:
    pairs = [(r.number, v) for r, v in zip(results.rounds, values, strict=True) if v is not None]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _by_round(axes: Axes, rounds: int) -> None:
    margin = 0.02 * rounds + 0.3
    axes.set(xlabel="round", xlim=(1 - margin, rounds + margin))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
