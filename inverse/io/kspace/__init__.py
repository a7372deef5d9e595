"""What readers of raw k-space share: the ISMRMRD header, grids and trajectories."""
