"""Detection: boxes from a table, the loss by centres, peaks, views, and figures beside MONAI's and a slow reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou
from monai.metrics import compute_froc_curve_data, compute_froc_score

from tiny_dicom import save, tiny
from wardround_client.images.hanging import NOT_SAID
from wardround_client.intake.boxes import Box, find_boxes
from wardround_client.intake.index import scan
from wardround_client.tasks.box_form import around_parts, from_form, moved, to_form, together
from wardround_client.tasks.box_loss import PRIOR, box_loss, maps_of
from wardround_client.tasks.box_peaks import Drawn, drawn, finds, lesions_of, overlaps
from wardround_client.training.augmentation import augment
from wardround_common.errors import LabelError, MessageError
from wardround_common.metrics.boxes import (
    FALSE_POSITIVES,
    LOWEST,
    PER_NAT,
    BoxSums,
    confidence_of,
    edge_of,
    figures_of,
)
from wardround_common.randomness import insecure_stream
from wardround_common.study.steps import Area

CLASSES = 2
RAMP = np.arange(100, dtype=np.uint16).reshape(10, 10)


def invented(images: int, seed: int) -> tuple[list[Drawn], list[np.ndarray]]:
    """Return boxes of a middling detector and the lesions: the more confident, the more often near a lesion."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        count = int(rng.integers(0, 4))
        corner = rng.uniform(0, 80, (count, 2))
        lesions = np.concatenate([corner, corner + rng.uniform(6, 20, (count, 2)), rng.integers(0, 2, (count, 1))], 1)
        near = lesions[rng.random(count) < 0.8]
        boxes = near[:, :4] + rng.normal(0, 2.5, (len(near), 4))
        wrong = rng.uniform(0, 80, (int(rng.integers(0, 4)), 2))
        boxes = np.concatenate([boxes, np.concatenate([wrong, wrong + 12], 1)])
        of_class = np.concatenate([near[:, 4], rng.integers(0, 2, len(wrong))]).astype(np.int64)
        log_odds = np.concatenate([rng.normal(1, 1.5, len(near)), rng.normal(-1, 1.5, len(wrong))]).clip(-5.9, 9.9)
        order = np.argsort(-log_odds)
        found.append(Drawn(boxes[order].astype(np.float32), log_odds[order].astype(np.float32), of_class[order]))
        truth.append(lesions.astype(np.float32))
    return found, truth


def summed(found: list[Drawn], truth: list[np.ndarray]) -> BoxSums:
    return BoxSums.of(
        np.ones(len(found)),
        lesions_of(truth, CLASSES),
        np.concatenate([one.log_odds for one in found]),
        np.concatenate([one.of_class for one in found]),
        np.concatenate([finds(one, those) for one, those in zip(found, truth, strict=True)]),
    )


@pytest.fixture(scope="module")
def middling() -> tuple[list[Drawn], list[np.ndarray]]:
    return invented(60, 1)


@pytest.mark.parametrize(("overlap", "name"), [(0.1, "ap_iou10"), (0.5, "ap_iou50")])
def test_average_precision_is_monais_but_for_the_width_of_a_bin(
    middling: tuple[list[Drawn], list[np.ndarray]], overlap: float, name: str
) -> None:
    found, truth = middling
    metric = COCOMetric(classes=["a", "b"], iou_list=[overlap], max_detection=[100])

    matched = matching_batch(
        iou_fn=box_iou,
        iou_thresholds=metric.iou_thresholds,
        pred_boxes=[one.boxes.astype(np.float64) for one in found],
        pred_classes=[one.of_class for one in found],
        pred_scores=[one.log_odds.astype(np.float64) for one in found],
        gt_boxes=[one[:, :4].astype(np.float64) for one in truth],
        gt_classes=[one[:, 4].astype(np.int64) for one in truth],
    )
    theirs = [metric(matched)[0][f"{word}_AP_IoU_{overlap:.2f}_MaxDet_100"] for word in ("a", "b")]
    ours = summed(found, truth).figures(None)[name]
    assert ours is not None
    assert 0.2 < ours < 0.95
    assert ours == pytest.approx(np.mean(theirs), abs=0.01)


