"""Numbers as a sentence has them: with their nouns, and rounded."""

from __future__ import annotations


def count(value: int, noun: str, plural: str = "") -> str:
    """Write a number of things: 1 hospital, 2 hospitals, 12,000 images."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def rounded(value: float, digits: int = 3) -> str:
    """Write a number with so many decimals; one just above 0 or below 1 is not written as if it were 0 or 1.

    0.9997 is ">0.999": 1.000 says that nothing was missed. -0.0003 is "0.000", without a sign.
    """
    said, least = f"{value:.{digits}f}", 10.0**-digits
    if value > 0 and float(said) == 0:
        return f"<{least:.{digits}f}"
    if value < 1 and float(said) == 1:
        return f">{1 - least:.{digits}f}"
    return said.removeprefix("-") if float(said) == 0 else said


def between(low: float | None, high: float | None, digits: int = 3) -> str:
    """Write an interval: "0.761 to >0.999"; empty if there is none."""
    return "" if low is None or high is None else f"{rounded(low, digits)} to {rounded(high, digits)}"


def percent(part: float, digits: int = 0) -> str:
    """Write a part of a whole in percent: 12%; ">99%" of what is just not all, "<1%" of what is just not nothing."""
    said = f"{part:.{digits}%}"
    if 0 < part < 1 and said in (f"{0:.{digits}%}", f"{1:.{digits}%}"):
        return f"<{10.0**-digits:.{digits}f}%" if part < 1 / 2 else f">{100 - 10.0**-digits:.{digits}f}%"
    return said


def chance(probability: float, figures: int = 3) -> str:
    """Write a probability, or the point at which it is decided on, so that it can be told from 0 and from 1.

    ``figures`` decimals; below 1 % or above 99 %, that number of significant figures of its distance from 0 or 1:
    0.250, 0.00312, 0.999872, 1.2e-07.
    """
    if 0 < probability < 1e-4:
        return f"{probability:.{figures}g}"
    return f"{probability:.{_decimals(probability, figures)}f}"


def kept(probability: float, digits: int = 6) -> float:
    """Return a probability rounded to ``digits`` decimals; near 0 or 1, to four figures of its distance from there."""
    return round(probability, max(digits, _decimals(probability, 4)))


def _decimals(probability: float, figures: int) -> int:
    near = min(probability, 1 - probability)
    if near <= 0:
        return figures
    return max(figures, figures - 1 - int(f"{near:.{figures - 1}e}".split("e")[1]))
