"""Numbers as a reader wants them: estimates with intervals, percentages, bytes, time."""

from __future__ import annotations

from wardround_common.counting import between, rounded
from wardround_common.metrics import Estimate
from wardround_common.results import Results
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of

NOTHING = "–"


def records(study: Study) -> str:
    """Return what the records of a study are, several of them: images, volumes, or patients or series of one answer."""
    if study.data.patch_size is not None:
        return "volumes"
    if not study.data.gathered:
        return "images"
    return "patients" if study.data.record == "patient" else "series"


def judged(study: Study) -> str:
    """Return what is counted of a group on test patients: 'test images of', 'test patients of'."""
    return task_of(study.task).verdict[1].replace("images", records(study))


def of_a_side(results: Results) -> str:
    """Return of what there may be too few for a figure: 'test images on either side', 'test lesions of any class'.

    A class has two sides, those of it and all others; of a structure or lesions only those with it count.
    """
    groups = [group for sites in results.evaluation.values() for site in sites.values() for group in site.by_group]
    if all(group.rest is not None for group in groups):
        return f"test {records(results.study)} on either side"
    word, each = task_of(results.study.task).group_words[0], judged(results.study)
    if each.endswith(f" the {word}"):
        return f"{each.removesuffix(f' the {word}')} any {word}"
    return f"{each} any {word}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many decimals (``rounded``), a dash for none."""
    return NOTHING if value is None else rounded(value, digits)


def small(value: float) -> str:
    """Write a small probability such as δ: 10⁻⁵, 2.5 × 10⁻⁶, 0.01."""
    if value == 0 or value >= 0.001:
        return f"{value:g}"
    digits, power = f"{value:e}".split("e")
    raised = "⁻" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(d)] for d in str(-int(power)))
    return f"10{raised}" if float(digits) == 1 else f"{float(digits):g} × 10{raised}"


def interval(estimate: Estimate, digits: int = 2) -> str:
    """Write the 95 % interval; empty if there is none."""
    return between(estimate.low, estimate.high, digits)


def with_interval(value: str, around: str) -> str:
    """Write a number with its interval after it; the number alone where there is none."""
    return f"{value} ({around})" if around else value


def size(value: float) -> str:
    """Write bytes in decimal units."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """Write a time: 43 s, 2 min 51 s, 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def listing(words: list[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