def test_froc_is_monais_but_for_the_width_of_a_bin(middling: tuple[list[Drawn], list[np.ndarray]]) -> None:
    found, truth = middling
    one_class = [np.where(np.arange(5) == 4, 0.0, each).astype(np.float32) for each in truth]
    single = [Drawn(one.boxes, one.log_odds, np.zeros_like(one.of_class)) for one in found]
    hits = [finds(one, those)[:, 0] for one, those in zip(single, one_class, strict=True)]
    lesions = int(sum(len(one) for one in truth))
    true = np.concatenate([one.log_odds[hit] for one, hit in zip(single, hits, strict=True)])
    false = np.concatenate([one.log_odds[~hit] for one, hit in zip(single, hits, strict=True)])
    missed = np.full(lesions - len(true), LOWEST - 1)  # so that the last lesion counts (findings/)
    curve = compute_froc_curve_data(false, np.concatenate([true, missed]), lesions, len(truth))
    ours = summed(single, one_class).figures(None)["froc"]
    assert len(missed)
    assert ours == pytest.approx(compute_froc_score(*curve, eval_thresholds=FALSE_POSITIVES), abs=0.01)


def test_the_operating_point_is_the_lowest_with_one_false_positive_an_image_and_decides_alike(
    middling: tuple[list[Drawn], list[np.ndarray]],
) -> None:
    found, truth = middling
    sums = summed(found, truth)
    point = sums.threshold()
    assert point is not None
    figures = sums.figures(point)
    lower = sums.figures(confidence_of(edge_of(point) - 1))
    assert figures["false_positives"] <= 1 < lower["false_positives"]
    log_odds = np.concatenate([one.log_odds for one in found])
    decided = int((log_odds >= LOWEST + edge_of(point) / PER_NAT).sum())
    assert sum(one.decided for one in sums.by_class(point)) == decided
    assert all(edge_of(confidence_of(edge)) == edge for edge in range(513))


def test_a_class_with_too_few_lesions_is_in_no_mean_and_a_resample_takes_the_same_classes() -> None:
    found, truth = invented(40, 2)
    truth = [np.where(np.arange(5) == 4, 0.0, each).astype(np.float32) for each in truth]
    truth[0] = np.array([[10, 10, 20, 20, 1]], np.float32)
    sums = summed(found, truth)
    assert sums.counted().tolist() == [True, False]
    assert sums.figures(None)["ap_iou10"] == sums.by_class(None)[0].figures["ap_iou10"]
    vectors = np.stack([sums.to_vector(), 3 * sums.to_vector()])
    many = figures_of(vectors, CLASSES, None, sums.counted())
    assert many["ap_iou10"][0] == pytest.approx(many["ap_iou10"][1])
    assert many["froc"][0] == pytest.approx(many["froc"][1])


@pytest.mark.parametrize("wrong", ["more found than drawn", "more found than there are", "too many boxes", "loss"])
def test_sums_that_no_images_can_have_are_refused(wrong: str, middling: tuple[list[Drawn], list[np.ndarray]]) -> None:
    vector = summed(*middling).to_vector()
    if wrong == "more found than drawn":
        vector[4 + 512 * 2] = vector[4] + 1
    elif wrong == "more found than there are":
        vector[2:4] = 1
    elif wrong == "too many boxes":
        vector[4 + 511] += 60 * 50
    else:
        vector[1] = 2**60
    with pytest.raises(MessageError):
        BoxSums.from_vector(vector, CLASSES)


