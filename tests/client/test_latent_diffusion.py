"""A diffusion of latent numbers draws what they are distributed as, begins as the prior, and touches no encoder."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from examples import DP, STUDY
from wardround_client import networks
from wardround_client.generation.drawing import drawn
from wardround_client.networks import LatentDiffusion, class_means
from wardround_client.networks._diffusion import LEVELS, TRIED, denoised
from wardround_client.prediction.model import Model
from wardround_client.tasks import generation
from wardround_client.tasks.generation import parts_of
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import StudyError
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe
from wardround_common.tasks.generation import Generation

SECTION = Generation(name="generation", classes=("none", "mass"), latent=3, beta=2.0, sampler="diffusion")
MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.5, 0.6, 0.0], [0.6, 0.5, -0.2], [0.0, -0.2, 0.3]], dtype=torch.float64)


def of(**more: object) -> Study:
    return Study.model_validate(
        STUDY
        | {"task": SECTION.model_dump(), "model": {"network": "tiny-vae"}, "data": STUDY["data"] | {"image_size": 16}}
        | more
    )


def kept_at(level: int) -> float:
    """Return the part of the variance that is no noise: equation 17 of Nichol and Dhariwal."""
    at = [np.cos((step / LEVELS + 0.008) / 1.008 * np.pi / 2) ** 2 for step in range(LEVELS + 1)]
    betas = [min(1 - after / before, 0.999) for before, after in pairwise(at)]
    return float(np.prod([1 - beta for beta in betas[: level + 1]]))


def network() -> LatentDiffusion:
    built = networks.build(of())
    assert isinstance(built, LatentDiffusion)
    return built


def test_the_velocity_of_a_normal_distribution_draws_its_mean_and_covariance() -> None:
    def velocity(noisy: torch.Tensor, level: int) -> torch.Tensor:
        kept = kept_at(level)
        whole = kept * COVARIANCE + (1 - kept) * torch.eye(3, dtype=torch.float64)
        off = torch.linalg.solve(whole, (noisy - kept**0.5 * MEAN).T).T
        image, noise = MEAN + kept**0.5 * off @ COVARIANCE, (1 - kept) ** 0.5 * off
        return kept**0.5 * noise - (1 - kept) ** 0.5 * image

    places = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double()
    mean, *others = denoised(velocity, places)  # an affine map, of which these four points are all
    linear = torch.stack(others) - mean
    torch.testing.assert_close(mean, MEAN, atol=0.02, rtol=0)
    torch.testing.assert_close(linear.T @ linear, COVARIANCE, atol=0.03, rtol=0)


def test_before_it_is_trained_it_draws_the_prior() -> None:
    noise, kinds = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1] * 3)
    with torch.no_grad():
        left = network().drawn(noise, kinds) - class_means(2, 3)[kinds]
    torch.testing.assert_close(left, noise, atol=0, rtol=0.02)  # the steps are finite, which makes it narrower


def test_the_error_of_a_velocity_is_that_of_the_plain_formula_and_of_the_class_of_the_label() -> None:
    subject = network().eval()
    latent = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        subject.denoiser.last.bias.copy_(torch.tensor([0.3, -0.1, 0.2]))  # it says the same of everything
        errors = subject.errors(latent)
    noise = subject.tried.numpy()
    for row in range(4):
        for kind in range(2):
            left = latent[row].numpy() - class_means(2, 3)[kind].numpy()
            levels = np.linspace(0, LEVELS - 1, TRIED).astype(int)
            kept = np.array([kept_at(level) for level in levels])[:, None]
            velocity = np.sqrt(kept) * noise - np.sqrt(1 - kept) * left
            expected = np.square(np.array([0.3, -0.1, 0.2]) - velocity).sum(axis=1).mean() / 2
            assert float(errors[row, kind]) == pytest.approx(expected, rel=1e-4)
    outputs = torch.cat([torch.zeros(4, 7), errors], dim=1)
    targets = torch.tensor([(row % 2, 64) for row in range(4)])
    _, far, divergence = parts_of(SECTION, outputs, targets)
    bound = far + 2 * divergence + errors[torch.arange(4), targets[:, 0]]
    loss = generation.TASK.loss(SECTION, of().training, torch.device("cpu"))
    torch.testing.assert_close(loss(outputs, targets), bound)
    sums = generation.TASK.sums(SECTION, outputs, targets, np.arange(4), None)
    assert sums.mean_loss() == pytest.approx(float(bound.double().mean()), abs=1e-4)


def test_no_gradient_of_it_reaches_the_auto_encoder_and_each_pass_draws_what_the_seed_says() -> None:
    subject = network().train()
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    with networks.seeded(5):
        first = subject(images)
        other = subject(images)
    with networks.seeded(5):
        again = subject(images)
    assert torch.equal(first, again)
    assert not torch.equal(first[:, 7:], other[:, 7:])
    first[:, 7:].sum().backward()
    reached = [weight.grad for weight in subject.autoencoder.parameters() if weight.grad is not None]
    assert all(not bool(grad.any()) for grad in reached)
    assert subject.denoiser.last.bias.grad is not None
    assert float(subject.denoiser.last.bias.grad.abs().max()) > 0


def test_a_pass_in_bfloat16_leaves_the_schedule_of_the_noise_as_it_was() -> None:
    subject = network().train()
    before = subject.steps.alphas_cumprod.clone()
    with torch.autocast("cpu", torch.bfloat16):
        subject(torch.rand(2, 1, 16, 16))
    assert torch.equal(subject.steps.alphas_cumprod, before)


@pytest.mark.slow
def test_it_learns_a_distribution_that_is_not_the_prior() -> None:
    subject = network().train()
    generator = torch.Generator().manual_seed(4)
    optimiser = torch.optim.Adam(subject.denoiser.parameters(), 3e-3)
    kinds = torch.arange(64) % 2
    where, wide = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), torch.tensor([[0.3], [0.6]])
    with networks.seeded(6):
        for _ in range(400):
            left = where[kinds] + wide[kinds] * torch.randn(64, 3, generator=generator)
            errors = subject.errors(class_means(2, 3)[kinds] + left)
            optimiser.zero_grad()
            errors[torch.arange(64), kinds].mean().backward()
            optimiser.step()
    with torch.no_grad():
        many = torch.arange(2000) % 2
        made = subject.drawn(torch.randn(2000, 3, generator=generator), many) - class_means(2, 3)[many]
    for kind in range(2):
        torch.testing.assert_close(made[many == kind].mean(dim=0), where[kind], atol=0.2, rtol=0)
        torch.testing.assert_close(made[many == kind].std(dim=0), wide[kind].expand(3), atol=0.15, rtol=0)


def test_a_seed_and_a_number_say_what_an_image_is_and_the_prior_draws_another() -> None:
    subject = network().eval()
    with torch.no_grad():
        subject.denoiser.last.bias.fill_(0.5)
    model = Model(of(), None, subject)  # type: ignore[arg-type]  # the card is not looked at
    three, more = list(drawn(model, 3, 7)), list(drawn(model, 70, 7))
    assert all(np.array_equal(one.pixels, same.pixels) for one, same in zip(three, more, strict=False))
    assert [one.word for one in three] == ["none", "mass", "none"]
    plain = Study.model_validate(of().tables() | {"task": SECTION.model_dump() | {"sampler": "prior"}})
    other = Model(plain, None, subject.autoencoder)  # type: ignore[arg-type]
    assert not np.array_equal(next(drawn(other, 1, 7)).pixels, three[0].pixels)


def test_latent_numbers_of_which_nothing_is_known_are_refused() -> None:
    with pytest.raises(StudyError, match="nothing is known of the latent numbers of 'tiny-cnn'"):
        networks.construct_for(of(model={"network": "tiny-cnn"}), 0, None)


def test_a_hospital_is_told_that_a_diffusion_is_trained_too() -> None:
    plain = of(task=SECTION.model_dump() | {"sampler": "prior"})
    told = [
        any("diffusion model beside the auto-encoder" in str(part) for part in describe(one)) for one in (of(), plain)
    ]
    assert told == [True, False]


def test_a_study_that_says_nothing_of_a_sampler_keeps_its_digest() -> None:
    stated = of(task=SECTION.model_dump() | {"sampler": "prior"})
    left_out = {key: value for key, value in SECTION.model_dump().items() if key != "sampler"}
    assert stated.digest() == of(task=left_out).digest() != of().digest()


@pytest.mark.slow
def test_each_patients_gradient_is_its_own() -> None:
    assert rehearse(of(privacy=DP)).endswith("the gradient of each image is its own")
