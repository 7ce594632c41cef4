"""The web application over the runs in a folder: `raysweep serve`."""