def test_the_loss_is_least_where_the_outputs_are_what_the_boxes_say_and_they_are_read_back() -> None:
    boxes = torch.from_numpy(
        together([[(4.2, 6.0, 12.2, 11.0, 0), (16.0, 18.5, 22.0, 28.5, 1)], [(10.0, 3.0, 13.0, 9.0, 1)], []])
    )
    heat, goal, weight, centres = maps_of(boxes, CLASSES, (32, 32))
    assert weight.sum((1, 2)).tolist() == pytest.approx([2.0, 1.0, 0.0])
    assert centres.sum((1, 2, 3)).tolist() == [2, 1, 0]
    right = torch.cat([torch.logit(heat.clamp(1e-4, 1 - 1e-4)) - PRIOR, goal], dim=1)
    best = box_loss(right, boxes)
    assert (best < 0.1 * box_loss(torch.zeros_like(right), boxes)).all()
    found = drawn(right)
    for one, those in zip(found[:2], boxes[:2].numpy(), strict=True):
        assert finds(one, those)[: len(those[those[:, 4] >= 0]), 1].sum() == (those[:, 4] >= 0).sum()
        sure = one.log_odds > 0
        assert overlaps(one.boxes[sure], those[:, :4]).max(axis=1).min() > 0.99
    assert not (found[2].log_odds > 0).any()


def test_boxes_take_as_much_room_at_each_hospital_and_what_is_empty_changes_no_loss() -> None:
    one, two = together([[(4, 6, 12, 11, 0)]]), together([[(1, 2, 3, 4, 0)] * 2, []])
    pooled = torch.from_numpy(np.concatenate([one, two]))
    outputs = torch.randn(3, CLASSES + 4, 16, 16, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(box_loss(outputs, pooled)[:1], box_loss(outputs[:1], pooled[:1, :1]))


def test_equal_peaks_are_taken_in_the_order_of_class_and_place() -> None:
    outputs = torch.zeros(1, CLASSES + 4, 8, 8)
    (one,) = drawn(outputs)
    (again,) = drawn(outputs)
    assert np.array_equal(one.boxes, again.boxes)
    assert one.of_class.tolist() == sorted(one.of_class.tolist())
    outputs[:, 0] = 9.0
    assert len(drawn(outputs)[0].boxes) <= 50


@pytest.mark.parametrize("augmentation", [["flip"], ["shift"], ["rotate"], ["scale"], ["flip", "rotate", "shift"]])
def test_a_view_moves_a_box_to_where_its_lesion_is_seen(augmentation: list[str]) -> None:
    side, boxes = 64, torch.tensor([[[20.0, 12.0, 36.0, 40.0, 0.0], [0.0, 0.0, 0.0, 0.0, -1.0]]] * 8)
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    disc = ((rows - 28) / 8) ** 2 + ((columns - 26) / 14) ** 2 <= 1
    images = torch.from_numpy(np.repeat(disc[None, None].astype(np.float32), 8, axis=0))
    seen, where = augment(images, boxes, augmentation, insecure_stream(5, "views"), moved)  # type: ignore[arg-type]
    assert torch.equal(where[:, 1], boxes[:, 1])
    for image, box in zip(seen[:, 0].numpy(), where[:, 0].numpy(), strict=True):
        there = np.argwhere(image > 0.5)
        edges = [*there.min(axis=0), *(there.max(axis=0) + 1)]
        assert np.abs(box[:4] - edges).max() < 1.1
    assert not torch.equal(where[:, 0], boxes[:, 0])


def test_a_box_that_leaves_the_view_is_gone() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0, 0.0], [20.0, 20.0, 40.0, 40.0, 0.0]]])
    matrices = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    assert moved(boxes, matrices, (64, 64))[0, :, 4].tolist() == [-1.0, 0.0]
    assert moved(boxes, matrices, (64, 64))[0, 1, :4].tolist() == [20.0, 4.0, 40.0, 24.0]


def test_a_box_goes_to_the_networks_form_and_back() -> None:
    box = Box(10, 20, 110, 60, 1)
    (formed,) = to_form([box], Area.whole(200, 100), 64, NOT_SAID)
    assert formed == pytest.approx((3.2, 16 + 6.4, 35.2, 16 + 19.2, 1))
    back = from_form(np.array([formed[:4]], np.float32), Area.whole(200, 100), 64, NOT_SAID)
    assert back[0].tolist() == pytest.approx([10, 20, 110, 60], abs=1e-3)
    beside = from_form(np.array([[0, 0, 20, 10]], np.float32), Area.whole(200, 100), 64, NOT_SAID)
    assert beside[0, 3] == 0  # in the margin, not in the image


