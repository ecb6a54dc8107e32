"""The dual-stream transformer: against diffusers, against golden numbers of the official code, and its invariants."""

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ltx2.config import LTX2_19B, AudioVAEConfig, TransformerConfig
from ltx2.modulation import timestep_features
from ltx2.perturbation import Perturbation, plan_blocks
from ltx2.rope import audio_positions, video_positions
from ltx2.transformer import LTX2Transformer, StreamInput
from ltx2.types import AudioLatentShape, VideoLatentShape

CONFIG = TransformerConfig(
    num_layers=2,
    num_attention_heads=2,
    attention_head_dim=16,
    audio_attention_head_dim=8,
    in_channels=8,
    out_channels=8,
    audio_in_channels=8,
    audio_out_channels=8,
    caption_channels=24,
)
AUDIO = AudioVAEConfig(
    base_channels=16, channel_multipliers=(1, 2, 4), num_res_blocks=2, latent_channels=4, mel_bins=16
)
BATCH, F, H, W, TA, S = 2, 3, 2, 3, 9, 7
SIGMA = torch.tensor([0.7, 0.2])

RENAMES = (
    ("audio_patchify_proj", "audio_proj_in"),
    ("patchify_proj", "proj_in"),
    ("av_ca_video_scale_shift_adaln_single", "av_cross_attn_video_scale_shift"),
    ("av_ca_audio_scale_shift_adaln_single", "av_cross_attn_audio_scale_shift"),
    ("av_ca_a2v_gate_adaln_single", "av_cross_attn_video_a2v_gate"),
    ("av_ca_v2a_gate_adaln_single", "av_cross_attn_audio_v2a_gate"),
    ("audio_adaln_single", "audio_time_embed"),
    ("adaln_single", "time_embed"),
    ("scale_shift_table_a2v_ca_video", "video_a2v_cross_attn_scale_shift_table"),
    ("scale_shift_table_a2v_ca_audio", "audio_a2v_cross_attn_scale_shift_table"),
    ("q_norm", "norm_q"),
    ("k_norm", "norm_k"),
)


def to_diffusers(key: str) -> str:
    renames = dict(RENAMES)
    return ".".join(renames.get(part, part) for part in key.split("."))


class Case(NamedTuple):
    model: LTX2Transformer
    video: StreamInput
    audio: StreamInput
    video_text: Tensor
    audio_text: Tensor


@pytest.fixture(scope="module")
def case(deterministic: ModuleType) -> Case:
    u = deterministic.u
    model = LTX2Transformer(CONFIG).eval().requires_grad_(False)
    model.load_state_dict(deterministic.fill(deterministic.shapes_of(model.state_dict())))
    video_shape = VideoLatentShape(BATCH, 8, F, H, W)
    audio_shape = AudioLatentShape(BATCH, 2, TA, 4)
    video_text, audio_text = (u(i, (BATCH, S, 24)).float() for i in (900003, 900004))
    video = StreamInput(
        u(900001, video_shape.token_shape).float(),
        SIGMA,
        model.video_rope(video_positions(video_shape, 25)),
        model.video_context(video_text),
    )
    audio = StreamInput(
        u(900002, audio_shape.token_shape).float(),
        SIGMA,
        model.audio_rope(audio_positions(audio_shape, AUDIO)),
        model.audio_context(audio_text),
    )
    return Case(model, video, audio, video_text, audio_text)


@pytest.fixture(scope="module")
def peer_model(case: Case, diffusers: ModuleType) -> torch.nn.Module:
    model = diffusers.LTX2VideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        vae_scale_factors=(8, 32, 32),
        pos_embed_max_pos=20,
        base_height=2048,
        base_width=2048,
        audio_in_channels=8,
        audio_out_channels=8,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        audio_scale_factor=4,
        audio_pos_embed_max_pos=20,
        num_layers=2,
        caption_channels=24,
        rope_type="split",
        perturbed_attn=True,
    )
    model.load_state_dict({to_diffusers(k): v for k, v in case.model.state_dict().items()}, strict=True)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def peer(case: Case, peer_model: torch.nn.Module) -> Callable[..., tuple[Tensor, Tensor]]:
    def run(timestep: Tensor, audio_timestep: Tensor, **kwargs: object) -> tuple[Tensor, Tensor]:
        return peer_model(
            hidden_states=case.video.tokens,
            audio_hidden_states=case.audio.tokens,
            encoder_hidden_states=case.video_text,
            audio_encoder_hidden_states=case.audio_text,
            timestep=timestep * 1000,
            audio_timestep=audio_timestep * 1000,
            num_frames=F,
            height=H,
            width=W,
            fps=25.0,
            audio_num_frames=TA,
            use_cross_timestep=False,
            return_dict=False,
            **kwargs,
        )

    return run


