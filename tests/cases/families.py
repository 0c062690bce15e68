"""All cases, by what they are about."""

from __future__ import annotations

from cases import account, copies, image_kinds, labels, networks, patients, pixels
from cases.case import Case

FAMILIES: dict[str, tuple[Case, ...]] = {
    "Who is a patient": patients.CASES,
    "What counts as an image": image_kinds.CASES,
    "Labels": labels.CASES,
    "Pixels": pixels.CASES,
    "Copies": copies.CASES,
    "Ledger and audit log": account.CASES,
    "Networks and privacy": networks.CASES,
}
