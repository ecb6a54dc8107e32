"""One guided step (prompt, negative prompt, STG, isolated streams): ours against diffusers, same weights, one process.

Paste: OMP_NUM_THREADS=1 python benchmarks/speed/guided_step.py --layers 6 --frames 7 --side 6
diffusers runs its passes as its pipeline does: prompt and negative prompt in one batch, then STG, then isolated.
Both sides are checked to give the same denoised latents. The last line is diffusers' time over ours.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from diffusers import LTX2VideoTransformer3DModel
from torch import Tensor

from ltx2.config import LTX2_19B, TransformerConfig
from ltx2.denoise import GuidedDenoiser
from ltx2.guidance import Guidance, StreamGuidance, guide
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import Latents
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer
from ltx2.types import AudioLatentShape, VideoLatentShape

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
HEADS, WIDTH, AUDIO_WIDTH, CHANNELS, TEXT_WIDTH, TEXT_TOKENS, AUDIO_TOKENS = 8, 64, 32, 64, 128, 64, 51
SIGMA, FPS = 0.7, 24


def our_model(layers: int) -> LTX2Transformer:
    """A transformer of the published shape in small, with random weights."""
    torch.manual_seed(0)
    config = TransformerConfig(
        num_layers=layers,
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH,
        audio_attention_head_dim=AUDIO_WIDTH,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        audio_in_channels=128,
        audio_out_channels=128,
        caption_channels=TEXT_WIDTH,
    )
    model = LTX2Transformer(config).eval().requires_grad_(False)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape) / max(tensor.shape[-1], 1) ** 0.5)
    return model


def their_model(ours: LTX2Transformer, layers: int) -> LTX2VideoTransformer3DModel:
    """diffusers' transformer with the same weights, built so that its STG pass has an effect."""
    theirs = LTX2VideoTransformer3DModel(
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH,
        cross_attention_dim=HEADS * WIDTH,
        audio_num_attention_heads=HEADS,
        audio_attention_head_dim=AUDIO_WIDTH,
        audio_cross_attention_dim=HEADS * AUDIO_WIDTH,
        num_layers=layers,
        caption_channels=TEXT_WIDTH,
        rope_type="split",
        perturbed_attn=True,
    )
    renamed = {".".join(RENAMES.get(p, p) for p in k.split(".")): v for k, v in ours.state_dict().items()}
    theirs.load_state_dict(renamed, strict=True)
    return theirs.eval().requires_grad_(False)


def diffusers_step(
    model: LTX2VideoTransformer3DModel, x: Latents, text: TextEmbeddings, size: tuple[int, int, int], guidance: Guidance
) -> Latents:
    """One step as diffusers' pipeline runs it."""
    frames, height, width = size

    def run(rows: tuple[int, ...], **options: object) -> tuple[Tensor, Tensor]:
        count = len(rows)
        velocity = model(
            hidden_states=x.video.expand(count, -1, -1),
            audio_hidden_states=x.audio.expand(count, -1, -1),
            encoder_hidden_states=text.video[list(rows)],
            audio_encoder_hidden_states=text.audio[list(rows)],
            timestep=torch.full((count,), SIGMA * 1000),
            audio_timestep=torch.full((count,), SIGMA * 1000),
            num_frames=frames,
            height=height,
            width=width,
            fps=float(FPS),
            audio_num_frames=AUDIO_TOKENS,
            use_cross_timestep=False,
            return_dict=False,
            **options,
        )
        return x.video - SIGMA * velocity[0], x.audio - SIGMA * velocity[1]

    both = run((0, 1))
    stg = run((0,), spatio_temporal_guidance_blocks=list(guidance.stg_blocks))
    isolated = run((0,), isolate_modalities=True)
    parts = (
        {"conditional": both[i][:1], "text": both[i][1:], "stg": stg[i], "modality": isolated[i]} for i in range(2)
    )
    weights = (guidance.video_weights, guidance.audio_weights)
    return Latents(*(guide(part, weight) for part, weight in zip(parts, weights, strict=True)))


def timed(step: Callable[[], Latents]) -> tuple[Latents, float]:
    """Result and seconds of one call."""
    began = time.perf_counter()
    return step(), time.perf_counter() - began


@torch.inference_mode()
def main() -> None:
    """Measure both in turn, check that they agree, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--frames", type=int, default=7, help="latent frames")
    parser.add_argument("--side", type=int, default=6, help="latent height and width")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    model = our_model(given.layers)
    peer = their_model(model, given.layers)
    stream = StreamGuidance(text=3, modality=3, stg=1, rescale=0.7)
    guidance = Guidance(video=stream, audio=stream, stg_blocks=(given.layers // 2,))
    video_shape = VideoLatentShape(1, CHANNELS, given.frames, given.side, given.side)
    audio_shape = AudioLatentShape(1, 8, AUDIO_TOKENS, 16)
    x = Latents(torch.randn(video_shape.token_shape), torch.randn(audio_shape.token_shape))
    text = TextEmbeddings(*torch.randn(2, 2, TEXT_TOKENS, TEXT_WIDTH))
    denoiser = GuidedDenoiser(
        model,
        text,
        video_rope=model.video_rope(video_positions(video_shape, FPS)),
        audio_rope=model.audio_rope(audio_positions(audio_shape, LTX2_19B.audio_vae)),
        guidance=guidance,
    )
    size = (given.frames, given.side, given.side)
    steps = {
        "ours": lambda: denoiser(x, SIGMA),
        "diffusers": lambda: diffusers_step(peer, x, text, size, guidance),
    }
    results = {name: step() for name, step in steps.items()}  # also warms both up
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(given.repeats):
        for name, step in steps.items():
            seconds[name].append(timed(step)[1])
    difference = max(
        float(((a - b).abs() / b.abs().clamp(min=1)).max())
        for a, b in zip(results["ours"], results["diffusers"], strict=True)
    )
    if difference > 1e-4:
        raise SystemExit(f"the two disagree by {difference:.1e}: nothing was compared")
    print(
        f"{given.layers} layers, {video_shape.token_count} + {AUDIO_TOKENS} tokens, {torch.get_num_threads()} threads"
    )
    print(f"{'':12}{'median s':>10}{'spread s':>10}")
    for name, taken in seconds.items():
        print(f"{name:12}{statistics.median(taken):10.4f}{max(taken) - min(taken):10.4f}")
    print(f"largest relative difference {difference:.1e}")
    print(f"ratio: {statistics.median(seconds['diffusers']) / statistics.median(seconds['ours']):.2f}")


if __name__ == "__main__":
    main()
