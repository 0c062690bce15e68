"""The patients of a whole folder: what two files state about one person is combined, and an image counts once.

What may be one person is a node: a PatientID with its issuer, a name of the hospital's table, or a guess. Nodes that
mean one person are joined until nothing more is known; each set of joined nodes is a patient. Which statement counts
for what, and why the coarser one is taken: :mod:`wardround_client.intake.patients`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from wardround_client.intake.instance import Basis, Doubts, Index, Instance, Refusal
from wardround_client.intake.patients import (
    MARK,
    MOST_STUDIES,
    SHARED_STUDY,
    check_confirmed,
    guess,
    is_identity,
)


class _Node(NamedTuple):
    """One name of a person."""

    kind: str
    """``id``, ``table`` or ``guess``."""
    name: str
    issuer: str = ""


@dataclass(eq=False)
class _Sets:
    """Disjoint sets of nodes (Tarjan 1975); the smallest node stands for its set, whatever the order of joining."""

    _above: dict[_Node, _Node] = field(default_factory=dict)

    def top(self, node: _Node) -> _Node:
        """Return the node that represents the set of this one."""
        above = self._above.setdefault(node, node)
        while above != node:
            self._above[node] = self._above[above]
            node, above = above, self._above[above]
        return node

    def join(self, nodes: Iterable[_Node]) -> bool:
        """Put these nodes into one set; tell whether they were in several."""
        tops = sorted({self.top(node) for node in nodes})
        for top in tops[1:]:
            self._above[top] = tops[0]
        return len(tops) > 1

    def several(self, nodes: Iterable[_Node]) -> bool:
        """Tell whether these nodes are in several sets."""
        return len({self.top(node) for node in nodes}) > 1

    def members(self) -> dict[_Node, list[_Node]]:
        """Return each set by the node that represents it, sorted."""
        found: dict[_Node, list[_Node]] = defaultdict(list)
        for node in sorted(self._above):
            found[self.top(node)].append(node)
        return found


def identify(
    index: Index,
    named: Mapping[str, str],
    words: Mapping[str, str],
    *,
    groups: Collection[str] = (),
    confirmed: Collection[str] = (),
) -> Index:
    """Decide who is a patient in a whole folder, and leave out second copies of an image.

    Args:
        index: what the scan found.
        named: file to patient, where the hospital's table names one.
        words: file to label word. Of files with one SOPInstanceUID the first labelled one is kept, else the first;
            where their labels disagree, none.
        groups: names of folders that group by label: they tell nothing of the patient.
        confirmed: of ``CONFIRMABLE``; with ``shared-study`` patients who share a StudyInstanceUID stay apart.

    Raises:
        DataError: ``confirmed`` holds an unknown word.
    """
    check_confirmed(confirmed)
    apart = SHARED_STUDY in confirmed
    accepted, sets = index.accepted, _Sets()
    table = {file: word.strip() for file, word in named.items() if is_identity(word)}
    nodes = [_stated(one, table) for one in accepted]
    unclear = _join_issuers(sets, nodes)
    joined, split = _join_table(sets, accepted, nodes, table)
    placed = _place_the_rest(sets, accepted, nodes, frozenset(groups), apart=apart)
    together = [node for node, _ in placed]
    studies = _shared(sets, together, [one.study_uid for one in accepted], apart=apart)
    images = _shared(sets, together, [one.sop_uid for one in accepted], apart=apart)
    copies, other_pixels = _second_copies(accepted, words)
    names, accounts = _names_and_accounts(sets, {node for node in nodes if node})
    left = [
        replace(
            one,
            patient=names[sets.top(node)],
            identified_by=basis,
            accounts=accounts[sets.top(node)],
        )
        for one, (node, basis) in zip(accepted, placed, strict=True)
        if one.file not in copies
    ]
    of_number: dict[str, set[str]] = defaultdict(set)
    for one in accepted:
        if is_identity(one.patient_id):
            of_number[one.patient_id].add(one.study_uid)
    return replace(
        index,
        accepted=tuple(left),
        refused=tuple(sorted((*index.refused, *copies.values()), key=lambda refusal: refusal.file)),
        doubts=Doubts(
            shared_studies=studies,
            shared_images=images,
            kept_apart=apart,
            copies=len(copies),
            other_pixels=other_pixels,
            joined_by_table=joined,
            split_by_table=split,
            unclear_issuers=unclear,
            alike=_alike(of_number),
            crowded=sum(len(several) > MOST_STUDIES for several in of_number.values()),
            sides=_sides({node.name for node in together if node.kind == "guess"}),
        ),
    )


def _stated(one: Instance, table: Mapping[str, str]) -> _Node | None:
    if is_identity(one.patient_id):
        return _Node("id", one.patient_id, one.issuer if is_identity(one.issuer) else "")
    return _Node("table", table[one.file]) if one.file in table else None


def _join_issuers(sets: _Sets, nodes: Sequence[_Node | None]) -> int:
    """Join a number without an issuer to the one issuer that others state; count those with several."""
    issuers: dict[str, set[_Node]] = defaultdict(set)
    for node in nodes:
        if node and node.kind == "id":
            issuers[node.name].add(node)
    unclear = 0
    for number, found in issuers.items():
        if _Node("id", number) not in found:
            continue
        if len(found) == 2:
            sets.join(found)
        elif len(found) > 2:
            unclear += 1
    return unclear


def _join_table(
    sets: _Sets, accepted: Sequence[Instance], nodes: Sequence[_Node | None], table: Mapping[str, str]
) -> tuple[int, int]:
    """Join what the table gives one name; count where it joins PatientIDs, and where it would split one."""
    identities: dict[str, set[_Node]] = defaultdict(set)  # by the table's name
    names: dict[_Node, set[str]] = defaultdict(set)
    for one, node in zip(accepted, nodes, strict=True):
        if node and node.kind == "id" and one.file in table:
            identities[table[one.file]].add(node)
            names[node].add(table[one.file])
    joined = 0
    for name, found in identities.items():
        joined += sets.join(found)
        sets.join([*found, _Node("table", name)])
    # A file without identity, under a name that is somebody's PatientID here: the same person.
    known: dict[str, set[_Node]] = defaultdict(set)
    for node in {node for node in nodes if node and node.kind == "id"}:
        known[node.name].add(node)
    for node in {node for node in nodes if node and node.kind == "table" and node.name not in identities}:
        if known[node.name] and not sets.several(known[node.name]):
            sets.join([node, *known[node.name]])
    return joined, sum(len(found) > 1 for found in names.values())


def _place_the_rest(
    sets: _Sets,
    accepted: Sequence[Instance],
    nodes: Sequence[_Node | None],
    groups: frozenset[str],
    *,
    apart: bool,
) -> list[tuple[_Node, Basis]]:
    """Return each file's node and how it was decided: files that name nobody follow their study, or are guessed."""
    of_study: dict[str, set[_Node]] = defaultdict(set)
    for one, node in zip(accepted, nodes, strict=True):
        if node and one.study_uid:
            of_study[one.study_uid].add(node)
    placed: list[tuple[_Node, Basis]] = []
    for one, node in zip(accepted, nodes, strict=True):
        mates = of_study.get(one.study_uid, set())
        if node:
            placed.append((node, "patient-id" if node.kind == "id" else "table"))
        elif mates and not (apart and sets.several(mates)):
            placed.append((min(mates), "same-study"))
        else:
            name, basis = guess(one.study_uid, one.file, groups)
            placed.append((_Node("guess", name), basis))
        sets.top(placed[-1][0])
    return placed


