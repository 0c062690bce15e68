"""Several findings of one image: what is unknown counts nowhere, and each finding is judged as if it were alone."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from examples import DP, STUDY
from tiny_dicom import with_a_table
from wardround_client.commands.evaluate_cli import tables_by_group
from wardround_client.intake.index import scan
from wardround_client.maps.contract import Question
from wardround_client.preparation.source import Source
from wardround_client.tasks import findings
from wardround_client.tasks.contract import Asked, Case, Chosen
from wardround_client.tasks.findings import known_cross_entropy, strata
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import LabelError, MessageError, StudyError
from wardround_common.metrics.findings import ABSENT, MACRO, PRESENT, UNKNOWN, FindingSums
from wardround_common.metrics.sums import UNIT, ScoreSums
from wardround_common.results.evaluation import evaluate
from wardround_common.study.file import Study
from wardround_common.tasks.findings import TASK, Findings

WORDS = ("mass", "calcification", "scar")
SECTION = Findings(name="findings", classes=WORDS)


def of(**task: object) -> Study:
    return Study.model_validate(STUDY | {"task": {"name": "findings", "classes": WORDS} | task})


def some(seed: int, records: int = 200) -> tuple[np.ndarray, np.ndarray, FindingSums]:
    """Return what is known and said of images, with their sums; a scar is rare, and half of it unknown."""
    rng = np.random.default_rng(seed)
    known = (rng.uniform(size=(records, 3)) < (0.4, 0.3, 0.015)).astype(np.int64)
    known[rng.uniform(size=records) < 0.5, 2] = UNKNOWN
    known[0, 2] = PRESENT
    said = np.clip(rng.normal(0.4 + 0.2 * (known == PRESENT), 0.2), 0, 1).astype(np.float32)
    return known, said, FindingSums.of(known, said, np.ones(records))


def test_each_finding_is_judged_as_a_classification_of_the_images_of_which_it_is_known() -> None:
    known, said, sums = some(1)
    points = sums.operating_points(0.9)
    assert points is not None
    each = []
    for finding in range(3):
        there = known[:, finding] != UNKNOWN
        two = np.stack([1 - said[there, finding], said[there, finding]], axis=1)
        alone = ScoreSums.of(known[there, finding], two, np.zeros(int(there.sum())))
        assert points[finding] == alone.operating_threshold(0.9)
        each.append(alone.figures(points[finding]))
        group = sums.by_finding(points)[finding]
        assert (group.records, group.rest) == tuple((known[:, finding] == side).sum() for side in (PRESENT, ABSENT))
        assert group.figures["auroc"] == pytest.approx(each[-1]["auroc"])
    assert [group.enough for group in sums.by_finding(points)] == [True, True, False]
    for name, value in sums.figures(points).items():
        assert value == pytest.approx((each[0][name] + each[1][name]) / 2, abs=1e-6), name  # the scar is too rare
    assert set(sums.figures(points)) == set(MACRO) == {metric.name for metric in TASK.metrics}


def test_what_is_unknown_changes_neither_loss_nor_sums() -> None:
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.tensor([[1, 0, -1], [0, -1, -1], [1, 1, 1], [-1, -1, 0]])
    losses = known_cross_entropy(outputs, targets)
    chance = torch.sigmoid(outputs)
    torch.testing.assert_close(losses[0], -(chance[0, 0].log() + (1 - chance[0, 1]).log()) / 2)
    torch.testing.assert_close(losses[1], -(1 - chance[1, 0]).log())
    losses.sum().backward()
    assert torch.equal(outputs.grad != 0, targets != UNKNOWN)
    said = np.full((2, 3), 0.3, np.float32)
    known = np.array([[1, UNKNOWN, 0], [0, UNKNOWN, 0]])
    sums, other = FindingSums.of(known, said, np.ones(2)), said.copy()
    other[:, 1] = 0.9
    assert np.array_equal(sums.to_vector(), FindingSums.of(known, other, np.ones(2)).to_vector())
    assert sums.figures(None)["auroc"] == 0.5  # of the mass alone
    assert sums.by_finding(None)[1].records == sums.by_finding(None)[1].rest == 0


@pytest.mark.slow
def test_findings_are_learnt_with_a_gradient_for_each_patient() -> None:
    private = Study.model_validate(of().tables() | {"model": {"network": "tiny-cnn"}, "privacy": DP})
    assert rehearse(private).endswith("the gradient of each image is its own")


def test_findings_that_never_are_decided_for_are_counted_so_that_a_report_can_warn() -> None:
    known, said, _ = some(2)
    sums = FindingSums.of(known, np.minimum(said, np.float32(0.4)), np.ones(len(known)))
    site = evaluate(SECTION, sums, None)
    assert all(group.records and not group.decided for group in site.by_group)
    assert evaluate(SECTION, sums, sums.operating_points(0.9)).by_group[0].decided > 0


@pytest.mark.parametrize("width", [40, 80, 200])
def test_figures_of_each_finding_are_in_tables_whose_heads_are_whole(width: int) -> None:
    site = evaluate(SECTION, some(1)[2], (0.5, 0.5, 0.5))
    tables = tables_by_group(of(), site, width)
    assert (len(tables) == 1) == (width == 200)
    screen = Console(width=width, record=True, file=io.StringIO())
    for table in tables:
        screen.print(table)
    lines = screen.export_text().splitlines()
    assert max(map(len, lines)) <= width
    heads = [word for line in lines if line.strip().startswith("finding") for word in re.split(r"  +", line.strip())]
    labels = [TASK.metric(name).label for name in site.by_group[0].figures]
    assert [head for head in heads if head != "finding"] == ["present", "absent", "found", *labels]
    assert all(sum(line.strip().startswith(word) for line in lines) == len(tables) for word in WORDS)


@pytest.mark.parametrize(
    "forge", ["more than there are", "fewer than there are", "an error beyond one", "a large loss"]
)
def test_sums_of_findings_that_no_images_can_have_are_refused(forge: str) -> None:
    vector = some(3)[2].to_vector()
    images = vector[-2]
    if forge == "more than there are":
        vector[0] += images
    elif forge == "fewer than there are":
        vector[-2] += 3 * images
    elif forge == "an error beyond one":
        vector[-4] += round(1 / UNIT) * images
    else:
        vector[-1] = 2**62
    with pytest.raises(MessageError):
        TASK.read(vector, SECTION)


def test_findings_come_from_a_column_each_and_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    table = "patient;Scar;MASS;other;calcification\nP0;;1;x;0.0\nP1;?;;;-1.0\nP2;yes;no;;Present\nP3;0;0;;0\n"
    source = Source(with_a_table(tmp_path / "images", table), tmp_path / "state")
    index = scan(source.folder, state=source.state)
    found = findings.TASK.find(source, index, of())
    files = [one for one in index.accepted if one.file in found.words]
    assert findings.TASK.targets is not None
    targets = findings.TASK.targets(source, of().data, SECTION, files, found)
    assert [one.patient for one in files] == ["P0", "P2", "P3"]  # of P1 nothing is known
    assert targets.tolist() == [[1, 0, UNKNOWN], [0, 1, 1], [0, 0, 0]]
    assert strata(SECTION, targets).tolist() == [1, 3, 0]  # of findings as rare, the later
    assert findings.TASK.members(SECTION, targets).sum(axis=0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,label\n0.dcm,x\n", "no column 'mass'"),
        ("file,mass,calcification,scar\n0.dcm,Jane,0,1\n", "line 2: the cell of 'mass' is neither 1 nor 0"),
        ("file,mass,calcification,scar\n0.dcm,,,\n", "has no labels"),
        ("file,mass,calcification,scar\n0.dcm,1,0,1\n0.dcm,1,1,1\n", "lines 2 and 3 give the same file different"),
    ],
)
def test_a_table_that_says_no_findings_is_an_error_that_names_the_line(tmp_path: Path, table: str, said: str) -> None:
    source = Source(with_a_table(tmp_path / "images", table), tmp_path / "state")
    with pytest.raises(LabelError, match=said) as raised:
        findings.TASK.find(source, scan(source.folder, state=source.state), of())
    assert "Jane" not in str(raised.value)


@pytest.mark.parametrize("classes", [("Patient", "mass"), ("Mass", "mass"), ()])
def test_findings_that_cannot_be_columns_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises((StudyError, ValueError), match=r"name the finding otherwise|more than once|at least 1"):
        of(classes=classes)


def test_a_new_image_is_told_each_finding_at_an_operating_point_of_its_own() -> None:
    assert findings.TASK.asking is not None
    asked, case = Asked(np.zeros((1, 1, 8, 8), np.float32)), Case("image", (), lambda: asked)
    outputs = torch.tensor([[0.0, -1.0, 3.0]])
    answer = findings.TASK.asking.answer(SECTION, outputs, asked, case, Chosen((0.75, 0.25, None), 2.0))
    told = answer.facts["findings"]
    assert [told[word]["present"] for word in WORDS] == [False, True, True]
    assert told["scar"] == {"probability": pytest.approx(1 / (1 + np.exp(-1.5)), abs=1e-6), "present": True} | {
        "operating_point": None
    }
    assert told["mass"]["operating_point"] == pytest.approx(3**0.5 / (3**0.5 + 1), abs=1e-6)
    assert json.loads(json.dumps(answer.facts)) == answer.facts
    assert findings.TASK.asking.rows(answer.facts)[0]["present scar"] is True
    assert findings.TASK.asking.said(answer.facts).startswith("calibrated probability of scar 0.82")


def test_a_map_of_a_finding_does_not_depend_on_the_other_findings() -> None:
    logits = torch.tensor([[1.0, -2.0, 5.0]])
    question = Question(lambda images: images, 1, apart=True)  # type: ignore[arg-type]
    assert question.score(logits).tolist() == [-2.0]
    assert Question(lambda images: images, 0, apart=True).score(logits[:, :1]).tolist() == [1.0]  # type: ignore[arg-type]
