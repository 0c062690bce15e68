"""How much of the federated model's maps lies in lesions, over all hospitals and where it is known at each."""

from __future__ import annotations

from wardround_common.counting import count
from wardround_common.results import MapsOf, Results
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import interval, number


def said_of_maps(results: Results) -> list[str]:
    """Say what the maps show, against a random map and a network that learnt nothing; nothing if nobody asked."""
    asked, found = results.study.evaluation.maps, results.maps
    if asked is None or not results.evaluation:
        return []
    if found is None:
        least = results.study.evaluation.smallest_subgroup
        return [
            f"How much of its maps lies in lesions is not known: at no hospital that tells it are there {least} test "
            "patients with an outlined lesion."
        ]
    whole = found.everybody
    said = (
        f"On {count(whole.images, 'test image')} with an outlined lesion, {whole.mass_in_lesion:.0%} of what speaks "
        f"for the class in its maps ({found.method}) lies in the lesion, which covers {whole.random:.1%} of what the "
        f"model sees; of a network with random weights {whole.untrained:.0%} does."
    )
    if whole.mass_in_lesion <= max(whole.random, whole.untrained):
        other = "a random map" if whole.mass_in_lesion <= whole.random else "a network that learnt nothing"
        said += f" That is no more than {other} has there: do not read its maps as its reasons."
    return [said]


def by_lesion(results: Results) -> Table | None:
    """Show what hospitals added up of the maps; None where there is nothing."""
    found = results.maps
    if found is None:
        return None
    rows = [_row("all hospitals", found.everybody), *(_row(name, one) for name, one in found.hospitals.items())]
    return table(
        f"Maps of the federated model by {found.method}, on test images in which the hospital's own masks outline a "
        f"lesion. Hospitals with fewer than {found.smallest} such patients sent nothing. A random map has as much in "
        "the lesion as the lesion covers; the last column is of a network that learnt nothing. The interval takes "
        "images for independent: it is too short where patients have several.",
        ["Hospital", "Patients", "Images", "Pointing game", "Mass in lesion", "Lesion covers", "Untrained"],
        rows,
        "numbers",
    )


def _row(name: str, one: MapsOf) -> list[Cell | str]:
    return [
        name,
        f"{one.patients:,}",
        f"{one.images:,}",
        Cell(number(one.pointing_game.value), quiet=interval(one.pointing_game)),
        number(one.mass_in_lesion),
        number(one.random),
        number(one.untrained),
    ]
