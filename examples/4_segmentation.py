# %% [markdown]
# # A segmentation
#
# A network outlines a structure in slices. Targets are masks: 0 is background, 1 the first structure.

# %%
import numpy as np

import wardround


def hospital(seed, patients=24, size=32):
    """Make two slices of each patient with a round lesion, and the mask of it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    images, masks, of = [], [], []
    for patient in range(patients):
        radius = rng.uniform(4, 8)
        for _ in range(2):
            y, x = rng.uniform(9, size - 9, 2)
            mask = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            images.append(np.clip(rng.normal(0.3, 0.08, (size, size)) + 0.3 * mask, 0, 1))
            masks.append(mask)
            of.append(f"patient {patient}")
    return np.array(images, np.float32), np.array(masks, np.uint8), of


hospitals = {"north": hospital(1), "south": hospital(2), "west": hospital(3)}

# %%
study = wardround.Study.new(
    "lesions", task="segmentation", classes=("lesion",), image_size=32, network="tiny-unet", series=(), privacy="none"
)
study = study.but(rounds=6, learning_rate=0.01, batch_size=8, augmentations=["flip"], secure=False)
results = wardround.simulate(study, hospitals, out="runs/lesions", workers=1, baselines=False, progress=False)
results

# %% [markdown]
# Figures are of patients. Arrays have no spacing, so that nothing is measured in millimetres; with files of a
# scanner, distances and volumes are there too.

# %%
frame = results.to_frame()
frame[(frame.site == "all") & frame.value.notna()][["metric", "value", "low", "high"]]
