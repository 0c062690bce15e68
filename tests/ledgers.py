"""Ledgers and accounts that several tests start from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.store import LEDGER_NAME, Ledger, open_ledger
from wardround_client.spending.ledger.verify import Verified, verify
from wardround_client.spending.policy import Policy, parse_policy, policy_text
from wardround_common.keys.identity import Identity

IDENTITY = Identity(bytes(range(32)))
EVENT = Event(noise_multiplier=1.0, sampling_rate=0.1, steps=10)
DRAW = "d" * 64


def a_study(letter: str) -> str:
    return letter * 64


def opened(folder: Path, identity: Identity = IDENTITY) -> Ledger:
    """Open a ledger as a new process does; a power cut is not tested, so nothing waits for the disk."""
    return open_ledger(folder, identity, durable=False)


def approve(
    ledger: Ledger, letter: str, patients: Iterable[str] = ("p", "q"), rounds: int = 5, event: Event = EVENT
) -> str:
    """Approve a study; give its cohort."""
    cohort = ledger.key.cohort(patients)
    ledger.approve(a_study(letter), f"study-{letter}", rounds, event, cohort, "the data", lambda books: None)
    return cohort.digest


def charge(ledger: Ledger, letter: str, number: int, cohort: str, event: Event = EVENT, draw: str = DRAW) -> None:
    ledger.charge(a_study(letter), number, cohort, event, draw, lambda books: None)


def rows(folder: Path) -> tuple[list[Any], list[Any]]:
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as database:
        return (
            database.execute("SELECT * FROM entries ORDER BY number").fetchall(),
            database.execute("SELECT * FROM cohorts").fetchall(),
        )


def tamper(folder: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Change the file as somebody does who can write it."""
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        for sql, values in statements:
            database.execute(sql, values)
        database.commit()


def verified(folder: Path, identity: Identity = IDENTITY, heads: Iterable[Any] = ()) -> Verified:
    from wardround_client.spending.ledger.store import read_head, read_rows

    kept = read_head(folder)
    return verify(*read_rows(folder), identity.public, [*heads, *([kept] if kept else [])])


def policy(**changes: Any) -> Policy:
    """Return the default policy with some keys set otherwise, without secure sums and for few patients."""
    tables = parse_policy(policy_text()).model_dump(mode="json")
    tables["protection"] |= {"require_secure": False, "smallest_cohort": 2}
    for key, value in changes.items():
        section = next(name for name, table in tables.items() if key in table)
        tables[section][key] = value
    return Policy.model_validate(tables)
