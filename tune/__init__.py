"""The service: what decides, trains and tells. It needs all of raysweep's other packages."""

import raysweep  # noqa: F401  # from now on they are found in this folder
