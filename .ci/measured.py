"""Run a command and fail if it takes too long or too much memory: `measured.py SECONDS GIGABYTES COMMAND...`."""

import resource
import subprocess
import sys
import time

limit_s, limit_gb, command = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
start_s = time.monotonic()
code = subprocess.run(command, check=False).returncode
wall_s = time.monotonic() - start_s
unit_bytes = 1 if sys.platform == "darwin" else 1024
peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit_bytes / 1e9
print(f"{wall_s:.0f} s of {limit_s:g}, peak {peak_gb:.2f} GB of {limit_gb:g}: {' '.join(command)}")
sys.exit(code or int(wall_s > limit_s or peak_gb > limit_gb))
