"""The same on two hospitals that could hardly differ more: children's and adults' chest radiographs.

Run with ``make bench-chest-xray DATA=DIR``, where ``DIR`` holds one folder a hospital with DICOM and ``labels.csv``
(normal, pneumonia). Pooling does not beat local training on this pair: it shows how a federation deals with a shift
between sites, not a gain.
"""

from __future__ import annotations

from cohort import arguments, measure

if __name__ == "__main__":
    measure("chest-xray", arguments("chest-xray"))
