"""Importing it has this process find raysweep's packages beside it, whatever else has their names.

`tune`, `results` and the others are names that people have themselves. A `results.py` in the current folder, or a folder `tune/`
on the Python path, would come before ours.
"""

from raysweep.names import pin

pin()
