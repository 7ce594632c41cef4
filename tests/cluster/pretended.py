"""Programs that pretend to be Ray and raysweep on a real Slurm, and take no time.

With them a job does all that it does with Slurm: signals, requeues, lost and added nodes. Their
session writes a line for each epoch of 0.2 s, and ends like one of raysweep.
"""

from __future__ import annotations

import sys
from pathlib import Path

RAY = r"""#!/bin/bash
echo "$SLURMD_NODENAME ${1} $2" >> "$state/said"
words=$*
case $words in *--head*)
    port=${words#*--port=}
    exec python -c "
import socket, time
listening = socket.create_server(('', ${port%% *}))
time.sleep(9999)" "$words" ;;
esac
exec -a "raylet $words" sleep 9999
"""
RAYSWEEP = r"""#!/bin/bash
echo "$SLURMD_NODENAME $1" >> "$state/said"
if [ "$1" = drain-node ]; then exit 0; fi
ending=no
trap 'ending=yes' TERM
touch "$state/epochs"
while [ "$(wc -l < "$state/epochs")" -lt "$EPOCHS" ]; do
    sleep 0.2 &
    while kill -0 $! 2> /dev/null; do wait $!; done
    echo "$SLURM_JOB_ID ${SLURM_RESTART_COUNT:-0}" >> "$state/epochs"
    if [ "$ending" = yes ]; then echo "ended by a signal" >> "$state/said"; exit 4; fi
done
"""


def write(folder: Path) -> None:
    """Write them where a job looks for its environment."""
    (folder / "bin").mkdir(parents=True)
    for name, text in {"ray": RAY, "raysweep": RAYSWEEP}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "bin/python").symlink_to(f"{sys.base_prefix}/bin/python3")
