# %% [markdown]
# # A first simulation
#
# Three hospitals train one model together. Their images are made up here, as arrays: the finding is a bright spot.
# With a folder that has one sub-folder of DICOM files for each hospital, write its path in the place of `hospitals`.

# %%
import numpy as np

import wardround


def hospital(seed, patients=40, size=24):
    """Make two images of each patient, and whether the patient has the finding."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(patients), 2)
    finding = of % 2
    images = rng.random((len(of), 1, size, size), np.float32) * 0.6
    for image, ill in zip(images, finding, strict=True):
        y, x = rng.integers(4, size - 8, 2)
        image[0, y : y + 4, x : x + 4] += 0.35 * ill
    return images, finding, [f"patient {number}" for number in of]


hospitals = {"north": hospital(1), "south": hospital(2), "west": hospital(3)}

# %% [markdown]
# A study says what is trained and how. What is not said here is as `wardround study new` writes it.

# %%
study = wardround.Study.new("first", classes=("none", "finding"), image_size=24, network="tiny-cnn", privacy="none")
study = study.but(rounds=8, learning_rate=0.003, secure=False)

# %%
results = wardround.simulate(study, hospitals, out="runs/first", workers=1, progress=False)
results

# %% [markdown]
# Every metric of every model at every hospital, with its 95 % interval. Patients, never images, are split and
# resampled.

# %%
frame = results.to_frame()
frame[frame.metric == "auroc"]

# %% [markdown]
# The pictures of the report are matplotlib figures; `report.html` in the run's folder has all of them.

# %%

results.figures()["hospitals"]
