"""Random views: each is of its own image alone, volumes and their masks move alike, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from wardround_client.training.augmentation import BLUR, NOISE, SHADING, augment
from wardround_common.randomness import insecure_stream
from wardround_common.study.training import Augmentation

ALL: tuple[Augmentation, ...] = get_args(Augmentation)
NOTHING = torch.zeros(6)


def views(images: torch.Tensor, *augmentations: Augmentation) -> torch.Tensor:
    return augment(images, NOTHING[: len(images)], augmentations, insecure_stream(7, "views"))[0]


@pytest.fixture(params=[(1, 24, 20), (2, 4, 16, 16)], ids=["image", "volume"])
def images(request: pytest.FixtureRequest) -> torch.Tensor:
    return torch.rand((6, *request.param), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("augmentation", ALL)
def test_a_view_depends_on_no_other_image_and_is_drawn_again_from_the_same_stream(
    augmentation: Augmentation, images: torch.Tensor
) -> None:
    seen = views(images, augmentation)
    assert (seen.shape, seen.dtype) == (images.shape, images.dtype)
    assert torch.equal(seen, views(images, augmentation))
    assert not torch.equal(seen, images)
    others = images.clone()
    others[1:] = 1 - others[1:]
    assert torch.equal(views(others, augmentation)[0], seen[0])
    assert bool(torch.isfinite(seen).all())


def test_what_one_augmentation_draws_is_the_same_whatever_others_there_are() -> None:
    flat = torch.full((6, 1, 16, 16), 0.5)
    alone = views(flat, "noise")
    assert torch.equal(views(flat, "flip", "shift", "noise"), alone)
    torch.testing.assert_close(views(flat, "shading", "noise") - views(flat, "shading"), alone - flat)


def test_a_volume_and_its_mask_are_turned_and_bent_alike_in_every_slice() -> None:
    mask = torch.zeros(6, 4, 32, 32, dtype=torch.uint8)
    mask[:, 1:3, 6:20, 9:25] = 1
    seen, of_mask = augment(
        mask.float()[:, None], mask, ["flip", "shift", "rotate", "scale", "elastic"], insecure_stream(7, "views")
    )
    sure = (seen[:, 0] < 0.01) | (seen[:, 0] > 0.99)
    assert sure.float().mean() > 0.8
    assert torch.equal(seen[:, 0].round().to(torch.uint8)[sure], of_mask[sure])
    assert not torch.equal(of_mask, mask)
    assert torch.equal(of_mask[:, 1], of_mask[:, 2])
    assert not of_mask[:, [0, 3]].any()


def test_elastic_views_bend_and_do_not_only_move() -> None:
    lines = torch.zeros(6, 1, 64, 64)
    lines[..., 32] = 1
    where = views(lines, "elastic")[:, 0].argmax(-1).float()  # (images, rows): column of the line in each row
    straight = torch.stack([torch.linspace(-1, 1, 64), torch.ones(64)], 1)
    bent = (
        where[:, 4:-4, None]
        - straight[4:-4] @ torch.linalg.lstsq(straight[4:-4].expand(6, -1, -1), where[:, 4:-4, None]).solution
    )
    assert bent.abs().amax() > 0.7
    assert (where - 32).abs().max() <= 0.15 * 32 * 1.5  # between knots a bicubic goes a little beyond them


def test_elastic_views_fold_no_place_over_another_one() -> None:
    across = torch.arange(64.0).expand(300, 1, 64, 64)
    seen, _ = augment(across, torch.zeros(300), ["elastic"], insecure_stream(1, "views"))
    inside = seen[..., 8:-8]
    assert (inside.diff(dim=-1) > 0).all()


def test_the_document_names_every_view() -> None:
    page = (Path(__file__).parents[2] / "docs/preparation.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in ALL)


def test_noise_shading_and_blur_are_as_strong_as_stated_and_differ_between_images() -> None:
    flat = torch.full((200, 1, 24, 24), 0.5)
    none = torch.zeros(200)

    def of(images: torch.Tensor, augmentation: Augmentation) -> torch.Tensor:
        return augment(images, none, [augmentation], insecure_stream(7, "views"))[0]

    deviations = (of(flat, "noise") - flat).std(dim=(1, 2, 3))
    assert deviations.max() < 1.15 * NOISE
    assert 0.4 * NOISE < deviations.mean() < 0.6 * NOISE
    assert (of(flat, "noise") - flat).mean().abs() < NOISE / 50
    fields = of(flat, "shading") / flat
    assert fields.log().abs().max() <= SHADING * (2 + 1 + 4 / 3) + 1e-5
    assert fields.std(dim=(1, 2, 3)).min() > 0
    assert torch.allclose(of(flat, "blur"), flat, atol=1e-6)
    point = torch.zeros(200, 1, 25, 25)
    point[:, :, 12, 12] = 1
    seen = of(point, "blur")
    assert torch.allclose(seen.sum(dim=(1, 2, 3)), torch.ones(200), atol=1e-5)
    places = torch.arange(25.0) - 12
    spread = (seen[:, 0].sum(1) * places**2).sum(1).sqrt()
    assert spread.max() < BLUR
    assert spread.min() < 0.1 < 0.5 < spread.median() + 0.2
