"""One step with all four guidance passes: ours against diffusers 0.42, same weights, one process.

Paste: OMP_NUM_THREADS=1 python benchmarks/speed/model_step.py
       OMP_NUM_THREADS=1 python benchmarks/speed/model_step.py --case mid:7x12x12:1024 --repeats 9
A case is MODEL:FRAMESxHEIGHTxWIDTH:TEXT, sizes in latent cells, text in tokens; the published model has 1024 of them,
the bundled nano 96. diffusers runs its passes as its pipeline does: prompt and negative prompt in one batch with an
attention mask, then STG, then isolated. The two take turns, and who begins alternates. Both must give the same denoised
latents, or nothing is printed.

Seconds are CPU time of the process where one thread is used: on an idle machine that is the time of the clock, on a
shared one it leaves out the waiting; the time of the clock stands beside it. The ratio is diffusers' median over ours.
What ours computes once per generation (keys and values of the text, rotary tables) is `once`, and `40 steps` is the
ratio of forty steps with that in it; what diffusers computes once is not charged to it. `work` is the ratio of
floating-point operations alone, in closed form: what the ratio would be if both ran at the same rate. The last line is
the smallest ratio of the cases.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from diffusers import LTX2VideoTransformer3DModel
from torch import Tensor

from ltx2.config import LTX2_19B, NANO, AudioVAEConfig, TransformerConfig
from ltx2.denoise import GuidedDenoiser
from ltx2.flops import TokenCounts, TransformerFlops, total
from ltx2.guidance import Guidance, StreamGuidance, guide
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import Latents
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer
from ltx2.types import AudioLatentShape, VideoLatentShape, VideoPixelShape

T = TypeVar("T")

RENAMES = {
    "audio_patchify_proj": "audio_proj_in",
    "patchify_proj": "proj_in",
    "av_ca_video_scale_shift_adaln_single": "av_cross_attn_video_scale_shift",
    "av_ca_audio_scale_shift_adaln_single": "av_cross_attn_audio_scale_shift",
    "av_ca_a2v_gate_adaln_single": "av_cross_attn_video_a2v_gate",
    "av_ca_v2a_gate_adaln_single": "av_cross_attn_audio_v2a_gate",
    "audio_adaln_single": "audio_time_embed",
    "adaln_single": "time_embed",
    "scale_shift_table_a2v_ca_video": "video_a2v_cross_attn_scale_shift_table",
    "scale_shift_table_a2v_ca_audio": "audio_a2v_cross_attn_scale_shift_table",
    "q_norm": "norm_q",
    "k_norm": "norm_k",
}
MID = TransformerConfig(
    num_layers=12,
    num_attention_heads=8,
    attention_head_dim=64,
    audio_attention_head_dim=32,
    in_channels=128,
    out_channels=128,
    audio_in_channels=128,
    audio_out_channels=128,
    caption_channels=480,
)
"""An eighth of the published model's widths, a quarter of its blocks."""
MODELS = {"nano": (NANO.transformer, NANO.audio_vae), "mid": (MID, LTX2_19B.audio_vae)}
CASES = (
    "nano:7x3x3:96",
    "nano:7x6x6:1024",
    "nano:13x12x12:1024",
    "mid:7x6x6:1024",
    "mid:7x12x12:256",
    "mid:7x12x12:1024",
)
STG_DEPTH = 29 / 48
"""The default perturbed block of the published model, by its depth."""
SIGMA, FPS, TOLERANCE = 0.7, 24, 1e-4
STEPS = 40


