"""Synthetic hospitals: mammograms of nobody, from four different scanners, as DICOM folders with labels."""

from wardround_simulation.phantoms.hospital import CLASSES, MASS, make_hospital, make_hospitals
from wardround_simulation.phantoms.scanner import SCANNERS, Scanner

__all__ = ["CLASSES", "MASS", "SCANNERS", "Scanner", "make_hospital", "make_hospitals"]
