"""Options that several commands share, each with its help, and access to what was given."""

from pathlib import Path
from typing import Annotated, Any

import typer

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="[LABEL=]MODEL; repeat to compare. See `ltx2-eval list models`.",
        show_default="the demo's",
    ),
]
SuiteName = Annotated[str, typer.Option("--suite", "-s", help="Embedded suite, or a .jsonl, .csv or .txt of prompts.")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Metric id; repeat. Default: the profile's.")]
Profile = Annotated[
    str, typer.Option(help="Named set of metrics: offline, default, commercial, paper, nano, dsp (list profiles).")
]
RunProfile = Annotated[
    str,
    typer.Option(
        "--profile",
        help="Named set of metrics: offline, default, commercial, paper, nano, dsp (list profiles).",
        show_default="nano for suites of the procedural world, else offline",
    ),
]
ReferenceName = Annotated[
    str,
    typer.Option(
        help="Reference set of FVD, FAD, ...: a folder of clips, world:COUNT, or fma-pop, fadtk's published statistics."
    ),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option(
        "--seed",
        min=0,
        help="Seed; repeat for several per prompt. Noise comes from it and the prompt's id, alike in every system.",
        show_default="0",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N prompts.")]
Size = Annotated[str | None, typer.Option(help="WIDTHxHEIGHT.", show_default="the model's")]
Fps = Annotated[str | None, typer.Option(help="Frames per second, 24 or 30000/1001.", show_default="the model's")]
Frames = Annotated[int | None, typer.Option(min=1, help="Frames per clip.", show_default="from each prompt's duration")]
Container = Annotated[str, typer.Option(help="mp4 (H.264 + AAC, plays in browsers) or mkv (lossless).")]
Baseline = Annotated[str | None, typer.Option(help="System that differences are taken from.", show_default="the first")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Output folder.", show_default="below ./ltx2-eval-runs")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
MaxFailed = Annotated[float, typer.Option(min=0, max=1, help="Share of clips that may fail before the exit code is 1.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Make clips and values again that failed in an earlier try.")
]
KeepLatents = Annotated[
    bool, typer.Option("--keep-latents", help="Also store the latents of new clips, for `gate` to compare.")
]
Runs = Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold run folders.")]
Published = Annotated[
    list[str] | None,
    typer.Option(help="Published figures beside the measured: an id of `list baselines`, a .toml, all, none; repeat."),
]
Media = Annotated[
    str, typer.Option(help="Clips of the page: link (where they lie), copy (into the output), none (a single file).")
]
MediaPrompts = Annotated[
    int | None,
    typer.Option("--media-prompts", min=1, help="Clips of that many prompts only; values of all."),
]
Export = Annotated[
    list[str] | None,
    typer.Option(help="Also write: json, parquet (needs the extra `export`), model-index, badge; repeat."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")]


class Given(dict[str, Any]):
    """The arguments of a command by name, readable as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None
