"""Run a command and fail if it takes too much work or memory: `measured.py SECONDS GIGABYTES COMMAND...`.

SECONDS are of work on two cores: half the processor time of the command and its children. Wall time is printed beside
it but decides nothing, since it also depends on what else the machine is doing.
"""

import resource
import subprocess
import sys
import time

CORES = 2
limit_s, limit_gb, command = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
start_s = time.monotonic()
code = subprocess.run(command, check=False).returncode
wall_s = time.monotonic() - start_s
used = resource.getrusage(resource.RUSAGE_CHILDREN)
work_s = (used.ru_utime + used.ru_stime) / CORES
unit_bytes = 1 if sys.platform == "darwin" else 1024
peak_gb = used.ru_maxrss * unit_bytes / 1e9
print(f"{work_s:.0f} s of {limit_s:g} ({wall_s:.0f} s by the clock), peak {peak_gb:.2f} GB of {limit_gb:g}: ", end="")
print(" ".join(command))
sys.exit(code or int(work_s > limit_s or peak_gb > limit_gb))
