"""What the hospital's ledger costs: 100,000 patients, 50 studies of 210 rounds, two ways in which studies overlap.

``nested``: each study trains on one of ten groups of patients, as when studies ask for a modality or a finding.
``random``: each study's seed deals out two thirds of all patients again, so that hardly two patients are in the same
studies: the worst case.

Times are of one core, but for what waits for the disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from measure import report
from wardround_client.spending.budget import BudgetStatement, state_budget
from wardround_client.spending.ledger.entries import Charged, Confirmed, Event
from wardround_client.spending.ledger.patients import TAG_BYTES, Cohort
from wardround_client.spending.ledger.store import Ledger, open_ledger, read_head, read_rows
from wardround_client.spending.ledger.verify import verify
from wardround_client.spending.policy import parse_policy, policy_text
from wardround_client.spending.policy_check import check_spending
from wardround_common.keys.identity import Identity

PATIENTS, STUDIES, ROUNDS, LEFT = 100_000, 50, 210, 10
MOMENT = "2026-01-01T00:00:00Z"
MEANINGS = {
    "hash_s": "hide 100,000 patients under the local key, once when a study is approved",
    "approve_ms": "an approval with 66,667 new patients, on the disk",
    "charge_ms": "a round: charged and confirmed, on the disk, by the clock on the wall (median)",
    "charge_simulated_ms": "the same in a simulation, which waits for no disk, of one core (median)",
    "charge_kib": "what the ledger grows by in a round",
    "open_s": "open a ledger of 20,000 entries: the whole chain",
    "verify_s": "check every signature of it",
    "size_mib": "its size on the disk, random",
    "budget_nested_s": "epsilon of every patient now and when open studies are done, and of each study",
    "budget_random_s": "the same where all histories differ",
    "check_nested_s": "may one more study begin, for every patient",
    "check_random_s": "the same where all histories differ",
    "epsilon_nested": "the patient who spent most, composed",
    "epsilon_random": "the same, by the Rényi bound where there are too many histories",
}


def timed(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Return the seconds of one core that the work took, or the seconds by another clock."""
    began = clock()
    work()
    return clock() - began


def tags(rng: np.random.Generator, count: int) -> np.ndarray:
    """Make the tags of ``count`` patients: (patients, 16) bytes."""
    return rng.integers(0, 256, (count, TAG_BYTES), np.uint8)


def cohort_of(rows: np.ndarray) -> Cohort:
    """Make the cohort of these patients."""
    return Cohort(b"".join(sorted(row.tobytes() for row in rows)))


def fill(folder: Path, identity: Identity, how: str) -> Ledger:
    """Make a ledger with all studies, all but the last ten rounds of each charged, in one transaction a study."""
    rng = np.random.default_rng(0)
    ledger = open_ledger(folder, identity, durable=False)
    everybody = tags(rng, PATIENTS)
    group = rng.integers(0, 10, PATIENTS)
    for number in range(STUDIES):
        chosen = group <= rng.integers(3, 10) if how == "nested" else rng.random(PATIENTS) < 2 / 3
        cohort = cohort_of(everybody[chosen])
        event = Event(noise_multiplier=2.0 + 0.05 * number, sampling_rate=0.002 + 0.0001 * number, steps=2)
        study = f"{number:064x}"
        ledger.approve(study, f"study-{number}", ROUNDS, event, cohort, "data", lambda books: None)
        with ledger._writing() as database:
            for part in range(1, ROUNDS - LEFT + 1):
                facts = {"study": study, "round": part, "at": MOMENT}
                charge = Charged.model_validate(facts | {"cohort": cohort.digest, "event": event, "draw": "d" * 64})
                ledger._append(database, charge)
                ledger._append(database, Confirmed.model_validate(facts))
    return ledger


def rounds_ms(folder: Path, identity: Identity, *, durable: bool) -> float:
    """Return the median time to charge and confirm a round of 100,000 patients."""
    rng = np.random.default_rng(1)
    ledger = open_ledger(folder, identity, durable=durable)
    cohort = cohort_of(tags(rng, PATIENTS))
    event, study = Event(noise_multiplier=1.0, sampling_rate=0.01, steps=10), "a" * 64
    ledger.approve(study, "study", 200, event, cohort, "data", lambda books: None)

    def one(number: int) -> None:
        ledger.charge(study, number, cohort.digest, event, "d" * 64, lambda books: None)
        ledger.confirm(study, number)

    clock = time.perf_counter if durable else time.process_time
    return 1000 * float(np.median([timed(lambda number=number: one(number), clock) for number in range(1, 101)]))


def check(ledger: Ledger, identity: Identity) -> None:
    """Check every signature."""
    head = read_head(ledger.folder)
    found = verify(*read_rows(ledger.folder), identity.public, [head] if head else [])
    if found.faults:
        raise SystemExit(found.faults[0])


def main() -> None:
    """Measure, and write the figures."""
    console = Console(stderr=True)
    folder, identity = Path(tempfile.mkdtemp(prefix="ledger")), Identity(os.urandom(32))
    figures: dict[str, float] = {}
    rules = parse_policy(policy_text().replace("patient_epsilon = 10.0", "patient_epsilon = 30.0"))
    try:
        key = open_ledger(folder / "key", identity, durable=False).key
        figures["hash_s"] = timed(lambda: key.cohort(f"patient {number}" for number in range(PATIENTS)))
        figures["charge_ms"] = rounds_ms(folder / "durable", identity, durable=True)
        figures["charge_simulated_ms"] = rounds_ms(folder / "simulated", identity, durable=False)
        console.print(figures)
        for how in ("nested", "random"):
            console.print(f"making a ledger of {STUDIES * (ROUNDS - LEFT) * 2:,} entries, {how}")
            before = fill(folder / how, identity, how)
            opened: list[Ledger] = []
            figures["open_s"] = timed(lambda how=how, opened=opened: opened.append(open_ledger(folder / how, identity)))
            ledger, said = opened[0], list[BudgetStatement]()
            figures[f"budget_{how}_s"] = timed(
                lambda ledger=ledger, said=said: said.append(state_budget(ledger, 1e-5, rules))
            )
            figures[f"epsilon_{how}"] = said[0].highest_spent or 0.0
            console.print(figures)
            largest = max(before.books.approved.values(), key=lambda approval: ledger.cohort(approval.cohort).size)
            cohort, event = ledger.cohort(largest.cohort), Event(noise_multiplier=2.0, sampling_rate=0.002, steps=2)
            figures[f"check_{how}_s"] = timed(
                lambda ledger=ledger, event=event, cohort=cohort: check_spending(
                    rules, ledger, "f" * 64, "next", ROUNDS, event, cohort
                )
            )
        figures["verify_s"] = timed(lambda: check(ledger, identity))
        size = (folder / "random" / "ledger.sqlite").stat().st_size
        figures["size_mib"] = size / 2**20
        tags_size = sum(len(ledger.cohort(approval.cohort).tags) for approval in ledger.books.approved.values())
        figures["charge_kib"] = (size - tags_size) / (STUDIES * (ROUNDS - LEFT)) / 1024
        fresh = cohort_of(tags(np.random.default_rng(5), 66_667))
        durable = open_ledger(folder / "random", identity)
        figures["approve_ms"] = 1000 * timed(
            lambda: durable.approve("e" * 64, "one more", 10, event, fresh, "data", lambda books: None),
            time.perf_counter,
        )
    finally:
        shutil.rmtree(folder)
    report("ledger", {name: figures[name] for name in MEANINGS}, MEANINGS)


if __name__ == "__main__":
    main()
