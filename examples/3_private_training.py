# %% [markdown]
# # Private training, and what epsilon costs
#
# With `privacy="dp-sgd"` each hospital clips what a patient contributes and adds noise. Before anything is trained,
# `plan` says how much noise an epsilon needs at hospitals of given sizes, and how much signal is left.

# %%
import numpy as np

import wardround


def hospital(seed, patients=120, size=16):
    """Make an image of each patient; the finding is a bright corner."""
    rng = np.random.default_rng(seed)
    finding = np.arange(patients) % 2
    images = rng.random((patients, 1, size, size), np.float32) * 0.7
    images[finding == 1, :, :8, :8] += 0.25
    return images, finding, [f"patient {number}" for number in range(patients)]


hospitals = {"north": hospital(1), "south": hospital(2), "west": hospital(3)}
study = wardround.Study.new("private", classes=("none", "finding"), image_size=16, network="wavelets", rounds=10)
study = study.but(delta=1e-3, secure=False)

# %%
for epsilon in (0.5, 2.0, 8.0):
    planned = wardround.plan(study.but(epsilon=epsilon), [72, 72, 72])
    spend = planned.plan.local[0]
    print(f"epsilon {epsilon}: noise {spend.noise_multiplier:.2f}, signal to noise {spend.signal_to_noise:.2f} a step")

# %% [markdown]
# What that means for the model: one run for each epsilon, and one without privacy. A sweep says what each of these
# runs would cost real patients; here they are made up.

# %%
swept = wardround.sweep(
    study, hospitals, {"privacy.epsilon": [0.5, 2.0, 8.0]}, seeds=[0], out="runs/epsilons", workers=1, progress=False
)
swept.to_frame()[["privacy.epsilon", "mean", "epsilon"]]

# %%
open_study = wardround.Study.new(
    "open", classes=("none", "finding"), image_size=16, network="wavelets", rounds=10, privacy="none", secure=False
)
without = wardround.simulate(open_study, hospitals, out="runs/open", workers=1, baselines=False, progress=False)
without.value()

# %% [markdown]
# The noise of a simulation is made from the seed, so that a run can be repeated: epsilon says what the study would
# cost at hospitals that draw secret noise, and this model protects nobody.

# %%
finest = wardround.Results.read(swept.folder / "runs" / swept.to_frame().run.iloc[-1])
print(*finest.notes, sep="\n")
