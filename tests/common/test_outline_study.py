"""A study of outlines as a file: what a new one has, and which keys it cannot have."""

from __future__ import annotations

import pytest

from wardround_common.errors import StudyError
from wardround_common.study.file import parse_canonical, parse_study
from wardround_common.study.template import VOLUME_REASONS, study_text
from wardround_common.study.words.describe import describe

TEXT = study_text("outlines", task="segmentation", dp=False)


def test_a_new_study_of_outlines_takes_series_and_a_network_that_draws() -> None:
    of = parse_study(TEXT)
    assert [one.role for one in of.data.series] == ["flair"]
    assert (of.data.inputs, of.outputs, of.model.network) == (1, 2, "tiny-unet")
    assert parse_study(TEXT).digest() == of.digest()
    said = " ".join(sentence for passage in describe(of) for sentence in passage.sentences)
    assert "takes 'flair', by what scanners write of a series" in said
    assert "percentile of each series become 0 to 1" in said
    assert "Images and pixels, labels, outlines and boxes," in said  # of what does not leave


def test_a_new_study_of_volumes_states_a_spacing_and_a_patch_in_the_place_of_an_image_size() -> None:
    own = {"task": {"dims": 3}}
    text = study_text("volumes", task="segmentation", dp=False, own=own)
    assert "image_size" not in text
    for key in VOLUME_REASONS:
        assert f"# {VOLUME_REASONS[key]}\n{key[1]} = " in text
    of = parse_study(text)
    assert of.data.extent == of.data.patch_size == (32, 64, 64)
    assert (of.data.spacing_mm, of.data.patches_per_volume) == ((3.0, 1.5, 1.5), 4)
    assert parse_canonical(of.canonical()).digest() == of.digest()
    said = " ".join(sentence for passage in describe(of) for sentence in passage.sentences)
    assert "volumes with voxels of 3 × 1.5 × 1.5 mm, with 4 patches of 32 × 64 × 64 voxels drawn from each" in said


@pytest.mark.parametrize(
    ("dims", "keys", "faults"),
    [
        (3, "", ["spacing_mm: this key is missing", "patch_size: this key is missing"]),
        (3, "image_size = 64\n", ["image_size = 64: this is a key of images and slices; remove it"]),
        (2, "", ["image_size: this key is missing, such as image_size = 64"]),
        (2, "image_size = 64\npatch_size = [8, 8, 8]\n", ["patch_size = [8, 8, 8]: this is a key of volumes"]),
        (3, "spacing_mm = [1.0, 1.0]\npatch_size = [8, 8, 8]\n", ["spacing_mm"]),
        (3, "spacing_mm = [1.0, 0.0, 1.0]\npatch_size = [8, 8, 4]\n", ["spacing_mm", "patch_size"]),
    ],
)
def test_keys_of_volumes_that_are_missing_or_not_used_are_named(dims: int, keys: str, faults: list[str]) -> None:
    changed = TEXT.replace("dims = 2", f"dims = {dims}").replace("image_size = 128\n", keys)
    with pytest.raises(StudyError) as caught:
        parse_study(changed)
    for fault in faults:
        assert any(f"[data] {fault}" in said for said in caught.value.faults), caught.value.faults


def test_each_series_is_a_channel() -> None:
    more = TEXT.replace("[model]", '[[data.series]]\nrole = "t1"\ncontrast = false\n\n[model]')
    assert parse_study(more).data.inputs == 2
    assert parse_study(more).digest() != parse_study(TEXT).digest()


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('intensity = "percentile"', 'intensity = "window"', "scaled by a whole series"),
        ("image_size = 128", "image_size = 128\nchannels = 3", "each of [[data.series]] is one channel"),
        ('"segmentation"\n', '"classification"\n', "takes single images, and no series"),
        ("[model]", '[[data.series]]\nrole = "flair"\n\n[model]', "'flair' is listed more than once"),
    ],
)
def test_keys_that_do_not_fit_are_named(before: str, after: str, fault: str) -> None:
    changed = TEXT.replace(before, after, 1)
    if "classification" in after:
        changed = changed.replace('classes = ["tumour"]\n', 'classes = ["none", "tumour"]\n')
        changed = "\n".join(line for line in changed.splitlines() if not line.startswith(("dims", "loss")))
    with pytest.raises(StudyError) as caught:
        parse_study(changed)
    assert any(fault in said for said in caught.value.faults), caught.value.faults
