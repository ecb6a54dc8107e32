"""How cost grows with size: one line per model, as an SVG file of its own."""

import io
from typing import Any

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ltx2-eval",
    "text.parse_math": False,
    "font.size": 10,
}


def scaling_svg(summary: dict[str, Any]) -> str | None:
    """Time, or where nothing was timed FLOPs, over video tokens; and the ratio where there is one.

    Returns:
        The SVG; None where no model has two sizes.
    """
    lines = _lines(summary)
    if not any(len(points) > 1 for points in lines.values()):
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ratios = [(ratio["against_tokens"], ratio["tflop_per_forward"]) for ratio in _with_tokens(summary)]
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(9 if len(ratios) > 1 else 5, 3.6), layout="constrained")
        axes = figure.subplots(1, 2 if len(ratios) > 1 else 1, squeeze=False)[0]
        for name, points in lines.items():
            axes[0].plot(*zip(*sorted(points), strict=True), marker="o", label=_plain(name))
        axes[0].set(xscale="log", yscale="log", xlabel="video tokens", ylabel=_unit(summary))
        axes[0].legend(frameon=False)
        if len(ratios) > 1:
            axes[1].plot(*zip(*sorted(ratios), strict=True), marker="o", linestyle="none")
            axes[1].set(xscale="log", xlabel="video tokens of the slower", ylabel="ratio of FLOPs per forward")
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Title": _plain(summary["title"])})
    return file.getvalue()


def _is_timed(summary: dict[str, Any]) -> bool:
    return any(case["seconds"] is not None for case in summary["cases"])


def _unit(summary: dict[str, Any]) -> str:
    return "seconds (median)" if _is_timed(summary) else "TFLOP per forward"


def _lines(summary: dict[str, Any]) -> dict[str, list[tuple[int, float]]]:
    key = "seconds" if _is_timed(summary) else "tflop_per_forward"
    lines: dict[str, list[tuple[int, float]]] = {}
    for case in summary["cases"]:
        if case["tokens"] is not None and case[key] is not None:
            name = f"{case['model']} {case['dtype']} b{case['batch']}"
            lines.setdefault(name, []).append((case["tokens"]["video"], case[key]))
    return lines


def _with_tokens(summary: dict[str, Any]) -> list[dict[str, Any]]:
    tokens = {case["name"]: case["tokens"]["video"] for case in summary["cases"] if case["tokens"]}
    return [{**ratio, "against_tokens": tokens[ratio["against"]]} for ratio in summary["ratios"]]


def _plain(text: str) -> str:
    """Letters a drawing may show; names of models come from the command line."""
    return "".join(letter for letter in text if letter.isascii() and letter.isprintable())[:80]
