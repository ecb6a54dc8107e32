"""Closed-form FLOPs against PyTorch's counter on the meta device, and against figures worked out elsewhere."""

from fractions import Fraction

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ltx2.config import LTX2_19B, NANO, LTX2Config
from ltx2.denoise import GuidedDenoiser
from ltx2.flops import TokenCounts, TransformerFlops, Work, total
from ltx2.guidance import LTX2_DEFAULT, PRESETS, TEXT_AND_MODALITY, UNGUIDED, Guidance, StreamGuidance
from ltx2.perturbation import Perturbation, plan_blocks
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import Latents
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer, StreamInput
from ltx2.types import AudioLatentShape, VideoLatentShape

SMALL = VideoLatentShape(1, 64, 3, 4, 5)
STG = StreamGuidance(text=3, modality=3, stg=1, rescale=0.7)


def meta(config: LTX2Config) -> LTX2Transformer:
    with torch.device("meta"):
        return LTX2Transformer(config.transformer)


def ropes(model: LTX2Transformer, config: LTX2Config, video: VideoLatentShape, audio: int):
    shape = AudioLatentShape(1, config.audio_vae.latent_channels, audio, config.audio_vae.latent_mel_bins)
    return (
        model.video_rope(video_positions(video, Fraction(24), "meta")),
        model.audio_rope(audio_positions(shape, config.audio_vae, "meta")),
    )


def counted(config: LTX2Config, video: VideoLatentShape, audio: int, perturbation=None, per_token=False):
    """Context and forward of one pass, as PyTorch counts them."""
    model = meta(config)
    width, text = config.transformer.caption_channels, config.text.max_tokens
    tokens = (
        torch.empty(1, video.token_count, config.transformer.in_channels, device="meta"),
        torch.empty(1, audio, config.transformer.audio_in_channels, device="meta"),
    )
    times = [torch.empty(1, x.shape[1] if per_token else 1, device="meta") for x in tokens]
    with FlopCounterMode(display=False) as context_counter:
        embeddings = torch.empty(1, text, width, device="meta")
        contexts = (model.video_context(embeddings), model.audio_context(embeddings))
    inputs = [
        StreamInput(*parts) for parts in zip(tokens, times, ropes(model, config, video, audio), contexts, strict=True)
    ]
    plan = perturbation and plan_blocks([perturbation], num_layers=config.transformer.num_layers, device="cpu")
    with FlopCounterMode(display=False) as counter:
        model(*inputs, plan)
    return context_counter.get_total_flops(), counter.get_total_flops()


@pytest.mark.parametrize("config", [NANO, LTX2_19B], ids=["nano", "19b"])
def test_a_forward_is_what_the_counter_counts(config: LTX2Config) -> None:
    flops = TransformerFlops(config.transformer, TokenCounts(video=60, audio=26, text=config.text.max_tokens))
    context, step = counted(config, SMALL._replace(channels=config.video_vae.latent_channels), 26)
    assert total(flops.text_context()).total == context
    assert total(flops.step()).total == step
    assert total(flops.forward()).total == context + step


@pytest.mark.parametrize(
    "perturbation",
    [
        Perturbation(isolate=True),
        Perturbation(video_blocks=(1, 2), audio_blocks=(2,), stg_kind="skip"),
        Perturbation(video_blocks=(1, 2), audio_blocks=(2,)),
    ],
    ids=["isolated", "skipped", "passed through"],
)
def test_a_perturbed_pass_is_what_the_counter_counts(perturbation: Perturbation) -> None:
    flops = TransformerFlops(NANO.transformer, TokenCounts(video=60, audio=26, text=NANO.text.max_tokens))
    assert total(flops.step(perturbation)).total == counted(NANO, SMALL, 26, perturbation)[1]


def test_a_noise_level_per_token_is_what_the_counter_counts() -> None:
    tokens = TokenCounts(video=60, audio=26, text=NANO.text.max_tokens)
    flops = TransformerFlops(NANO.transformer, tokens, timesteps_per_token=True)
    assert total(flops.step()).total == counted(NANO, SMALL, 26, per_token=True)[1]