def _shared(sets: _Sets, nodes: Sequence[_Node], uids: Sequence[str], *, apart: bool) -> int:
    """Count the UIDs that appear under several patients, and take those for one unless they are to stay apart."""
    found: dict[str, set[_Node]] = defaultdict(set)
    times = Counter(uids)
    for node, uid in zip(nodes, uids, strict=True):
        if uid and times[uid] > 1:
            found[uid].add(node)
    several = [each for each in found.values() if sets.several(each)]
    if not apart:
        for each in several:
            sets.join(each)
    return len(several)


def _second_copies(accepted: Sequence[Instance], words: Mapping[str, str]) -> tuple[dict[str, Refusal], int]:
    """Choose which files of one SOPInstanceUID are left out; count those whose pixels differ from the one kept."""
    left_out: dict[str, Refusal] = {}
    other_pixels = 0
    of_uid: dict[str, list[Instance]] = defaultdict(list)
    times = Counter(one.sop_uid for one in accepted)
    for one in accepted:
        if one.sop_uid and times[one.sop_uid] > 1:
            of_uid[one.sop_uid].append(one)
    for same in of_uid.values():
        kept = next((one for one in same if one.file in words), same[0])
        disagree = len({words[one.file] for one in same if one.file in words}) > 1
        for one in same:
            differs = one.pixel_digest != kept.pixel_digest
            other_pixels += differs
            if disagree:
                detail = "files with this SOPInstanceUID have different labels: none of them is used"
                left_out[one.file] = Refusal(one.file, "labels-disagree", detail)
            elif one is not kept:
                detail = f"another file has the same SOPInstanceUID and {'other' if differs else 'the same'} pixels"
                left_out[one.file] = Refusal(one.file, "same-instance", detail)
    return left_out, other_pixels


def _names_and_accounts(
    sets: _Sets, stated: Collection[_Node]
) -> tuple[dict[_Node, str], dict[_Node, tuple[str, ...]]]:
    """Name each patient for the split, and say under which names the ledger charges them.

    An account is a PatientID as written in the file, **without its issuer**: persons of two issuers with one number
    share an account, which counts too much for both and never too little.
    """
    members = sets.members()
    holders = Counter(number for nodes in members.values() for number in {n.name for n in nodes if n.kind == "id"})
    names: dict[_Node, str] = {}
    accounts: dict[_Node, tuple[str, ...]] = {}
    for top, nodes in members.items():
        identities = [node for node in nodes if node.kind == "id"]
        used = [node for node in nodes if node.kind != "table" or node in stated]
        first = (identities or used)[0]
        shared = first.kind == "id" and holders[first.name] > 1
        names[top] = f"{first.name}{MARK}{first.issuer}" if shared else first.name
        accounts[top] = tuple(sorted({node.name for node in used}))
    return names, accounts


def _alike(numbers: Iterable[str]) -> int:
    """Count the PatientIDs that are others but for capital letters, signs and leading zeros."""
    forms = Counter(re.sub(r"[\W_]+", "", number.casefold()).lstrip("0") for number in numbers)
    return sum(count for count in forms.values() if count > 1)


_SIDE = re.compile(
    r"([\W_]*(left|right|links|rechts|gauche|droite?)|[\W_](lt|rt|li|re|l|r))(?=$|/|\.\w+$)", re.IGNORECASE
)


def _sides(guesses: Iterable[str]) -> int:
    """Count the guessed folders and files that are called like another one but for a side."""
    whole: dict[str, int] = Counter()
    for guess_ in guesses:
        without = _SIDE.sub("", guess_)
        if without != guess_:
            whole[without] += 1
    return sum(count for count in whole.values() if count > 1)
