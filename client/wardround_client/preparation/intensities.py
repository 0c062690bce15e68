"""How bright a hospital's prepared training images are, patient by patient, as sums that may be added up."""

from __future__ import annotations

import numpy as np

from wardround_client.preparation.examples import Examples
from wardround_common.metrics.intensities import Intensities


def intensities_of(examples: Examples) -> Intensities:
    """Sum up each patient's mean and mean square of a pixel by channel; every image of a patient counts alike."""
    means, squares = [], []
    for places in examples.places_by_patient():
        once = places[np.unique(examples.rows[places], return_index=True)[1]]
        own = []
        for place in once.tolist():  # one at a time: volumes differ in size, and all of them would fill the memory
            image = examples.images(np.array([place]))[0].astype(np.float64)  # (channels, *space)
            flat = image.reshape(len(image), -1)
            own.append((flat.mean(axis=1), np.square(flat).mean(axis=1)))
        means.append(np.mean([mean for mean, _ in own], axis=0))
        squares.append(np.mean([square for _, square in own], axis=0))
    return Intensities.of(np.array(means), np.array(squares))