@dataclass(frozen=True)
class Case:
    """Sizes of one comparison."""

    name: str
    config: TransformerConfig
    video: VideoLatentShape
    audio: AudioLatentShape
    text: int

    @classmethod
    def parse(cls, name: str) -> "Case":
        """From `MODEL:FRAMESxHEIGHTxWIDTH:TEXT`."""
        try:
            model, size, text = name.split(":")
            config, vae = MODELS[model]
            frames, height, width = (int(x) for x in size.split("x"))
            if min(frames, height, width, int(text)) < 1:
                raise ValueError
        except (ValueError, KeyError) as error:
            raise argparse.ArgumentTypeError(
                f"{name!r}; expected such as {CASES[0]}; models: {', '.join(MODELS)}"
            ) from error
        pixels = VideoPixelShape(1, 8 * (frames - 1) + 1, 32 * height, 32 * width, FPS)
        return cls(
            name,
            config,
            VideoLatentShape(1, config.in_channels, frames, height, width),
            AudioLatentShape.from_pixel_shape(
                pixels, channels=vae.latent_channels, mel_bins=vae.latent_mel_bins, rate_hz=vae.latent_rate_hz
            ),
            int(text),
        )

    @property
    def audio_vae(self) -> AudioVAEConfig:
        """What gives the audio tokens their positions."""
        return MODELS[self.name.split(":")[0]][1]

    @property
    def guidance(self) -> Guidance:
        """All four passes."""
        stream = StreamGuidance(text=3, modality=3, stg=1, rescale=0.7)
        return Guidance(video=stream, audio=stream, stg_blocks=(int(self.config.num_layers * STG_DEPTH),))

    def work_ratio(self) -> float:
        """diffusers' floating-point operations over ours: it runs each pass in full, the text's part included."""
        tokens = TokenCounts(video=self.video.token_count, audio=self.audio.frames, text=self.text)
        flops = TransformerFlops(self.config, tokens)
        theirs = total(flops.separate_passes(self.guidance)).total + 4 * total(flops.text_context()).total
        return theirs / total(flops.guided_step(self.guidance)).total


class Seconds(NamedTuple):
    """Of one call."""

    cpu: float
    wall: float


class Measured(NamedTuple):
    """Seconds of each repeat."""

    ours: list[Seconds]
    diffusers: list[Seconds]
    once: float
    """Of what ours computes once per generation."""
    difference: float

    @property
    def ratio(self) -> float:
        """diffusers' median over ours."""
        return median(self.diffusers) / median(self.ours)

    @property
    def ratio_of_all(self) -> float:
        """The ratio of a generation's steps, with what ours computes before them."""
        return STEPS * median(self.diffusers) / (STEPS * median(self.ours) + self.once)


def median(seconds: list[Seconds]) -> float:
    """Of the clock that the ratio speaks of: of the process with one thread, of the wall with more."""
    return statistics.median(taken.cpu if torch.get_num_threads() == 1 else taken.wall for taken in seconds)


def our_model(config: TransformerConfig) -> LTX2Transformer:
    """A transformer with random weights that keep activations at their size."""
    torch.manual_seed(0)
    model = LTX2Transformer(config).eval().requires_grad_(False)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape) / max(tensor.shape[-1], 1) ** 0.5)
    return model


def their_model(ours: LTX2Transformer) -> LTX2VideoTransformer3DModel:
    """diffusers' transformer with the same weights, built so that its STG pass has an effect."""
    config = ours.config
    theirs = LTX2VideoTransformer3DModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        num_attention_heads=config.num_attention_heads,
        attention_head_dim=config.attention_head_dim,
        cross_attention_dim=config.width,
        audio_in_channels=config.audio_in_channels,
        audio_out_channels=config.audio_out_channels,
        audio_num_attention_heads=config.num_attention_heads,
        audio_attention_head_dim=config.audio_attention_head_dim,
        audio_cross_attention_dim=config.audio_width,
        num_layers=config.num_layers,
        caption_channels=config.caption_channels,
        rope_type="split",
        perturbed_attn=True,
    )
    renamed = {".".join(RENAMES.get(p, p) for p in k.split(".")): v for k, v in ours.state_dict().items()}
    theirs.load_state_dict(renamed, strict=True)
    return theirs.eval().requires_grad_(False)


def our_step(model: LTX2Transformer, case: Case, x: Latents, text: TextEmbeddings) -> Callable[[], Latents]:
    """One step as our pipeline runs it."""
    denoiser = GuidedDenoiser(
        model,
        text,
        video_rope=model.video_rope(video_positions(case.video, FPS)),
        audio_rope=model.audio_rope(audio_positions(case.audio, case.audio_vae)),
        guidance=case.guidance,
    )
    return lambda: denoiser(x, SIGMA)


