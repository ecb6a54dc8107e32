"""Where a run must prove everything, what is usually skipped fails: weights that cannot be had, an absent browser."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("variable", "module", "reason"),
    [
        ("LTX2_EVAL_REQUIRE_WEIGHTS", "eval/test_soundnet.py", "the package index cannot be reached"),
        ("LTX2_EVAL_REQUIRE_BROWSER", "reports/test_browser.py", "no Chromium on this machine"),
    ],
)
@pytest.mark.parametrize("required", ["1", "0"])
def test_what_is_required_is_not_skipped(tmp_path, variable, module, reason, required):
    """Run those tests with an empty cache, no network and no program but Python."""
    environment = {**os.environ, "LTX2_EVAL_CACHE": str(tmp_path), "LTX2_EVAL_OFFLINE": "1", "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(ROOT / "tests" / module)]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, variable: required}, capture_output=True, text=True, check=False
    )
    assert done.returncode == int(required), done.stdout + done.stderr
    assert reason in done.stdout, done.stdout
    assert ("skipped" in done.stdout) == (required == "0"), done.stdout
