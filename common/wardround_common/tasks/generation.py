"""Generation: a model that makes images like those of its training patients, of each class where classes are stated."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from wardround_common.metrics.reconstructions import ReconstructionSums, figures_of
from wardround_common.section import NotNegative, Word, each_once
from wardround_common.tasks.contract import Task, TaskSection, Words, figure

ALL = "image"
"""What the records are counted under in a study without classes."""


class Generation(TaskSection):
    """``[task] name = "generation"``: images are made, and none is judged."""

    LATER: ClassVar[tuple[str, ...]] = ("sampler",)

    name: Annotated[Literal["generation"], Field(examples=["generation"])]
    """'generation': a variational auto-encoder, from which images are drawn afterwards ('wardround generate')."""
    classes: Annotated[tuple[Word, ...], Field(max_length=16, strict=False, examples=[[]])] = ()
    """Words of the labels for which images are to be made; [] needs no labels, and makes one kind of image."""
    latent: Annotated[int, Field(ge=2, le=256, examples=[16])]
    """Numbers that an image is made from: more of them hold more of an image, and need more patients."""
    beta: Annotated[NotNegative, Field(le=1000, examples=[1.0])]
    """Weight of the divergence in the loss: more of it makes drawn images likelier, and reconstructions blurred."""
    sampler: Annotated[Literal["prior", "diffusion"], Field(examples=["prior"])] = "prior"
    """What draws these numbers for an image: 'prior', a normal distribution, or 'diffusion', which is learnt beside."""

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(classes)

    @model_validator(mode="after")
    def _room_for_classes(self) -> Self:
        if len(self.classes) == 1:
            raise ValueError("one class is no choice: name two or more in 'classes', or write [] for images of any")
        if len(self.classes) > self.latent:
            raise ValueError(
                f"'latent' is {self.latent} for {len(self.classes)} classes: each class needs a number of its own; "
                f"write {len(self.classes)} or more"
            )
        return self


METRICS = (
    figure("reconstruction", "Reconstruction error", "lower", "0 is perfect", within="reconstruction error"),
    figure(
        "divergence",
        "Divergence from the prior",
        "lower",
        "of an image",
        within="divergence from the prior",
        unit="nats",
    ),
)
TERMS = (
    (
        "What these do not tell",
        "Whether drawn images look real, cover what patients have, or are copies of patients: a hospital finds out on "
        "its own images, with 'wardround generate MODEL --check FOLDER'.",
    ),
    (
        "Reconstruction error",
        "How far the brightness of a pixel is from that of the image which is made again from its latent numbers: root "
        "mean square, where 1 is the whole range from black to white.",
    ),
    (
        "Divergence from the prior",
        "How many nats the latent numbers of an image tell of it (Kullback and Leibler): near 0 the model has learnt a "
        "single image, and draws that one again and again.",
    ),
)
_ONE_MODEL = "images are drawn from the one model that all hospitals share; remove it"


def _groups(section: Generation) -> tuple[str, ...]:
    return section.classes or (ALL,)


def _purpose(section: Generation) -> str:
    of = f" of {', '.join(map(repr, section.classes))}" if section.classes else ""
    drawn = " with a diffusion model beside the auto-encoder" if section.sampler == "diffusion" else ""
    return f"make new images{of} like those of its training patients{drawn}"


TASK = Task[Generation, ReconstructionSums](
    name="generation",
    section=Generation,
    outputs=lambda section: 1 + 2 * section.latent + (len(_groups(section)) if section.sampler == "diffusion" else 0),
    dense=False,
    generates=True,
    groups=_groups,
    empty=lambda section: ReconstructionSums.empty(),
    read=lambda vector, section: ReconstructionSums.from_vector(vector),
    summed={
        "records": "counts",
        "squared_error": "squared errors of reconstruction",
        "divergence": "divergences from the prior",
        "loss": "losses",
    },
    metrics=METRICS,
    headline="reconstruction",
    words=lambda section: Words(
        _purpose(section),
        "In a small split they may be those of one patient. Whoever has the model can draw any number of images from "
        "it; without differential privacy such an image may be close to a patient's.",
    ),
    figures=lambda vectors, section, point, whole: figures_of(vectors),
    usual={
        "model": {"network": "vae"},
        "training": {"augmentations": []},
    },
    usual_private={"model": {"network": "tiny-vae"}},
    unfit={
        "data.record": "an image is made by itself, and not with others; remove it",
        "data.normalisation": "made images have a brightness from 0 to 1, as prepared ones have; remove it",
        "model.train": "a part of the network alone makes no image; write train = 'all'",
        "training.personal": _ONE_MODEL,
        "evaluation.usual": "the model is asked about no image, which it could find unlike others; remove it",
        "evaluation.maps": "there is no answer that a map could explain; remove it",
        "evaluation.recalibrated": "there is no probability to recalibrate; remove it",
    },
    terms=lambda section: TERMS,
    decides="It makes images, and decides nothing.",
    compared=("divergence",),
)
