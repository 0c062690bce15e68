# %% [markdown]
# # Your own network
#
# A class or function that makes a `torch.nn.Module` is all that it takes: no file to add, nothing to register.

# %%
import numpy as np
import torch
from torch import nn

import wardround


def hospital(seed, patients=30, size=16):
    """Make an image of each patient; those with the finding have stripes."""
    rng = np.random.default_rng(seed)
    finding = np.arange(patients) % 2
    images = rng.random((patients, 1, size, size), np.float32) * 0.7
    images[finding == 1, :, ::3] += 0.2
    return images, finding, [f"patient {number}" for number in range(patients)]


hospitals = {"north": hospital(1), "south": hospital(2)}


# %%
class Mine(nn.Module):
    """Two convolutions and a mean: the arguments are those that the study knows."""

    def __init__(self, channels, outputs):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()
        )
        self.classes = nn.Linear(16, outputs)

    def forward(self, images):
        return self.classes(self.features(images).mean((2, 3)))


# %%
study = wardround.Study.new("own", classes=("none", "finding"), image_size=16, privacy="none", rounds=6)
study = study.but(min_hospitals=2, secure=False, learning_rate=0.01)
results = wardround.simulate(study, hospitals, network=Mine, out="runs/own", baselines=False, progress=False)
results

# %% [markdown]
# The study names the network with the digest of its source, and says that it is in no registry: no hospital would run
# it.

# %%
results.study.model.network

# %% [markdown]
# In a private study the network is probed on noise before a patient is charged: is the gradient of each image its
# own? Batch normalisation mixes images, and is refused with the reason.


# %%
class Mixing(Mine):
    """Normalises over the batch, so that one patient changes every other patient's gradient."""

    def __init__(self, channels, outputs):
        super().__init__(channels, outputs)
        self.features.insert(1, nn.BatchNorm2d(8))


private = wardround.Study.new("own-private", classes=("none", "finding"), image_size=16, rounds=2, min_hospitals=2)
try:
    wardround.simulate(private, hospitals, network=Mixing, out="runs/mixing", progress=False)
except wardround.WardroundError as error:
    print(error)

# %% [markdown]
# A strategy is a function from the parameters and the mean update to the next parameters; a loss gives one number for
# each record.


# %%
def half(parameters, mean_update):
    """Move by half of the hospitals' mean update."""
    return parameters + 0.5 * mean_update


def focal(outputs, targets):
    """Weigh what is wrong more than what is nearly right (Lin et al., ICCV 2017)."""
    loss = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    return (1 - (-loss).exp()) ** 2 * loss


other = wardround.simulate(
    study, hospitals, network=Mine, strategy=half, loss=focal, out="runs/own-2", baselines=False, progress=False
)
wardround.compare([results.folder, other.folder])
