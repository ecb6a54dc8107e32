"""The passes of a guided step as one batch that parts late: the same as each pass run alone from the start."""

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ltx2 import Pipeline, SamplingSettings
from ltx2.config import NANO
from ltx2.denoise import GuidedDenoiser
from ltx2.guidance import LTX2_DEFAULT, PRESETS, UNGUIDED, Guidance, StreamGuidance, guide
from ltx2.nano import write_untrained
from ltx2.pass_tree import plan_passes
from ltx2.perturbation import plan_blocks
from ltx2.rope import StreamRope, audio_positions, video_positions
from ltx2.sample import Latents
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer, StreamInput
from ltx2.types import AudioLatentShape, VideoLatentShape

LAYERS, VIDEO, AUDIO, SIGMA = 4, VideoLatentShape(1, 64, 3, 3, 5), AudioLatentShape(1, 2, 13, 16), 0.7
NEUTRAL = StreamGuidance(text=1, modality=1)
DEFAULT = replace(LTX2_DEFAULT, stg_blocks=(2,))
GUIDANCES = {
    **PRESETS,
    "ltx2-default": DEFAULT,
    "stg in the first block": replace(DEFAULT, stg_blocks=(0,)),
    "stg in two blocks": replace(DEFAULT, stg_blocks=(3, 1)),
    "stg by skipping": replace(DEFAULT, stg_kind="skip", stg_blocks=(0, 2)),
    "video only": replace(DEFAULT, audio=NEUTRAL),
    "audio only": replace(DEFAULT, video=NEUTRAL),
    "paper convention": replace(DEFAULT, convention="paper"),
    "stg only": Guidance(video=replace(NEUTRAL, stg=1), audio=NEUTRAL, stg_blocks=(3,)),
}


class Case(NamedTuple):
    model: LTX2Transformer
    x: Latents
    text: TextEmbeddings
    video_rope: StreamRope
    audio_rope: StreamRope

    def together(self, guidance: Guidance, batched: bool, masks: tuple[Tensor | None, Tensor | None]) -> Latents:
        ropes = {"video_rope": self.video_rope, "audio_rope": self.audio_rope}
        return GuidedDenoiser(self.model, self.text, **ropes, guidance=guidance, batch_passes=batched, masks=masks)(
            self.x, SIGMA
        )

    def alone(self, guidance: Guidance, masks: tuple[Tensor | None, Tensor | None]) -> Latents:
        """Each pass in full, then guidance; a noise level for each token where there is a mask."""
        predictions = ({}, {})
        for name in guidance.passes:
            row = [int(name == "text")]
            contexts = (self.model.video_context(self.text.video[row]), self.model.audio_context(self.text.audio[row]))
            times = [torch.full((1,), SIGMA) if mask is None else SIGMA * mask for mask in masks]
            plan = plan_blocks([guidance.perturbation(name)], num_layers=LAYERS)
            ropes = (self.video_rope, self.audio_rope)
            velocities = self.model(*map(StreamInput, self.x, times, ropes, contexts), plan)
            for into, tokens, time, velocity in zip(predictions, self.x, times, velocities, strict=True):
                into[name] = tokens - time.reshape(1, -1, 1) * velocity
        weights = (guidance.video_weights, guidance.audio_weights)
        return Latents(*(guide(*pair) for pair in zip(predictions, weights, strict=True)))


@pytest.fixture(scope="module")
def case() -> Case:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    model = LTX2Transformer(replace(NANO.transformer, num_layers=LAYERS)).eval().requires_grad_(False)
    for tensor in model.state_dict().values():
        tensor.copy_(draw(*tensor.shape) / tensor.shape[-1] ** 0.5)
    return Case(
        model,
        Latents(draw(*VIDEO.token_shape), draw(*AUDIO.token_shape)),
        TextEmbeddings(draw(2, 24, 96), draw(2, 24, 96)),
        model.video_rope(video_positions(VIDEO, 24)),
        model.audio_rope(audio_positions(AUDIO, NANO.audio_vae)),
    )


def close(ours: Latents, theirs: Latents) -> None:
    for x, y in zip(ours, theirs, strict=True):
        # Both are float32; guidance multiplies the rounding of the passes, which is below 1e-6, by up to ten.
        assert ((x - y).abs().max() / y.abs().max()).item() <= 5e-6


@pytest.mark.parametrize("batched", [True, False], ids=["together", "one by one"])
@pytest.mark.parametrize("name", GUIDANCES)
def test_equals_separate_passes(case: Case, name: str, batched: bool) -> None:
    neither = (None, None)
    close(case.together(GUIDANCES[name], batched, neither), case.alone(GUIDANCES[name], neither))


