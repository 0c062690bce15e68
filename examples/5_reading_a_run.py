# %% [markdown]
# # Reading a run
#
# A run is a folder. Whoever has it reads all numbers again, compares it with others, and draws what the report draws.

# %%
import numpy as np

import wardround


def hospital(seed, patients=30, size=16):
    """Make an image of each patient; the finding is a bright corner."""
    rng = np.random.default_rng(seed)
    finding = np.arange(patients) % 2
    images = rng.random((patients, 1, size, size), np.float32) * 0.7
    images[finding == 1, :, :8, :8] += 0.25
    return images, finding, [f"patient {number}" for number in range(patients)]


hospitals = {"north": hospital(1), "south": hospital(2), "west": hospital(3)}
for strategy in ("fedavg", "fedprox"):
    more = {"proximal_mu": 0.1} if strategy == "fedprox" else {}
    chosen = wardround.Study.new(
        strategy,
        classes=("none", "finding"),
        image_size=16,
        network="tiny-cnn",
        privacy="none",
        rounds=15,
        learning_rate=0.01,
        augmentations=[],
        secure=False,
        strategy=strategy,
        **more,
    )
    wardround.simulate(chosen, hospitals, out=f"runs/{strategy}", workers=1, baselines=False, progress=False)

# %%
results = wardround.Results.read("runs/fedavg")
results.rounds_to_frame()

# %% [markdown]
# What each hospital had, and how the model does there.

# %%
for one in results.hospitals:
    print(one.name, one.train.patients, "training patients, AUROC", results.value("auroc", site=one.name))

# %%
results.figures()["loss"]

# %% [markdown]
# Two runs side by side: what was set differently, and whether the intervals overlap.

# %%
wardround.compare(["runs/fedavg", "runs/fedprox"])
