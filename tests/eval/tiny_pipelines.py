"""Small random pipelines of diffusers, written to disk: LTX-2 with sound, Wan without."""

import json
import warnings
from pathlib import Path

import torch
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, PreTrainedTokenizerFast, UMT5Config
from transformers import UMT5EncoderModel as Encoder

from ltx2.nano_vocabulary import SPECIAL_TOKENS, build_tokenizer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers
    from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder

WIDTH, LAYERS, TOKENS = 24, 3, 16


def _tokenizer() -> PreTrainedTokenizerFast:
    names = {f"{token.strip('<>')}_token": token for token in SPECIAL_TOKENS}
    return PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(), padding_side="left", model_max_length=TOKENS, **names
    )


def _gemma() -> Gemma3ForConditionalGeneration:
    size = {"num_hidden_layers": LAYERS, "num_attention_heads": 2}
    text = {
        **size,
        "vocab_size": build_tokenizer().get_vocab_size(),
        "hidden_size": WIDTH,
        "intermediate_size": 32,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 64,
    }
    vision = {**size, "hidden_size": 16, "intermediate_size": 16, "image_size": 28, "patch_size": 14}
    return Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=5)
    )


def _ltx2_transformer() -> "diffusers.LTX2VideoTransformer3DModel":
    return diffusers.LTX2VideoTransformer3DModel(
        in_channels=16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        audio_in_channels=16,
        audio_out_channels=16,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        num_layers=2,
        caption_channels=WIDTH,
        rope_type="split",
        perturbed_attn=True,
    )


def _ltx2_video_vae() -> "diffusers.AutoencoderKLLTX2Video":
    return diffusers.AutoencoderKLLTX2Video(
        latent_channels=16,
        block_out_channels=(16, 32, 64, 128),
        decoder_block_out_channels=(16, 32, 64),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        spatio_temporal_scaling=(True,) * 4,
        decoder_spatio_temporal_scaling=(True,) * 3,
        decoder_inject_noise=(False,) * 4,
        downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        upsample_residual=(True,) * 3,
        upsample_factor=(2,) * 3,
        decoder_causal=False,
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )


def write_ltx2(folder: Path) -> Path:
    """An LTX2Pipeline: 24 kHz stereo, sizes a multiple of 32, 8k + 1 frames."""
    torch.manual_seed(0)
    stream = {"attention_head_dim": 8, "num_attention_heads": 3, "num_layers": 1, "num_learnable_registers": 4}
    connectors = LTX2TextConnectors(
        caption_channels=WIDTH,
        text_proj_in_factor=LAYERS + 1,
        **{f"{name}_connector_{key}": value for name in ("video", "audio") for key, value in stream.items()},
        rope_type="split",
    )
    audio_vae = diffusers.AutoencoderKLLTX2Audio(
        base_channels=16,
        output_channels=2,
        ch_mult=(1, 2, 4),
        num_res_blocks=1,
        in_channels=2,
        latent_channels=1,
        mel_bins=64,
        causality_axis="height",
        attn_resolutions=None,
        mid_block_add_attention=False,
    )
    vocoder = LTX2Vocoder(in_channels=128, hidden_channels=64, out_channels=2)
    pipeline = diffusers.LTX2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_ltx2_video_vae(),
        audio_vae=audio_vae,
        text_encoder=_gemma(),
        tokenizer=_tokenizer(),
        connectors=connectors,
        transformer=_ltx2_transformer(),
        vocoder=vocoder,
    )
    pipeline.save_pretrained(folder)
    return folder


def write_wan(folder: Path) -> Path:
    """A WanPipeline: no sound, sizes a multiple of 16, 4k + 1 frames."""
    torch.manual_seed(1)
    vocabulary = build_tokenizer().get_vocab_size()
    config = UMT5Config(vocab_size=vocabulary, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    pipeline = diffusers.WanPipeline(
        tokenizer=_tokenizer(),
        text_encoder=Encoder(config),
        vae=diffusers.AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        transformer=diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=16,
            freq_dim=16,
            ffn_dim=32,
            num_layers=2,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
        ),
    )
    pipeline.save_pretrained(folder)
    return folder


def rewrite_index(folder: Path, **changes: object) -> None:
    """Change entries of a pipeline's `model_index.json`."""
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
