"""The service: what decides, trains and records. It may use all of raysweep's other packages."""
