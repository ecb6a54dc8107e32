"""The check of work and memory that guards the demo notices both, and hands on a failure."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci/measured.py"


@pytest.mark.parametrize(
    ("limits", "code", "expected"),
    [
        (("60", "2"), "pass", 0),
        (("0.2", "2"), "import time\nwhile time.process_time() < 0.8: pass", 1),
        (("0.4", "2"), "import time; time.sleep(0.6)", 0),
        (("60", "0.2"), "b'x' * 400_000_000", 1),
        (("60", "2"), "raise SystemExit(3)", 3),
    ],
)
def test_too_long_too_large_or_failed(limits, code, expected):
    command = [sys.executable, str(SCRIPT), *limits, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout
    assert f"s of {limits[0]} (" in done.stdout