def diffusers_step(
    model: LTX2VideoTransformer3DModel, case: Case, x: Latents, text: TextEmbeddings
) -> Callable[[], Latents]:
    """One step as diffusers' pipeline runs it."""
    guidance, shape = case.guidance, case.video
    video_coords = model.rope.prepare_video_coords(
        1, shape.frames, shape.height, shape.width, x.video.device, fps=float(FPS)
    )
    audio_coords = model.audio_rope.prepare_audio_coords(1, case.audio.frames, x.audio.device)
    mask = torch.ones(2, case.text, dtype=torch.long)

    def run(rows: list[int], **options: object) -> tuple[Tensor, Tensor]:
        count = len(rows)
        velocity = model(
            hidden_states=torch.cat([x.video] * count),
            audio_hidden_states=torch.cat([x.audio] * count),
            encoder_hidden_states=text.video[rows],
            audio_encoder_hidden_states=text.audio[rows],
            encoder_attention_mask=mask[rows],
            audio_encoder_attention_mask=mask[rows],
            timestep=torch.full((count,), SIGMA * 1000),
            audio_timestep=torch.full((count,), SIGMA * 1000),
            num_frames=shape.frames,
            height=shape.height,
            width=shape.width,
            fps=float(FPS),
            audio_num_frames=case.audio.frames,
            video_coords=video_coords.repeat(count, 1, 1, 1),
            audio_coords=audio_coords.repeat(count, 1, 1, 1),
            use_cross_timestep=False,
            return_dict=False,
            **options,
        )
        return x.video - SIGMA * velocity[0], x.audio - SIGMA * velocity[1]

    def step() -> Latents:
        both = run([1, 0])
        stg = run([0], spatio_temporal_guidance_blocks=list(guidance.stg_blocks))
        isolated = run([0], isolate_modalities=True)
        parts = (
            {"text": both[i][:1], "conditional": both[i][1:], "stg": stg[i], "modality": isolated[i]} for i in range(2)
        )
        weights = (guidance.video_weights, guidance.audio_weights)
        return Latents(*(guide(part, weight) for part, weight in zip(parts, weights, strict=True)))

    return step


def measure(case: Case, repeats: int) -> Measured:
    """Run both in turn; refuse if they disagree."""
    model = our_model(case.config)
    x = Latents(torch.randn(case.video.token_shape), torch.randn(case.audio.token_shape))
    text = TextEmbeddings(*torch.randn(2, 2, case.text, case.config.caption_channels))
    once: list[Seconds] = []
    for _ in range(3):
        ours = timed(lambda: our_step(model, case, x, text), once)
    theirs = diffusers_step(their_model(model), case, x, text)
    difference = max(float(((a - b).abs() / b.abs().clamp(min=1)).max()) for a, b in zip(ours(), theirs(), strict=True))
    if difference > TOLERANCE:
        raise SystemExit(f"{case.name}: the two disagree by {difference:.1e}: nothing was compared")
    pair: list[tuple[Callable[[], Latents], list[Seconds]]] = [(ours, []), (theirs, [])]
    for repeat in range(repeats):
        for step, taken in pair if repeat % 2 else reversed(pair):
            timed(step, taken)
    return Measured(pair[0][1], pair[1][1], median(once), difference)


def timed(call: Callable[[], T], taken: list[Seconds]) -> T:
    """Run something and note what it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    taken.append(Seconds(time.process_time() - cpu, time.perf_counter() - wall))
    return result


def row(case: Case, measured: Measured) -> str:
    """One line of the table."""
    tokens = f"{case.video.token_count} + {case.audio.frames}"
    cpu = [[taken.cpu for taken in side] for side in (measured.ours, measured.diffusers)]
    wall = [statistics.median(taken.wall for taken in side) for side in (measured.ours, measured.diffusers)]
    columns = "".join(f"{f'{statistics.median(s):.3f} ({max(s) - min(s):.3f})':>18}" for s in cpu)
    return (
        f"{case.name:20}{tokens:>12}{columns}{f'{wall[0]:.2f} {wall[1]:.2f}':>14}{measured.once:7.2f}"
        f"{measured.ratio:7.2f}{measured.ratio_of_all:9.2f}{case.work_ratio():7.2f}{measured.difference:12.1e}"
    )


@torch.inference_mode()
def main() -> None:
    """Measure the cases, print a row for each, then the smallest ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", type=Case.parse, action="append", help="may be given several times; all if not given")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    if given.repeats < 1:
        parser.error(f"--repeats is {given.repeats}; it must be at least 1")
    print(f"{torch.get_num_threads()} threads; CPU seconds: median (spread); wall: medians")
    names = f"{'case':20}{'tokens':>12}{'ours':>18}{'diffusers':>18}{'wall':>14}{'once':>7}"
    print(f"{names}{'ratio':>7}{'40 steps':>9}{'work':>7}{'difference':>12}")
    ratios = []
    for case in given.case or [Case.parse(name) for name in CASES]:
        measured = measure(case, given.repeats)
        ratios.append(measured.ratio)
        print(row(case, measured), flush=True)
    print(f"ratio: {min(ratios):.2f}")


if __name__ == "__main__":
    main()
