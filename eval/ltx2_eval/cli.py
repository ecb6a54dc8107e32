"""The `ltx2-eval` command. Parsing and printing only; every command imports what it needs when it runs.

ltx2-eval run                          # the embedded model, suite and metrics: table and report
ltx2-eval score ./my-clips             # metrics for any folder of clips
"""

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from ltx2_eval.commands import options

app = typer.Typer(
    name="ltx2-eval",
    help="Evaluate and benchmark text-to-audio+video generation, with the LTX-2 model built in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
weights_app = typer.Typer(help="Pretrained weights: fetch, verify, show.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(weights_app, name="weights")


class _GateGroup(typer.core.TyperGroup):
    """`gate RUN ...` means `gate check RUN ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        rest: list[str] = super().parse_args(ctx, args if named or not args else ["check", *args])
        return rest


gate_app = typer.Typer(
    cls=_GateGroup,
    help="Judge a run against a baseline, for continuous integration: `gate RUN --against BASE --policy FILE`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(gate_app, name="gate")


@app.command(epilog="Example: ltx2-eval run --model ltx2:nano --model mine=folder:clips --suite world --out runs/first")
def run(
    model: options.Models = None,
    suite: options.SuiteName = "world",
    metric: options.Metrics = None,
    profile: options.RunProfile = "",
    reference: options.ReferenceName = "world:24",
    seed: options.Seeds = None,
    limit: options.Limit = None,
    size: options.Size = None,
    fps: options.Fps = None,
    frames: options.Frames = None,
    container: options.Container = "mp4",
    baseline: options.Baseline = None,
    out: options.Out = None,
    device: options.Device = "cpu",
    max_failed: options.MaxFailed = 0.0,
    retry_failed: options.RetryFailed = False,
    keep_latents: options.KeepLatents = False,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch missing weights of the chosen metrics first.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Generate, score and report in one go; without arguments, the embedded default.

    Without --model, compares the bundled nano model with and without guidance, and the procedural world itself.
    Running the same command again resumes, or prints the table again.
    """
    from ltx2_eval.commands.run import run_command

    run_command(_given(locals()))


@app.command(
    epilog="Example: ltx2-eval generate --model ltx2:nano@steps=20 --suite smoke --seed 0 --seed 1 --out runs/smoke"
)
def generate(
    model: options.Models = None,
    suite: options.SuiteName = "world",
    seed: options.Seeds = None,
    limit: options.Limit = None,
    size: options.Size = None,
    fps: options.Fps = None,
    frames: options.Frames = None,
    container: options.Container = "mp4",
    out: options.Out = None,
    device: options.Device = "cpu",
    max_failed: options.MaxFailed = 0.0,
    retry_failed: options.RetryFailed = False,
    keep_latents: options.KeepLatents = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Make the clips of a suite; each model gets a run folder below --out."""
    from ltx2_eval.commands.run import generate_command

    generate_command(_given(locals()))


@app.command(epilog="Example: ltx2-eval score ./clips --reference ./real-clips --out runs/scored")
def score(
    target: Annotated[
        Path, typer.Argument(help="A run folder, or any folder of clips (prompts.jsonl or .csv beside).")
    ],
    metric: options.Metrics = None,
    profile: options.Profile = "offline",
    reference: options.ReferenceName = "",
    system: Annotated[str, typer.Option(help="Label in tables; default: the folder's name.")] = "",
    out: options.Out = None,
    device: options.Device = "cpu",
    max_failed: options.MaxFailed = 0.0,
    retry_failed: options.RetryFailed = False,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch missing weights of the chosen metrics first.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Compute metrics for a run or a folder of clips; a bad clip is a record with a reason."""
    from ltx2_eval.commands.score import score_command

    score_command(_given(locals()))


@app.command(epilog="Example: ltx2-eval validate ./clips --profile offline --reference ./real-clips --out validation")
def validate(
    target: Annotated[
        str, typer.Argument(help="A folder of clips, a run folder, or world:COUNT (the procedural world, in memory).")
    ] = "world:32",
    metric: options.Metrics = None,
    profile: options.Profile = "dsp",
    reference: options.ReferenceName = "",
    out: options.Out = None,
    device: options.Device = "cpu",
    pull: Annotated[bool, typer.Option("--pull", help="Fetch missing weights of the chosen metrics first.")] = False,
    brief: Annotated[
        bool,
        typer.Option("--brief", help="Only what a verdict needs, for slow networks: few levels, no courses shown."),
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Degrade clips by known amounts and say which metrics may gate: they see what they must and nothing else.

    Without arguments: 32 clips of the procedural world and the metrics that need no weights.
    """
    from ltx2_eval.commands.validate import validate_command

    validate_command(_given(locals()))


@app.command(epilog="Example: ltx2-eval report runs/first/nano runs/first/world --out report")
def report(
    runs: options.Runs,
    out: Annotated[Path, typer.Option(help="Folder for report.html and table.md, .csv, .tex.")] = Path("report"),
    baseline: options.Baseline = None,
    strict: Annotated[
        bool, typer.Option(help="Refuse values of different protocols instead of splitting columns.")
    ] = False,
    published: options.Published = None,
    media: options.Media = "link",
    media_prompts: options.MediaPrompts = None,
    export: options.Export = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write the comparison table and the HTML report of one or more runs."""
    from ltx2_eval.commands.report import report_command

    report_command(_given(locals()))


@app.command(epilog="Example: ltx2-eval leaderboard runs/demo --published all --media copy --out board")
def leaderboard(
    runs: options.Runs,
    out: Annotated[Path, typer.Option(help="Folder for index.html, the tables, and media.")] = Path("leaderboard"),
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Leaderboard",
    baseline: options.Baseline = None,
    published: options.Published = None,
    media: options.Media = "link",
    media_prompts: options.MediaPrompts = None,
    export: options.Export = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """One page over many runs and published figures: ranking, plots, categories, clips side by side.

    Published figures keep tables of their own; without --published all of them are shown.
    """
    from ltx2_eval.commands.report import leaderboard_command

    leaderboard_command(_given(locals()))


@app.command(epilog="Example: ltx2-eval compare runs/old/nano runs/new/nano --primary fvd --primary av_align")
def compare(
    a: Annotated[Path, typer.Argument(help="Run folder A, the one to compare with.")],
    b: Annotated[Path, typer.Argument(help="Run folder B; differences are B - A.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric id; repeat.", show_default="all that both have")
    ] = None,
    primary: Annotated[
        list[str] | None,
        typer.Option(help="Metric declared to decide; repeat.", show_default="those of `ltx2-eval list metrics`"),
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            help="METRIC=LOSS that would not matter, stated in advance, in its unit (+-LOSS: either way); repeat"
        ),
    ] = None,
    reference: options.ReferenceName = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write compare.md and compare.json here.")
    ] = None,
    device: options.Device = "cpu",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Say how B differs from A, paired by prompt and seed, and how sure that is."""
    from ltx2_eval.commands.compare import compare_command

    compare_command(_given(locals()))


@gate_app.command(
    name="check",
    epilog="Example: ltx2-eval gate check runs/new/nano --against baseline --policy gate.toml --report gate.xml "
    "(`check` may be left out)",
)
def gate_check(
    run: Annotated[Path, typer.Argument(help="Run folder to judge, or a folder of `bench`.")],
    against: Annotated[
        Path | None, typer.Option(help="Run folder of the baseline, its records are enough; or a folder of `bench`.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="What may be lost of which metric: a .toml, see docs/gate.md; not for `bench`.")
    ] = None,
    history: Annotated[
        list[Path] | None, typer.Option(help="Earlier runs on this device, for timings; repeat, or a folder of runs.")
    ] = None,
    validation: Annotated[
        list[Path] | None, typer.Option(help="File of `ltx2-eval validate`; repeat.", show_default="beside the policy")
    ] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="Also write .xml (JUnit), .md, .json or .sarif; repeat.")
    ] = None,
    reference: options.ReferenceName = "",
    device: options.Device = "cpu",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Judge a run against a baseline: exit code 0 passed, 1 regressed, 3 not enough data to decide."""
    from ltx2_eval.commands.gate import check_command

    check_command(_given(locals()))


@gate_app.command(epilog="Example: ltx2-eval gate calibrate runs/a runs/b runs/c --relative 0.05 --out gate.toml")
def calibrate(
    runs: Annotated[list[Path], typer.Argument(help="Repeated runs of one unchanged system, with other seeds.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Policy to write.")] = Path("gate.toml"),
    relative: Annotated[float, typer.Option(min=0, max=1, help="Loss to tolerate, as a share of the baseline.")] = 0.05,
    false_alarm: Annotated[
        float, typer.Option(min=1e-6, max=0.49, help="Chance that an unchanged system is called regressed.")
    ] = 0.005,
    confidence: Annotated[
        float, typer.Option(min=0.51, max=0.999, help="With which larger losses are ruled out before a pass.")
    ] = 0.975,
    validation: Annotated[
        list[Path] | None, typer.Option(help="File of `ltx2-eval validate`: what it found unfit is left out; repeat.")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Measure how much an unchanged system varies, and write a policy of the metrics that can decide."""
    from ltx2_eval.commands.gate import calibrate_command

    calibrate_command(_given(locals()))


@app.command(epilog="Example: ltx2-eval bench --recipe ltx2-vs-wan22 --device meta")
def bench(
    recipe: Annotated[
        str, typer.Option(help="Embedded recipe (see `ltx2-eval list recipes`), or a .toml of your own.")
    ] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="ltx2:nano, ltx2:19b, ltx2:FILE or wan22:a14b; repeat.", show_default="ltx2:nano"
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(help="step (one guided sampling step) or clip (prompt to waveform).", show_default="step"),
    ] = None,
    size: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT; repeat.", show_default="96x96")] = None,
    frames: Annotated[list[int] | None, typer.Option(min=1, help="Frames; repeat.", show_default="49")] = None,
    steps: Annotated[
        list[int] | None, typer.Option(min=1, help="Sampling steps of a clip; repeat.", show_default="20")
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="float32, bfloat16 or float16; repeat.", show_default="float32")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Samples at a time; repeat.", show_default="1")] = None,
    weights: Annotated[
        str | None, typer.Option(help="random or checkpoint; checks what the model's name implies.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:N, or meta: estimates without running anything.")
    ] = "cpu",
    gpu: Annotated[
        str | None,
        typer.Option(help="GPU of the estimate, by data sheet: h100-sxm, ...", show_default="the recipe's, else none"),
    ] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Untimed calls at least.", show_default="3")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Timed calls.", show_default="10, paired 40")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="No call of a case begins after this.", show_default="600")
    ] = None,
    session_seconds: Annotated[
        float | None, typer.Option(min=1, help="No case begins that cannot be timed in what is left of this.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another model, timed in turn with --model; exit 1: slower, 3: undecided.")
    ] = None,
    price_per_gpu_hour: Annotated[
        float | None, typer.Option(min=0, help="Of the device, in your currency: adds the cost of a clip.")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="Run folder whose metrics stand beside the cost; repeat.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for bench.jsonl (appended to), .json, .csv, .md, a plot.")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Measure speed, memory and energy, with a verdict on every timing; or estimate them from the sizes.

    Random weights unless the model is a checkpoint: speed does not depend on the values.
    """
    from ltx2_eval.commands.bench import bench_command

    bench_command(_given(locals()))


@app.command(name="list", epilog="Example: ltx2-eval list metrics")
def list_(
    what: Annotated[
        str,
        typer.Argument(
            help="models, settings, suites, metrics, extractors, profiles, weights, baselines, recipes, gpus; "
            "default: all."
        ),
    ] = "all",
    check: Annotated[
        Path | None,
        typer.Option(help="With baselines: check a .toml of your own beside the embedded; exit code 1 if wrong."),
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what there is."""
    from ltx2_eval.commands.inventory import list_command

    list_command(_given(locals()))


@app.command(epilog="Example: ltx2-eval doctor")
def doctor(json: options.Json = False, debug: options.Debug = False) -> None:
    """Check this machine, and say what is missing and the command that mends it."""
    from ltx2_eval.commands.inventory import doctor_command

    doctor_command(_given(locals()))


@weights_app.command(epilog="Example: ltx2-eval weights pull --profile offline")
def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Names, as in `ltx2-eval weights status`.")] = None,
    profile: Annotated[str, typer.Option(help="All weights of a profile, besides those named.")] = "",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Fetch weights, check their hash, and keep them as safetensors in the cache."""
    from ltx2_eval.commands.weights import pull_command

    pull_command(_given(locals()))


@weights_app.command("list", epilog="Example: ltx2-eval weights list --profile offline")
def list_weights(
    profile: Annotated[str, typer.Option(help="Only those that the metrics of a profile need.")] = "",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the weights there are: size, source, licences of weights and code, and the metrics that need them."""
    from ltx2_eval.commands.weights import list_command

    list_command(_given(locals()))


@weights_app.command(epilog="Example: ltx2-eval weights status --json")
def status(json: options.Json = False, debug: options.Debug = False) -> None:
    """Show which weights are here, where each comes from, and its licence."""
    from ltx2_eval.commands.weights import status_command

    status_command(_given(locals()))


@weights_app.command(epilog="Example: ltx2-eval weights verify")
def verify(json: options.Json = False, debug: options.Debug = False) -> None:
    """Read every weight file in the cache again and check its hash."""
    from ltx2_eval.commands.weights import verify_command

    verify_command(_given(locals()))


def _given(arguments: dict[str, Any]) -> options.Given:
    return options.Given(arguments)


def main() -> None:
    """Entry point: errors are one sentence; exit codes 0 done, 1 failed, 2 wrong use, 130 stopped."""
    # Threads that wait by spinning slow each other down many times on a machine that is busy otherwise.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except Stopped:
        _leave("stopped; what was finished is saved, and the same command resumes", 130)
    except ValueError as error:
        _leave(str(error), _code_of(error), error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _leave(f"{where}{error.strerror or error}{_hint(error)}", 1, error)
    except Exception as error:
        _leave(f"{type(error).__name__}: {error} (--debug prints the traceback)", 1, error)


class Stopped(BaseException):
    """Ctrl-C or a request to end. Not a KeyboardInterrupt, which the parser would swallow."""


def _interrupt(*_: object) -> None:
    raise Stopped


def _code_of(error: ValueError) -> int:
    """1 where the machine or a file is at fault, 2 where the command is."""
    from ltx2_eval.extractors.base import NotAvailable
    from ltx2_eval.models.base import DamagedInput
    from ltx2_reports.exports import MissingPackageError
    from ltx2_reports.store import DamagedError

    return 1 if isinstance(error, (DamagedError, NotAvailable, MissingPackageError, DamagedInput)) else 2


def _hint(error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "; what was finished is saved: free some space, and the same command resumes" if full else ""


def _leave(message: str, code: int, error: Exception | None = None) -> None:
    if error is not None and "--debug" in sys.argv:
        raise error
    from ltx2_reports.escape import for_terminal

    print(f"ltx2-eval: {for_terminal(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
