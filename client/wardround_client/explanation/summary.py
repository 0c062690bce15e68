"""What the explanations of a folder say together: the sanity check's mean, and the hospital's sums over lesions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from wardround_client.maps import sanity
from wardround_common.metrics.maps import InLesion, MapSums


@dataclass(frozen=True)
class Summary:
    """The explanations of a folder."""

    images: int
    compared: int
    """Maps that could be compared with those of networks with random weights."""
    similarity: float | None
    """Their mean similarity to them."""
    sums: MapSums
    """Over the images in which a lesion is outlined."""

    @property
    def is_alike(self) -> bool:
        """Tell whether the maps hardly differ from those of networks with random weights."""
        return self.similarity is not None and self.similarity >= sanity.ALIKE

    def facts(self) -> dict[str, Any]:
        """Return the summary as JSON; the sums are what may be added to those of other hospitals."""
        found: dict[str, Any] = {
            "images": self.images,
            "sanity": {
                "compared": self.compared,
                "similarity_to_untrained": self.similarity,
                "said": sanity.said(self.similarity),
            },
        }
        if self.sums.images:
            found["lesions"] = self.sums.figures() | {"images": self.sums.images}
            found["sums"] = self.sums.to_vector().tolist()
        return found


def summary_of(lines: Iterable[Mapping[str, Any]]) -> Summary:
    """Summarise the lines of cases; those that were refused count for nothing."""
    answered = [line for line in lines if "refused" not in line]
    compared = [each for line in answered if (each := line["similarity_to_untrained"]) is not None]
    sums = MapSums()
    for line in answered:
        if (found := line.get("lesion")) is not None:
            parts = (found["mass_in_lesion"], found["random"], found["untrained"])
            sums += MapSums.of(InLesion(found["hit"], *parts))
    return Summary(len(answered), len(compared), round(fmean(compared), 4) if compared else None, sums)


def lesion_words(summary: Summary) -> str:
    """Say in a sentence how much of the maps lies in lesions."""
    if not summary.sums.images:
        return ""
    found, count = summary.sums.figures(), summary.sums.images
    images = f"{count:,} image{'' if count == 1 else 's'}"
    return (
        f"In {images} with an outlined lesion, {found['mass_in_lesion']:.0%} of what speaks for the class lies in the "
        f"lesion. The lesion covers {found['random']:.1%} of what the model sees: a random map would have that much "
        f"there; the map of a network with random weights has {found['untrained']:.0%}. The strongest place lies in "
        f"the lesion in {found['pointing_game']:.0%} of them."
    )
