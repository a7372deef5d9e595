"""Images of raw k-space placed in the patient: NIfTI volumes and DICOM series."""
