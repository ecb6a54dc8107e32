"""The house: which package may import which, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "ltx2": ROOT / "ltx2",
    "ltx2_eval": ROOT / "eval/ltx2_eval",
    "ltx2_benchmarks": ROOT / "benchmarks/ltx2_benchmarks",
    "ltx2_reports": ROOT / "reports/ltx2_reports",
}
MAY_IMPORT = {
    "ltx2": set(),
    "ltx2_benchmarks": set(),
    "ltx2_reports": {"ltx2_benchmarks"},
    "ltx2_eval": {"ltx2", "ltx2_benchmarks", "ltx2_reports"},
}
TEXT_FILES = {".py", ".toml", ".jsonl", ".json", ".md", ".j2", ".css"}


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_between_packages_point_down_only(package):
    sources = sorted(PACKAGES[package].rglob("*.py"))
    assert sources
    for path in sources:
        ours = _imported(path) & set(PACKAGES) - {package}
        assert ours <= MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {ours - MAY_IMPORT[package]}"


@pytest.mark.parametrize("heavy", ["torch", "transformers", "numpy", "scipy", "av"])
def test_the_command_line_starts_without_heavy_imports(heavy):
    code = f"import ltx2_eval.cli, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


MACHINE_PATHS = ("/home/", "/root/", "/work/", "/tmp/", "/Users/", "C:\\\\")


def test_no_absolute_path_of_a_machine_in_the_tree():
    for package in PACKAGES.values():
        for path in (file for file in package.rglob("*") if file.is_file() and file.suffix in TEXT_FILES):
            found = [part for part in MACHINE_PATHS if part in path.read_text(encoding="utf-8")]
            assert not found, f"{path.relative_to(ROOT)}: {found}"