def first_frame() -> Tensor:
    mask = torch.ones(1, VIDEO.token_count)
    mask[:, :15], mask[:, 20] = 0, 0.25
    return mask


@pytest.mark.parametrize(
    "masks",
    [
        pytest.param((first_frame(), None), id="pictures"),
        pytest.param((first_frame(), torch.zeros(1, 13)), id="sound given"),
        pytest.param((torch.linspace(0, 1, VIDEO.token_count)[None], torch.linspace(1, 0, 13)[None]), id="all differ"),
    ],
)
def test_equals_separate_passes_with_masks(case: Case, masks: tuple[Tensor | None, Tensor | None]) -> None:
    close(case.together(DEFAULT, True, masks), case.alone(DEFAULT, masks))


def test_guidance_has_an_effect(case: Case) -> None:
    """What the comparisons above tell apart: every term moves the result."""
    neither = (None, None)
    full = case.together(DEFAULT, True, neither)
    for stream in (
        replace(DEFAULT.video, text=1),
        replace(DEFAULT.video, modality=1),
        replace(DEFAULT.video, stg=0),
    ):
        other = case.together(replace(DEFAULT, video=stream), True, neither)
        assert not torch.allclose(other.video, full.video, atol=1e-2)


def test_rows_part_where_passes_begin_to_differ() -> None:
    plan = plan_passes(DEFAULT, num_layers=LAYERS)
    assert plan.video == plan.audio == ("text", "conditional", "stg", "modality")
    first, second, perturbed, last = (block.video for block in plan.blocks)
    assert first.fork_before is None
    assert first.fork_after_self.tolist() == [0, 0]  # the negative prompt's row and the prompt's
    assert first.fork_after_text.tolist() == [0, 1, 1]  # and the isolated one
    assert (first.readers, second.readers, perturbed.readers) == ((1, 1), (1, 2), (1, 3))
    assert perturbed.fork_before.tolist() == [0, 1, 1, 2]
    assert perturbed.passing == slice(2, 3)
    assert perturbed.attending.tolist() == [0, 1, 3]
    assert [block.cross_rows for block in plan.blocks] == [slice(0, 2)] * 2 + [slice(0, 3)] * 2
    assert last.fork_before is last.fork_after_self is last.fork_after_text is None


def test_a_stream_without_modality_guidance_has_no_isolated_row() -> None:
    plan = plan_passes(replace(DEFAULT, video=NEUTRAL), num_layers=LAYERS)
    assert plan.video == ("text", "conditional", "stg")
    assert plan.audio == ("text", "conditional", "stg", "modality")


def test_unknown_stg_block_is_refused() -> None:
    with pytest.raises(ValueError, match="block 29"):
        plan_passes(LTX2_DEFAULT, num_layers=LAYERS)


def test_a_pipeline_compiles_its_blocks_where_it_is_asked_to(tmp_path: Path) -> None:
    """The backend `eager` runs what was traced as it is: the tracing is what is tested, and needs no compiler."""
    folder = write_untrained(tmp_path)
    one = SamplingSettings(steps=1, guidance=UNGUIDED)
    found = []
    for compiled in (False, "eager"):
        pipeline = Pipeline.load(folder, compiled=compiled)
        blocks = pipeline.modules.transformer.transformer_blocks
        assert all((block._compiled_call_impl is not None) is bool(compiled) for block in blocks)
        found.append(pipeline("a ball", seed=0, num_frames=9, height=64, width=64, settings=one))
    assert (found[0].video.int() - found[1].video.int()).abs().max() <= 1
    with pytest.raises(ValueError, match="compiled and offload are both set"):
        Pipeline.load(folder, compiled=True, offload=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(
    os.environ.get("LTX2_EVAL_COMPILE") != "1", reason="compiles C++ for minutes; set LTX2_EVAL_COMPILE=1 to run it"
)
def test_compiled_blocks_give_the_same(case: Case) -> None:
    neither, guidance = (None, None), replace(DEFAULT, stg_blocks=(1,))
    model, compiled = (
        LTX2Transformer(replace(case.model.config, num_layers=2)).eval().requires_grad_(False) for _ in range(2)
    )
    for each in (model, compiled):
        each.load_state_dict({key: case.model.state_dict()[key] for key in each.state_dict()})
    compiled.compile_blocks()
    expected = case._replace(model=model).together(guidance, True, neither)
    found = case._replace(model=compiled).together(guidance, True, neither)
    for x, y in zip(found, expected, strict=True):
        assert ((x - y).abs().max() / y.abs().max()).item() <= 1e-4