def close(ours: Tensor | None, theirs: Tensor | None) -> None:
    assert ours is not None
    assert theirs is not None
    error = ((ours - theirs).abs() / theirs.abs().clamp(min=1)).max().item()
    assert error <= 1e-5


def per_token(count: int, given: int) -> Tensor:
    timestep = SIGMA[:, None].repeat(1, count)
    timestep[:, :given] = 0
    return timestep


@pytest.mark.parametrize(
    ("video_timestep", "audio_timestep"),
    [
        pytest.param(SIGMA, SIGMA, id="per-sample"),
        pytest.param(per_token(F * H * W, 6), SIGMA, id="first-frame-given"),
        pytest.param(per_token(F * H * W, 6), per_token(TA, 4), id="per-token-both"),
    ],
)
def test_equals_diffusers(case: Case, peer, video_timestep, audio_timestep) -> None:
    ours = case.model(
        case.video._replace(timestep=video_timestep),
        case.audio._replace(timestep=audio_timestep),
    )
    for x, y in zip(ours, peer(video_timestep, audio_timestep), strict=True):
        close(x, y)


def test_text_mask_equals_diffusers(case: Case, peer) -> None:
    mask = torch.ones(BATCH, S, dtype=torch.long)
    mask[0, :3] = 0
    ours = case.model(
        case.video._replace(context=case.model.video_context(case.video_text, mask)),
        case.audio._replace(context=case.model.audio_context(case.audio_text, mask)),
    )
    theirs = peer(SIGMA, SIGMA, encoder_attention_mask=mask, audio_encoder_attention_mask=mask)
    for x, y in zip(ours, theirs, strict=True):
        close(x, y)


def test_isolated_and_single_streams_equal_diffusers(case: Case, peer) -> None:
    plan = plan_blocks([Perturbation(isolate=True)] * BATCH, num_layers=2)
    ours = case.model(case.video, case.audio, plan)
    for x, y in zip(ours, peer(SIGMA, SIGMA, isolate_modalities=True), strict=True):
        close(x, y)
    video_alone, nothing = case.model(case.video, None)
    assert nothing is None
    assert torch.equal(video_alone, ours[0])
    assert torch.equal(case.model(None, case.audio)[1], ours[1])


def test_value_stg_equals_diffusers(case: Case, peer) -> None:
    plan = plan_blocks([Perturbation(video_blocks=(1,), audio_blocks=(1,))] * BATCH, num_layers=2)
    ours = case.model(case.video, case.audio, plan)
    for x, y in zip(ours, peer(SIGMA, SIGMA, spatio_temporal_guidance_blocks=[1]), strict=True):
        close(x, y)


