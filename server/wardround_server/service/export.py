"""What is exported of a finished run: the model's folder, and what an evidence pack is made of.

The approvals and the epsilon statements are the hospitals' own words, each signed with the key that the study's roster
lists; what does not hold is not exported.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wardround_common.documents.epsilon_statement import EpsilonStatement
from wardround_common.documents.exported_run import (
    APPROVALS,
    RUN,
    STATEMENTS,
    Approval,
    read_statement,
    write_approvals,
)
from wardround_common.errors import StorageError
from wardround_common.results import DEPLOYED
from wardround_common.storage import read_whole, write_atomically
from wardround_common.study.file import Study, parse_canonical
from wardround_common.study.roster import keys_of
from wardround_server.report.model_card import hides_sizes
from wardround_server.rounds import exported_model
from wardround_server.rounds.approval import ApprovalBook


def keep_statement(run: Path, file: Path) -> EpsilonStatement:
    """Keep a hospital's epsilon statement next to the run of which it is; a later one replaces it.

    Raises:
        MessageError: it is none, its signature is not that of a hospital of the study's roster, or it is of another
            study.
        StorageError: it cannot be read or kept.
    """
    study = _study(run)
    statement = read_statement(study, file)
    place = [one.name for one in study.roster].index(statement.hospital) + 1
    write_atomically(run / STATEMENTS / f"hospital-{place}.statement", statement.content())
    return statement


def check_over(run: Path) -> None:
    """Check that a run has all that is exported.

    Raises:
        StorageError: it has not.
    """
    exported_model.check_over(run, f"See: wardround coordinator status {shlex.quote(str(run.parents[1]))}")


def export_run(
    run: Path,
    out: Path,
    statements: Iterable[Path] = (),
    release: exported_model.Release = exported_model.Release(),  # noqa: B008  # frozen
) -> list[str]:
    """Export a finished run's model, with the statements that were kept and those given now; name the files.

    A public release has the statements of hospitals that are known to have trained on enough patients, if all have.

    Raises:
        StorageError: the run is not over, or a file cannot be read or written.
        MessageError: a statement or an approval does not hold.
    """
    check_over(run)
    study = _study(run)
    for file in statements:
        keep_statement(run, file)
    book = ApprovalBook(run / "approvals").signatures()
    keys = keys_of(study.roster).keys
    approvals = [Approval(hospital=name, signature=signature.hex()) for name, signature in sorted(book.items())]
    for approval in approvals:
        approval.check(study, keys)
    facts = {"study": study.digest(), "hospitals": dict.fromkeys(sorted(book), ""), "engine": DEPLOYED}
    more = {
        APPROVALS: write_approvals(study, approvals),
        RUN: json.dumps(facts, indent=1).encode(),
    }
    shown = _published(run) if release.public else frozenset()
    for path in sorted((run / STATEMENTS).glob("*.statement")):
        if not release.public or read_statement(study, path).hospital in shown:
            more[f"{STATEMENTS}/{path.name}"] = read_whole(path)
    return exported_model.export_model(run, study, out, replace(release, more=more))


def early_statements(run: Path) -> dict[str, tuple[int, int]]:
    """Return of which hospitals the kept statement is of fewer rounds than they answered: rounds stated, and answered.

    It was made before the run was over, or of a ledger that does not know all of it: its epsilon is too small.

    Raises:
        StorageError: a file cannot be read.
        MessageError: a statement does not hold.
    """
    study = _study(run)
    answered = Counter(name for one in exported_model.read_results(run).rounds for name in one.answered)
    kept = [read_statement(study, path) for path in sorted((run / STATEMENTS).glob("*.statement"))]
    return {
        one.hospital: (one.rounds_charged, answered[one.hospital])
        for one in kept
        if one.rounds_charged < answered[one.hospital]
    }


def _published(run: Path) -> frozenset[str]:
    """Name the hospitals of which all may know on how many patients they trained, as their statements tell."""
    results = exported_model.read_results(run)
    known = () if hides_sizes(results) else results.hospitals
    return frozenset(one.name for one in known if one.train is not None)


def _study(run: Path) -> Study:
    try:
        return parse_canonical((run / "study").read_bytes())
    except OSError:
        raise StorageError(
            "there is no such run",
            where=str(run),
            do=f"See: wardround coordinator status {shlex.quote(str(run.parents[1]))}",
        ) from None
