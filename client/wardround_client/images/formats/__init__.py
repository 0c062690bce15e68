"""The image formats other than DICOM, one file each (``contract``)."""