@pytest.mark.parametrize(
    ("size", "audio_tokens", "text_tokens", "fps"),
    [((1, 5, 3), 1, 3, 24.0), ((4, 1, 1), 17, 1, 30.0), ((2, 3, 7), 6, 11, 23.976)],
    ids=["image", "thin", "odd"],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_equals_diffusers_at_other_sizes(
    case: Case,
    peer_model: torch.nn.Module,
    deterministic: ModuleType,
    size: tuple[int, int, int],
    audio_tokens: int,
    text_tokens: int,
    fps: float,
    batch: int,
) -> None:
    """All at once: a mask, a noise level for each token, and each perturbation, which diffusers gives all rows."""
    frames, height, width = size
    tokens = frames * height * width
    shape, audio_shape = VideoLatentShape(batch, 8, *size), AudioLatentShape(batch, 2, audio_tokens, 4)
    x, y = (deterministic.u(i, s.token_shape).float() for i, s in ((11, shape), (12, audio_shape)))
    text = deterministic.u(13, (batch, text_tokens, 24)).float()
    mask = torch.ones(batch, text_tokens, dtype=torch.long)
    mask[0, : text_tokens // 2] = 0
    levels = [(deterministic.u(14 + i, (batch, n)).float() / 4 + 0.5) for i, n in enumerate((tokens, audio_tokens))]
    model = case.model
    video = StreamInput(x, levels[0], model.video_rope(video_positions(shape, fps)), model.video_context(text, mask))
    audio = StreamInput(
        y, levels[1], model.audio_rope(audio_positions(audio_shape, AUDIO)), model.audio_context(text, mask)
    )
    for ours, theirs in (
        (Perturbation(), {}),
        (Perturbation(isolate=True), {"isolate_modalities": True}),
        (Perturbation(video_blocks=(0,), audio_blocks=(0,)), {"spatio_temporal_guidance_blocks": [0]}),
    ):
        expected = peer_model(
            hidden_states=x,
            audio_hidden_states=y,
            encoder_hidden_states=text,
            audio_encoder_hidden_states=text,
            encoder_attention_mask=mask,
            audio_encoder_attention_mask=mask,
            timestep=levels[0] * 1000,
            audio_timestep=levels[1] * 1000,
            num_frames=frames,
            height=height,
            width=width,
            fps=fps,
            audio_num_frames=audio_tokens,
            use_cross_timestep=False,
            return_dict=False,
            **theirs,
        )
        for a, b in zip(model(video, audio, plan_blocks([ours] * batch, num_layers=2)), expected, strict=True):
            close(a, b)


@pytest.mark.parametrize(
    ("given", "video_row", "audio_row"),
    [
        (
            0,
            (42.170448, 1.161829, (-2.544051, -1.422418, -1.121431, -1.501241), -0.093935),
            (18.575600, 1.091630, (-0.294836, -0.830581, 0.241198, 1.958495), 1.411092),
        ),
        (
            6,
            (47.125390, 1.186089, (-2.983552, -1.684784, -2.118751, -0.443421), -0.082978),
            (24.934883, 1.048249, (-0.203230, -0.853141, 0.270531, 1.845252), 1.369577),
        ),
    ],
)
def test_official_golden_numbers(case: Case, given, video_row, audio_row) -> None:
    video = case.video._replace(timestep=per_token(F * H * W, given))
    for x, (total, size, head, last) in zip(case.model(video, case.audio), (video_row, audio_row), strict=True):
        assert x.sum().item() == pytest.approx(total, abs=1e-2)
        assert x.abs().mean().item() == pytest.approx(size, abs=1e-4)
        assert x.flatten()[:4].tolist() == pytest.approx(head, abs=1e-4)
        assert x.flatten()[-1].item() == pytest.approx(last, abs=1e-4)


def test_timestep_features() -> None:
    features = timestep_features(torch.tensor([700.0]))[0]
    assert features[:4].tolist() == pytest.approx([-0.839104, -0.461800, -0.988410, 0.172786], abs=1e-5)
    assert features[128:132].tolist() == pytest.approx([0.543971, -0.886984, 0.151805, -0.984959], abs=1e-5)


def test_isolated_streams_do_not_see_each_other(case: Case) -> None:
    plan = plan_blocks([Perturbation(isolate=True)] * BATCH, num_layers=2)
    other = case.video._replace(tokens=case.video.tokens + 1)
    assert torch.equal(case.model(case.video, case.audio, plan)[1], case.model(other, case.audio, plan)[1])
    assert not torch.allclose(case.model(case.video, case.audio)[1], case.model(other, case.audio)[1])


PERTURBATIONS = (
    Perturbation(),
    Perturbation(isolate=True),
    Perturbation(video_blocks=(0,), audio_blocks=(1,)),
    Perturbation(video_blocks=(1,), stg_kind="skip"),
    Perturbation(isolate=True, audio_blocks=(0, 1), stg_kind="skip"),
)


def test_mixed_batch_equals_single_rows(case: Case) -> None:
    def row(stream: StreamInput, count: int) -> StreamInput:
        rope = type(stream.rope)(*(type(t)(t.cos[:1], t.sin[:1]) for t in stream.rope))
        return StreamInput(
            stream.tokens[:1].expand(count, -1, -1), stream.timestep[:1], rope, stream.context.rows([0] * count)
        )

    count = len(PERTURBATIONS)
    together = case.model(row(case.video, count), row(case.audio, count), plan_blocks(PERTURBATIONS, num_layers=2))
    outputs = []
    for i, perturbation in enumerate(PERTURBATIONS):
        alone = case.model(row(case.video, 1), row(case.audio, 1), plan_blocks([perturbation], num_layers=2))
        for x, y in zip(together, alone, strict=True):
            torch.testing.assert_close(x[i], y[0], atol=1e-5, rtol=1e-5)
        outputs.append(alone[0])
    for other in outputs[1:]:
        assert not torch.allclose(outputs[0], other, atol=1e-3)


def test_unknown_stg_block_is_refused() -> None:
    with pytest.raises(ValueError, match="block 29"):
        plan_blocks([Perturbation(video_blocks=(29,))], num_layers=2)


def test_every_parameter_learns(deterministic: ModuleType) -> None:
    torch.manual_seed(0)
    model = LTX2Transformer(CONFIG)
    shape, audio_shape = VideoLatentShape(2, 8, F, H, W), AudioLatentShape(2, 2, TA, 4)
    text = deterministic.u(1, (2, S, 24)).float()
    plan = plan_blocks([Perturbation(), Perturbation(isolate=True)], num_layers=2)
    video, audio = model(
        StreamInput(
            deterministic.u(2, shape.token_shape).float(),
            SIGMA,
            model.video_rope(video_positions(shape, 24)),
            model.video_context(text),
        ),
        StreamInput(
            deterministic.u(3, audio_shape.token_shape).float(),
            SIGMA,
            model.audio_rope(audio_positions(audio_shape, AUDIO)),
            model.audio_context(text),
        ),
        plan,
    )
    (video.square().mean() + audio.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_full_size_parameters_and_their_split_between_streams() -> None:
    with torch.device("meta"):
        state = LTX2Transformer(LTX2_19B.transformer).state_dict()
    assert len(state) == 3510
    sizes = {key: value.numel() for key, value in state.items()}
    to_video = ("audio_to_video_attn", "a2v_ca_video", "av_ca_video", "av_ca_a2v")
    to_audio = ("video_to_audio_attn", "a2v_ca_audio", "av_ca_audio", "av_ca_v2a")

    def is_audio(key: str) -> bool:
        if any(part in key for part in to_video):
            return False
        return any(part in key for part in to_audio) or "audio" in key

    audio = sum(size for key, size in sizes.items() if is_audio(key))
    assert sum(sizes.values()) == 18_876_174_592
    assert audio == 4_505_448_576
    assert sum(sizes.values()) - audio == 14_370_726_016
    assert sum(size for key, size in sizes.items() if key.startswith("transformer_blocks.7.")) == 386_074_624
    expected = {
        "patchify_proj.weight": (4096, 128),
        "audio_proj_out.weight": (128, 2048),
        "caption_projection.linear_1.weight": (4096, 3840),
        "adaln_single.emb.timestep_embedder.linear_1.weight": (4096, 256),
        "adaln_single.linear.weight": (24576, 4096),
        "av_ca_audio_scale_shift_adaln_single.linear.bias": (8192,),
        "av_ca_v2a_gate_adaln_single.linear.weight": (2048, 2048),
        "transformer_blocks.47.scale_shift_table_a2v_ca_audio": (5, 2048),
        "transformer_blocks.0.audio_to_video_attn.to_q.weight": (2048, 4096),
        "transformer_blocks.0.video_to_audio_attn.to_k.weight": (2048, 4096),
        "transformer_blocks.0.audio_to_video_attn.to_out.0.weight": (4096, 2048),
        "transformer_blocks.0.audio_to_video_attn.q_norm.weight": (2048,),
        "transformer_blocks.0.ff.net.0.proj.weight": (16384, 4096),
        "transformer_blocks.0.audio_ff.net.2.weight": (2048, 8192),
    }
    assert {key: tuple(state[key].shape) for key in expected} == expected
