"""The budget on the screen, and as a picture: one HTML file with an SVG in it, no script and no request."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from wardround_client.spending.budget import BudgetStatement
from wardround_client.spending.budget_words import level_name, over_cap, said_of_charges, shown
from wardround_common.counting import count
from wardround_common.pages.documents import documents


def screen(statement: BudgetStatement) -> Group:
    """Lay the statement out as tables."""
    cap = f"{statement.patient_cap:g}" if statement.patient_cap is not None else "none: there is no policy"
    lines = [
        f"{count(statement.patients, 'patient')} · epsilon at delta {statement.delta:g} · cap per patient: {cap}",
        f"spent most: {shown(statement.highest_spent)} · including what open studies may still spend: "
        f"{shown(statement.highest_planned)}",
    ]
    if beyond := over_cap(statement):
        lines.append(beyond)
    if statement.carried:
        lines.append(
            f"of this, every patient carries {shown(statement.carried.epsilon)} from before the ledger was rebuilt "
            f"(at delta {statement.carried.delta:g}, which adds up)"
        )
    if not statement.composed:
        lines.append("There are too many different histories: some are bounded by Rényi divergences, slightly high.")
    levels = Table(title="Patients by what they spent, over all studies", title_justify="left")
    for name in ("epsilon", "patients now", "when open studies are done"):
        levels.add_column(name, justify="right")
    for level in statement.levels:
        levels.add_row(level_name(level), f"{level.patients:,}", f"{level.patients_planned:,}")
    studies = Table(title="Studies", title_justify="left")
    studies.add_column("study")
    for name in ("patients", "charged", "not completed", "spent", "when done"):
        studies.add_column(name, justify="right")
    studies.add_column("")
    for study in statement.studies:
        studies.add_row(
            Text(f"{study.name} {study.study[:12]}"),
            f"{study.patients:,}",
            said_of_charges(study),
            str(study.unconfirmed),
            shown(study.epsilon_spent),
            shown(study.epsilon_planned),
            study.state,
        )
    return Group(*lines, levels, studies)


def page(statement: BudgetStatement) -> str:
    """Draw the statement as one self-contained HTML page."""
    environment = documents(Path(__file__).parent)
    environment.filters["shown"] = shown
    environment.filters["level_name"] = level_name
    environment.filters["over_cap"] = over_cap
    environment.filters["said_of_charges"] = said_of_charges
    environment.filters["thousands"] = lambda number: f"{number:,}"
    most = max((max(level.patients, level.patients_planned) for level in statement.levels), default=0)
    widest = max(
        [study.epsilon_planned or 0.0 for study in statement.studies]
        + [statement.study_cap or 0.0, statement.highest_planned or 0.0, statement.patient_cap or 0.0, 1e-9]
    )
    return environment.get_template("budget.html").render(budget=statement, most=max(most, 1), widest=widest)
