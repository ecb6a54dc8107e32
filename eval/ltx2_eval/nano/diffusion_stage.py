"""Training of the transformer, the connectors and the small language model together, by flow matching."""

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from einops import repeat
from torch import Tensor, nn

from ltx2.attention import KeyValue
from ltx2.config import LTX2Config
from ltx2.gemma import GemmaEncoder
from ltx2.nano import write_text_encoder
from ltx2.perturbation import Perturbation, plan_blocks
from ltx2.rope import audio_positions, video_positions
from ltx2.text import TextConnectors, TextEmbeddings
from ltx2.transformer import LTX2Transformer, StreamContext, StreamInput
from ltx2.types import AudioLatentShape, VideoLatentShape, VideoPixelShape
from ltx2_eval.nano.latent_pool import LatentPool
from ltx2_eval.nano.loop import batch_indices
from ltx2_eval.nano.world_pool import FPS, FRAMES, SIZE_PX

_TEXT_DROPOUT = 0.1
_ISOLATION = 0.1
_CANONICAL = 0.5
_SIGMA_LOGIT_MEAN = 0.8
"""Mean of the noise level's logit; positive, since the schedule of inference spends most steps at high noise."""
_FIRST_GATE = 0.5


class DiffusionModel(nn.Module):
    """All that is trained by flow matching: transformer, connectors and the language model.

    Args:
        config: Sizes.
        seed: Of the language model's first weights (the other parts take the global generator).
    """

    def __init__(self, config: LTX2Config, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.transformer = LTX2Transformer(config.transformer)
        self.connectors = TextConnectors(config.text)
        with tempfile.TemporaryDirectory() as folder:
            write_text_encoder(Path(folder), config.text, seed)
            encoder = GemmaEncoder.load(folder, max_tokens=config.text.max_tokens)
        self.gemma = encoder.model.float().requires_grad_(True)
        self.tokenizer = encoder.tokenizer
        start_quietly(self.transformer)

    def embed(self, prompts: Sequence[str]) -> TextEmbeddings:
        """Contexts of prompts, with gradients; the same as the pipeline's without."""
        batch = self.tokenizer(
            list(prompts),
            max_length=self.config.text.max_tokens,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).to(self.gemma.device)
        output = self.gemma(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            output_hidden_states=True,
            use_cache=False,
        )
        states = torch.stack(output.hidden_states, dim=-1)
        embeddings: TextEmbeddings = self.connectors(states, batch["attention_mask"].bool())
        return embeddings


class DiffusionStage:
    """Squared error of the velocity of both streams, over several noise draws per clip that share one text encoding.

    A tenth of the clips lose their text (empty prompt) and in a tenth of the draws the streams are isolated from each
    other, so that text and modality guidance have something to compare with.

    Args:
        config: Sizes.
        latents: Training clips.
        held_out: Clips of another split.
        batch: Clips per step.
        draws: Noise draws per clip.
        seed: Of weights and batches.
        device: Where it is trained.
    """

    name = "diffusion"

    def __init__(
        self,
        config: LTX2Config,
        latents: LatentPool,
        held_out: LatentPool,
        *,
        batch: int = 32,
        draws: int = 4,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.model: nn.Module = DiffusionModel(config, seed)
        self.latents, self.held_out = latents, held_out
        self.batch, self.draws, self.seed, self.device = batch, draws, seed, device
        self.positions = token_positions(config, device)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on a step's clips."""
        indices, generator = batch_indices(self.seed, step, self.batch, self.latents.clips)
        video, audio = self._losses(_diffusion(self.model), self.latents, indices, generator)
        return video + audio, {"video": video.item(), "audio": audio.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Both losses on held-out clips, with the same noise each time."""
        indices, generator = batch_indices(self.seed + 1, 0, min(64, self.held_out.clips), self.held_out.clips)
        video, audio = self._losses(_diffusion(model), self.held_out, indices, generator)
        return {"video": video.item(), "audio": audio.item()}

    def _losses(
        self, model: DiffusionModel, pool: LatentPool, indices: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        prompts = draw_prompts(pool, indices, generator)
        embeddings = model.embed(prompts)
        rows = len(indices) * self.draws
        isolated = torch.rand(rows, generator=generator) < _ISOLATION
        sigma = torch.sigmoid(torch.randn(rows, generator=generator) + _SIGMA_LOGIT_MEAN).to(self.device)
        clean = [self._draws(tokens[indices.to(tokens.device)].float()) for tokens in (pool.video, pool.audio)]
        noise = [torch.randn(x.shape, generator=generator).to(self.device) for x in clean]
        noisy = [torch.lerp(x, n, sigma[:, None, None]) for x, n in zip(clean, noise, strict=True)]
        transformer = model.transformer
        plan = plan_blocks(
            [Perturbation(isolate=cut) for cut in isolated.tolist()],
            num_layers=transformer.config.num_layers,
            device=self.device,
        )
        contexts = (transformer.video_context(embeddings.video), transformer.audio_context(embeddings.audio))
        ropes = (transformer.video_rope(self.positions[0]), transformer.audio_rope(self.positions[1]))
        streams = (
            StreamInput(x, sigma, rope, self._shared(context))
            for x, rope, context in zip(noisy, ropes, contexts, strict=True)
        )
        velocities = transformer(*streams, plan)
        errors = [
            (velocity.float() - (n - x)).square().mean()
            for velocity, n, x in zip(velocities, noise, clean, strict=True)
        ]
        return errors[0], errors[1]

    def _draws(self, tokens: Tensor) -> Tensor:
        return repeat(tokens, "b ... -> (b k) ...", k=self.draws)

    def _shared(self, context: StreamContext) -> StreamContext:
        """One text for all draws of a clip; cheaper than to choose rows by index, whose gradient scatters."""
        return StreamContext(tuple(KeyValue(*(self._draws(x) for x in pair)) for pair in context.keys_values))


def draw_prompts(pool: LatentPool, indices: Tensor, generator: torch.Generator) -> list[str]:
    """A wording for each clip: the canonical one half of the time, and none at all for `_TEXT_DROPOUT` of the clips."""
    count = len(indices)
    variants = torch.randint(len(pool.captions[0]), (count,), generator=generator)
    variants[torch.rand(count, generator=generator) < _CANONICAL] = 0
    dropped = torch.rand(count, generator=generator) < _TEXT_DROPOUT
    rows = zip(indices.tolist(), variants.tolist(), dropped.tolist(), strict=True)
    return ["" if empty else pool.captions[clip][variant] for clip, variant, empty in rows]


def token_positions(config: LTX2Config, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Bounds of both streams' tokens for the clips of the recipe, as the pipeline computes them."""
    shape = VideoPixelShape(1, FRAMES, SIZE_PX, SIZE_PX, Fraction(FPS))
    vae = config.video_vae
    video = VideoLatentShape.from_pixel_shape(shape, channels=vae.latent_channels, cell_px=vae.spatial_factor)
    audio = AudioLatentShape.from_pixel_shape(
        shape,
        channels=config.audio_vae.latent_channels,
        mel_bins=config.audio_vae.latent_mel_bins,
        rate_hz=config.audio_vae.latent_rate_hz,
    )
    place = torch.device(device)
    return video_positions(video, shape.fps, place), audio_positions(audio, config.audio_vae, place)


@torch.no_grad()
def start_quietly(transformer: LTX2Transformer) -> None:
    """First weights that train well: outputs zero, modulations zero but for gates of one half."""
    for layer in (transformer.proj_out, transformer.audio_proj_out):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    for name, module in transformer.named_modules():
        if isinstance(module, nn.Linear) and "adaln_single.linear" in name:
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    for name, table in transformer.named_parameters():
        if "scale_shift_table" in name:
            table.zero_()
            gates = {2: (), 5: (4,), 6: (2, 5)}[table.shape[0]]
            for gate in gates:
                table[gate] = _FIRST_GATE


def _diffusion(model: nn.Module) -> DiffusionModel:
    assert isinstance(model, DiffusionModel)
    return model
