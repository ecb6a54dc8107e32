"""The LaTeX tables, compiled: hostile text is inert, our own signs are there, nothing is wider than the page."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ltx2_reports.comparison import compare
from ltx2_reports.latex import render_latex
from ltx2_reports.published import chosen_baselines
from ltx2_reports.records import read_run
from ltx2_reports.report import Page, write_report

MakeRun = Callable[..., Path]
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,graphicx}
\begin{document}
\input{table.tex}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""
OWN_SIGNS = "★≈↑↓→—…"

needs_latex = pytest.mark.skipif(shutil.which("lualatex") is None, reason="no lualatex on this machine")


def _compiled(folder: Path) -> str:
    """The log of LuaLaTeX without shell escape."""
    (folder / "x.tex").write_text(DOCUMENT)
    command = ["lualatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "x.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "x.log").read_text(errors="replace")
    missing = re.findall(r"Missing character: There is no (.)", log)
    assert not set(missing) & set(OWN_SIGNS)
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide", log)]
    too_high = [float(points) for points in re.findall(r"Overfull \\vbox \(([\d.]+)pt too high", log)]
    assert max(too_wide + too_high, default=0.0) < 20
    return log


@needs_latex
def test_it_compiles_with_every_payload(make_run: MakeRun, tmp_path: Path, hostile: ModuleType) -> None:
    metrics = {f"m{i}": {"spec": {"title": text[:300]}} for i, text in enumerate(hostile.PAYLOADS.values())}
    table = render_latex(compare([read_run(make_run(metrics=metrics))], resamples=50))
    (tmp_path / "table.tex").write_text(table, encoding="utf-8")
    (tmp_path / "x.tex").write_text(DOCUMENT)
    command = ["lualatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "x.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


@needs_latex
def test_wide_tables_fit_and_have_all_signs_and_citations(make_run: MakeRun, tmp_path: Path) -> None:
    ahead = {"m": {"values": lambda i, s: i + 5.0}, **{f"m{k}": {} for k in range(30)}}
    runs = [
        make_run(f"r{place}", system=f"a system of a long name, {place}", prompts=8, metrics=ahead if place else None)
        for place in range(6)
    ]
    baseline = "a system of a long name, 0"
    write_report(runs, tmp_path / "out", baseline=baseline, made=Page(published=chosen_baselines(["all"])))
    log = _compiled(tmp_path / "out")
    assert "Overfull" not in log
    if shutil.which("bibtex") is not None:
        done = subprocess.run(["bibtex", "x"], cwd=tmp_path / "out", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "warning" not in done.stdout.lower()
        assert "HaCohen" in (tmp_path / "out" / "x.bbl").read_text()


def test_marks_and_arrows_are_commands(make_run: MakeRun) -> None:
    values = {"a": 0.0, "b": 5.0, "c": 5.0}
    runs = [
        make_run(n, system=n, prompts=8, metrics={"m": {"values": lambda i, s, v=v: v + i % 3}})
        for n, v in values.items()
    ]
    text = render_latex(compare([read_run(run) for run in runs], resamples=50))
    assert not set(OWN_SIGNS) & set(text)
    assert text.count(r"$\approx$") == 3  # two cells and the legend
    assert r"$\uparrow$" in text
