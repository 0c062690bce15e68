"""One door in for DICOM, PNG, JPEG, TIFF and NIfTI; one form out."""
