"""The formats beside DICOM that hospitals keep images in, one file each (``contract``)."""
