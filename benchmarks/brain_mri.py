"""Does federation reach what pooling reaches, and does it beat every hospital alone? MRI of three hospitals.

Run with ``make bench-brain-mri DATA=DIR``, where ``DIR`` holds one folder a hospital with DICOM and ``labels.csv``
(none, tumour). The studies are in ``benchmarks/studies``.
"""

from __future__ import annotations

from cohort import arguments, measure

if __name__ == "__main__":
    measure("brain-mri", arguments("brain-mri"))
