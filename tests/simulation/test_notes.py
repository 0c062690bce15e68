"""What a reader of a simulation's figures must know besides."""

from __future__ import annotations

from wardround_simulation.run.notes import said_of_files


def test_masks_that_outline_nothing_are_not_counted_as_images() -> None:
    refused, left_out = said_of_files({"truncated": 2, "palette": 1}, {"no-mask": 102, "mask-overlap": 1})
    assert refused == "3 files were refused: 1 palette, 2 truncated (the file is truncated)"
    assert left_out == "left out: 1 mask-overlap (with a voxel of two structures), 102 no-mask (outlined by no mask)"
    assert not list(said_of_files({}, {}))
