"""Which models there are, by name."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ltx2_benchmarks.nearest import unknown
from ltx2_benchmarks.suite import Suite
from ltx2_eval.media import Container
from ltx2_eval.models.base import Model
from ltx2_eval.models.settings import ModelName, parse_model

ENTRY_POINTS = "ltx2_eval.models"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelKind:
    """A way to name a model."""

    usage: str
    """How it is written on the command line."""
    title: str
    load: Callable[[ModelName, "ModelContext"], Model]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelContext:
    """What loading a model may need besides its name."""

    device: str
    suite: Suite
    container: Container
    seeds: tuple[int, ...] = (0,)
    """All seeds of the run: a model with one clip per prompt can answer only one."""


def _ltx2(name: ModelName, context: ModelContext) -> Model:
    from ltx2_eval.models.ltx2 import LTX2Model

    return LTX2Model(name.target, device=context.device)


def _diffusers(name: ModelName, context: ModelContext) -> Model:
    from ltx2_eval.models.diffusers import DiffusersModel

    return DiffusersModel(_target(name), device=context.device)


def _folder(name: ModelName, context: ModelContext) -> Model:
    from ltx2_eval.models.folder import FolderModel

    return FolderModel(Path(_target(name)).expanduser(), context.seeds)


def _command(name: ModelName, context: ModelContext) -> Model:
    from ltx2_eval.models.command import CommandModel

    return CommandModel(_target(name))


def _world(name: ModelName, context: ModelContext) -> Model:
    from ltx2_eval.models.folder import FolderModel
    from ltx2_eval.world import rendered_suite

    if len(context.seeds) > 1:
        raise ValueError(
            f"world has one clip per prompt, the run {len(context.seeds)} seeds: give one --seed, or name the models "
            "without world"
        )
    return FolderModel(rendered_suite(context.suite, context.container), noise="none")


KINDS: dict[str, ModelKind] = {
    "ltx2": ModelKind(
        usage="ltx2 | ltx2:nano | ltx2:nano-untrained | ltx2:FILE.safetensors [@pipeline=NAME,steps=N,...]",
        title="LTX-2, our implementation; without a target the bundled nano model",
        load=_ltx2,
    ),
    "diffusers": ModelKind(
        usage="diffusers:FOLDER | diffusers:ORGANISATION/NAME [@arguments=FILE.toml,dtype=NAME,...]",
        title="any text-to-video pipeline of diffusers, with its sound (extra 'diffusers'; nothing is fetched)",
        load=_diffusers,
    ),
    "folder": ModelKind(
        usage="folder:PATH", title="clips made elsewhere, matched by file name or prompts.jsonl", load=_folder
    ),
    "command": ModelKind(
        usage="command:LINE", title="any program; {prompt}, {seed}, {output}, ... are filled in", load=_command
    ),
    "world": ModelKind(
        usage="world", title="the procedural world's own rendering of a suite with scenes (the ceiling)", load=_world
    ),
}


def load_model(text: str, context: ModelContext) -> tuple[ModelName, Model]:
    """Load a model by its name.

    Raises:
        ValueError: unknown kind (the nearest is suggested), or a target that cannot be used.
    """
    name = parse_model(text)
    if name.kind in KINDS:
        return name, KINDS[name.kind].load(name, context)
    others = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if name.kind not in others:
        raise ValueError(unknown("model", name.kind, [*KINDS, *others]))
    return name, others[name.kind].load()(name, context)


def plugins() -> dict[str, str]:
    """Models of other packages: name to where it comes from."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def _target(name: ModelName) -> str:
    if not name.target:
        raise ValueError(f"model {name.given!r} lacks its target; write {KINDS[name.kind].usage}")
    return name.target