@pytest.mark.parametrize(
    ("video", "audio", "tflop"),
    [
        (3520, 126, 108.8),
        (6144, 126, 198.8),
        (8160, 126, 275.2),
        (14080, 126, 536.7),
        (14720, 126, 568.3),
        (24576, 126, 1135.8),
        (32640, 126, 1713.7),
        (53680, 501, 3722),
        (130560, 126, 16893),
    ],
)
def test_published_sizes(video: int, audio: int, tflop: float) -> None:
    parts = TransformerFlops(LTX2_19B.transformer, TokenCounts(video=video, audio=audio)).forward()
    assert total(parts).total / 1e12 == pytest.approx(tflop, rel=5e-4)


def test_the_parts_of_720p() -> None:
    parts = TransformerFlops(LTX2_19B.transformer, TokenCounts(video=14080, audio=126)).forward()
    whole = total(parts)
    assert whole.attention / 1e12 == pytest.approx(168.7, abs=0.1)
    assert parts["video_self"].attention / 1e12 == pytest.approx(155.9, abs=0.1)
    crossing = parts["audio_to_video"].total + parts["video_to_audio"].total
    assert crossing / whole.total == pytest.approx(0.0875, abs=0.0005)


def test_a_block_by_hand() -> None:
    """4 blocks; 2 video, 3 audio, 5 text tokens; 4 heads of 32 and of 24: widths 128 and 96."""
    parts = TransformerFlops(NANO.transformer, TokenCounts(video=2, audio=3, text=5)).step()
    moved = 4 * 2 * (128 + 128) + 2 * (2 + 2) * 128
    assert parts["video_self"] == Work(4 * 2 * 2 * 4 * 128 * 128, 4 * 2 * (2 * 2 * 2 * 128), 4 * moved)
    assert parts["audio_text"][:2] == (4 * 2 * 3 * 2 * 96 * 96, 4 * 2 * (2 * 3 * 5 * 96))
    assert parts["video_to_audio"].attention == 4 * 2 * (2 * 2 * 3 * 96)


def guided(guidance: Guidance, *, batched: bool) -> int:
    model = meta(NANO)
    text = torch.empty(2, NANO.text.max_tokens, 96, device="meta")
    video_rope, audio_rope = ropes(model, NANO, SMALL, 26)
    denoiser = GuidedDenoiser(
        model,
        TextEmbeddings(text, text),
        video_rope=video_rope,
        audio_rope=audio_rope,
        guidance=guidance,
        batch_passes=batched,
    )
    x = Latents(torch.empty(1, 60, 64, device="meta"), torch.empty(1, 26, 32, device="meta"))
    with FlopCounterMode(display=False) as counter:
        denoiser(x, 0.7)
    return counter.get_total_flops()


NEUTRAL = StreamGuidance(text=1, modality=1)
GUIDANCES = {
    "unguided": UNGUIDED,
    "release": PRESETS["release"],
    "text and modality": TEXT_AND_MODALITY,
    "all four": Guidance(video=STG, audio=STG, stg_blocks=(3,)),
    "skipping": Guidance(video=STG, audio=STG, stg_blocks=(3, 1), stg_kind="skip"),
    "video only": Guidance(video=STG, audio=NEUTRAL, stg_blocks=(1,)),
    "audio only": Guidance(video=NEUTRAL, audio=STG, stg_blocks=(0,)),
}


@pytest.mark.parametrize("batched", [True, False], ids=["together", "one by one"])
@pytest.mark.parametrize("name", GUIDANCES)
def test_a_guided_step_is_what_the_denoiser_does(name: str, batched: bool) -> None:
    flops = TransformerFlops(NANO.transformer, TokenCounts(video=60, audio=26, text=NANO.text.max_tokens))
    assert total(flops.guided_step(GUIDANCES[name])).total == guided(GUIDANCES[name], batched=batched)


def test_passes_of_the_default_guidance() -> None:
    """Four passes: the isolated one leaves out both cross-attentions, the perturbed one its 29 first blocks of 48."""
    flops = TransformerFlops(LTX2_19B.transformer, TokenCounts(video=6144, audio=126))
    one = total(flops.step()).total
    separate = total(flops.separate_passes(LTX2_DEFAULT)).total / one
    shared = total(flops.guided_step(LTX2_DEFAULT)).total / one
    assert 3.85 < separate < 3.9
    assert shared == pytest.approx(3.267, abs=0.001)


def test_one_pass_shares_nothing() -> None:
    flops = TransformerFlops(NANO.transformer, TokenCounts(video=60, audio=26))
    assert flops.guided_step(UNGUIDED) == flops.separate_passes(UNGUIDED)
