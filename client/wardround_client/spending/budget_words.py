"""How a hospital's budget is written, for the screen and for pages alike."""

from __future__ import annotations

import math

from wardround_client.spending.budget import BudgetStatement, SpendingLevel, StudySpending
from wardround_client.spending.parts import unit_of
from wardround_common.counting import count


def shown(epsilon: float | None) -> str:
    """Write an epsilon so that it is never rounded down."""
    return "without bound" if epsilon is None else f"{math.ceil(epsilon * 1000) / 1000:.3f}"


def said_of_charges(study: StudySpending) -> str:
    """Say how much of what a study may charge it has: rounds, or evaluations."""
    return f"{study.charged} of {count(study.rounds, unit_of(study.name))}"


def over_cap(statement: BudgetStatement) -> str:
    """Say what follows where open studies were to spend more than the cap; nothing if they were not."""
    cap, planned = statement.patient_cap, statement.highest_planned
    if cap is None or planned is None or planned <= cap or not any(one.open for one in statement.studies):
        return ""
    return (
        "This is more than the cap: an open study is refused here from the round on that would exceed it, and its "
        "coordinator is told that the policy does not allow it."
    )


def level_name(level: SpendingLevel) -> str:
    """Name a level."""
    if level.up_to is None:
        return "without bound"
    return "0" if level.up_to == 0 else f"{level.above:g} to {level.up_to:g}"
