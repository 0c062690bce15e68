"""Networks: one that cannot be private is refused before a patient is charged, and one seed gives one model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import nn

from cases.case import Case, one_line, wardround
from examples import DP, dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_client.training.rehearsal import check_private
from wardround_common.errors import PrivacyError
from wardround_common.messages.rounds import TrainRequest
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study


def checked(change: Callable[[dict[str, Any]], None] = lambda tables: None) -> Callable[[Path], str]:
    """Check a private study's file with ``wardround study check``, after a change of it."""

    def check(here: Path) -> str:
        tables = study(privacy=DP, model={"network": "tiny-cnn"}).model_dump(mode="json", exclude_none=True)
        change(tables)
        file = here / "study.toml"
        file.write_text(tomli_w.dumps(tables))
        done = wardround("study", "check", file)
        return done.error or one_line(done.out.partition("network: ")[2])

    return check


def too_small(tables: dict[str, Any]) -> None:
    tables["model"]["network"], tables["data"]["image_size"] = "densenet121", 28
    tables["privacy"] = {"mechanism": "none"}


class Net(nn.Module):
    """Some layers, the mean over the map, and one linear layer."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.classify = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> Any:
        return self.classify(self.layers(images).mean((2, 3)))


class Gate(nn.Module):
    """Multiplies with a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, maps: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return maps * self.weight * gate


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    def forward(self, maps: torch.Tensor) -> Any:
        return self.gate(maps, maps.sigmoid())


class Borrowed(nn.Module):
    """Uses a layer's weight by a function, past the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 4, 3)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(maps, self.inner.weight, self.inner.bias)


def twice() -> nn.Module:
    net = Net(nn.Conv2d(1, 4, 3))
    net.also = nn.ModuleDict({"head": net.classify})
    return net


def frozen() -> nn.Module:
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    norm.requires_grad_(False)
    return Net(nn.Conv2d(1, 4, 3), norm)


def private(make: Callable[[], nn.Module]) -> Callable[[Path], str]:
    """Ask of a network what a hospital asks before it takes part in a private study."""

    def check(here: Path) -> str:
        torch.manual_seed(0)
        try:
            check_private(make(), study(privacy=DP))
        except PrivacyError as error:
            return f"refused: {one_line(error.what.partition(chr(10))[2]).removeprefix('· ')}"
        return "the gradient of each image is its own"

    return check


def one_seed(here: Path) -> str:
    """Train the same round where torch found one thread and where it found two."""
    found = torch.get_num_threads()
    try:
        updates = {update(study(privacy=DP, data={"image_size": 32}), threads) for threads in (1, 2)}
    finally:
        torch.set_num_threads(found)
    return "the same update, byte for byte" if len(updates) == 1 else "two updates"


def update(of: Study, threads: int) -> str:
    torch.set_num_threads(threads)
    hospital = join(of, dataset(size=32), insecure_stream(1, "hospital"), build(of))
    request = TrainRequest(of.digest(), 1, networks.read_vector(networks.build(of)))
    answer: Any = hospital.answer("train", request.parts())
    return hashlib.sha256(answer.vector.tobytes()).hexdigest()


def conv(**how: Any) -> nn.Conv2d:
    return nn.Conv2d(1, 4, 3, padding=1, **how)


CASES = (
    Case("tiny-cnn in a private study", "the gradient of each image is its own", checked()),
    Case(
        "densenet121 on images of 28 pixels",
        "exit code 3; image_size = 28: densenet121; cannot be trained",
        checked(too_small),
        slow=True,
    ),
    Case(
        "padding that reflects",
        "the gradient of each image is its own",
        private(lambda: Net(conv(padding_mode="reflect"))),
    ),
    Case(
        "weights in channels_last",
        "the gradient of each image is its own",
        private(lambda: Net(conv(), nn.ReLU(), nn.Conv2d(4, 4, 3)).to(memory_format=torch.channels_last)),
    ),
    Case("a layer under two names", "the gradient of each image is its own", private(twice)),
    Case("a weight used past its layer", "refused; outside its own layer", private(lambda: Net(conv(), Borrowed()))),
    Case("a layer with a second input", "refused; several inputs", private(lambda: Net(conv(), Gated()))),
    Case("frozen batch normalisation", "refused; depends on the other images", private(frozen)),
    Case("one seed on one core and on two", "the same update, byte for byte", one_seed),
)