def test_a_mask_has_a_box_around_each_part_of_each_structure() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[1:3, 1:4] = 1
    mask[3, 4] = 1  # over a corner
    mask[7:9, 7:9] = 1
    mask[0:2, 8:10] = 2
    assert sorted(around_parts(mask, 2)) == [(0, 8, 2, 10, 1), (1, 1, 4, 5, 0), (7, 7, 9, 9, 0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("boxes")
    for name in ("a", "b", "c"):
        save(tiny(RAMP, PatientID=name, PatientName=name), made / f"{name}.dcm")
    return made


def read(folder: Path, text: str) -> object:
    table = folder / "boxes.csv"
    table.write_text(text)
    return find_boxes(folder, scan(folder, state=folder / ".state"), ("nodule", "mass"))


def test_an_image_listed_without_a_box_is_negative_and_one_that_is_not_listed_is_left_out(folder: Path) -> None:
    said = read(folder, "file,x0,y0,x1,y1,class\na.dcm,1,2,5,8,mass\na.dcm,0,0,3,3,nodule\nb.dcm,,,,,\nz.dcm,,,,,\n")
    assert said.of == {"a.dcm": (Box(0, 0, 3, 3, 0), Box(2, 1, 8, 5, 1)), "b.dcm": ()}  # type: ignore[attr-defined]
    assert said.unmet == {"unknown-file": 1}  # type: ignore[attr-defined]
    assert find_boxes(folder, scan(folder, state=folder / ".state"), ("nodule", "mass")).of  # no file of its own


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("a.dcm,0,0,3,4000,mass", r"line 2: its box reaches outside the image, which has \d+ × \d+"),
        ("a.dcm,-1,0,3,4,mass", "line 2: its box reaches outside"),
        ("a.dcm,3,0,3,4,mass", "line 2: its box is empty"),
        ("a.dcm,0,0,3,4,tumour", "line 2: the label is not a class of the study"),
        ("a.dcm,0,0,3,4,", "line 2: the label is not a class"),
        ("a.dcm,0,0,,4,mass", "line 2: its x1 is not a number"),
        ("a.dcm,0,0,nan,4,mass", "line 2: its x1 is not a number"),
        ("a.dcm,0,0,3,4,mass\na.dcm,,,,,", "line 3: of this image one line has a box, and another says that nothing"),
        ("a.dcm,0,0,3,4,mass\na.dcm,0,0,3,4,mass", "lines 2 and 3 are the same box"),
        (",0,0,3,4,mass", "line 2 has no file"),
        ("z.dcm,0,0,3,4,mass", "it names 1 image, and none of the accepted images"),
        ("A.dcm,0,0,3,4,mass", "different upper and lower case"),
        ("", "this file has no lines"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_the_line(folder: Path, lines: str, why: str) -> None:
    with pytest.raises(LabelError, match=why):
        read(folder, f"file,x0,y0,x1,y1,class\n{lines}\n")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("file,x0,y0,x1,y1", "names no column 'class'"),
        ("image,x0,y0,x1,y1,class", "neither of the columns 'file' and 'uid'"),
        ("file,x0,x0,y0,x1,y1,class", "'x0' appears twice"),
    ],
)
def test_a_table_without_its_columns_is_refused(folder: Path, header: str, why: str) -> None:
    with pytest.raises(LabelError, match=why):
        read(folder, f"{header}\n")


def test_an_empty_table_is_answered_with_how_one_begins(folder: Path) -> None:
    with pytest.raises(LabelError) as caught:
        read(folder, "\n")
    assert caught.value.do.endswith("file,x0,y0,x1,y1,class")
