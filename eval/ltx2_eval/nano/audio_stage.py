"""Training of the audio autoencoder on log-mel spectrograms of the world, and the statistics of its latents."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ltx2.audio_vae import AudioVAE
from ltx2.config import AudioVAEConfig
from ltx2.mel import log_mel
from ltx2_eval.nano.loop import batch_indices
from ltx2_eval.nano.world_pool import FPS, RATE_HZ, WorldPool

_ONSET_WEIGHT = 0.5
_KL_WEIGHT = 1e-4
_NOISE = 0.1
_START_LEVEL = -8.0
"""About the mean log-mel of the world: what the decoder says before it has learned anything."""


class AudioStage:
    """Absolute error of the log-mel and of its change in time, with a small pull to unit latents.

    Args:
        config: Sizes of the autoencoder.
        pool: Training clips.
        held_out: Clips of another split.
        batch: Cuts per step.
        cut_latents: Latent frames of a cut.
        seed: Of weights and batches.
        device: Where it is trained.
    """

    name = "audio_vae"

    def __init__(
        self,
        config: AudioVAEConfig,
        pool: WorldPool,
        held_out: WorldPool,
        *,
        batch: int = 12,
        cut_latents: int = 26,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        vae = AudioVAE(config)
        nn.init.constant_(vae.decoder.conv_out.conv.bias, _START_LEVEL)  # type: ignore[arg-type]
        self.model: nn.Module = vae
        self.pool, self.held_out = pool, held_out
        self.batch, self.cut_latents, self.seed, self.device = batch, cut_latents, seed, device

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on a step's clips."""
        vae = _audio_vae(self.model)
        indices, generator = batch_indices(self.seed, step, self.batch, self.pool.clips)
        mel = clip_log_mel(self.pool.audio(indices).to(self.device), vae.config, self.pool.frames)
        factor, frames = vae.config.time_factor, vae.config.time_factor * (self.cut_latents - 1) + 1
        places = max(1, (mel.shape[2] - frames) // factor + 1)
        start = factor * int(torch.randint(places, (), generator=generator))
        mel = mel[:, :, start : start + frames]
        mean, _ = vae.encoder.moments(mel)
        noise = torch.randn(mean.shape, generator=generator).to(mean) * _NOISE
        decoded = vae.decoder(mean + noise).float()
        absolute = (decoded - mel).abs().mean()
        onsets = (decoded.diff(dim=2) - mel.diff(dim=2)).abs().mean()
        size = mean.float().square().mean()
        total = absolute + _ONSET_WEIGHT * onsets + _KL_WEIGHT * size
        return total, {"absolute": absolute.item(), "onsets": onsets.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean absolute error of the log-mel of held-out clips."""
        vae = _audio_vae(model)
        errors = []
        for indices in in_batches(min(32, self.held_out.clips), 8):
            mel = clip_log_mel(self.held_out.audio(indices).to(self.device), vae.config, self.held_out.frames)
            errors.append((vae.decoder(vae.encoder.moments(mel)[0]).float() - mel).abs().mean())
        return {"log_mel_l1": float(torch.stack(errors).mean())}


def clip_log_mel(waveform: Tensor, config: AudioVAEConfig, video_frames: int) -> Tensor:
    """Log-mel (b, 2, 4 * ta - 3, m) of waveforms (b, 2, n) at 24 kHz, cut to the ta latents that go with a video."""
    latents = round(video_frames / FPS * config.latent_rate_hz)
    mel = log_mel(resample(waveform, RATE_HZ, config.rate_hz), config)
    return mel[:, :, : config.time_factor * latents - config.time_factor + 1]


def resample(waveform: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Waveforms (..., n) at another rate by cutting or padding their spectrum; n is padded by silence to fit.

    The top 5 % of the narrower band fade out, so that nothing rings for longer than a few milliseconds.
    """
    common = torch.gcd(torch.tensor(from_hz), torch.tensor(to_hz)).item()
    unit = int(from_hz // common)
    samples = waveform.shape[-1]
    length = -(-(samples + unit) // (2 * unit)) * 2 * unit
    spectrum = torch.fft.rfft(waveform.float(), n=length)
    target = length * to_hz // from_hz
    bins = torch.arange(target // 2 + 1, device=waveform.device)
    edge = min(length, target) // 2
    fade = ((edge - bins) / (0.05 * edge)).clamp(0, 1)
    kept = spectrum[..., : target // 2 + 1]
    padded = nn.functional.pad(kept, (0, target // 2 + 1 - kept.shape[-1]))
    resampled = torch.fft.irfft(padded * fade, n=target) * (target / length)
    return resampled[..., : samples * to_hz // from_hz]


def in_batches(count: int, size: int) -> Iterator[Tensor]:
    """Indices 0..count in batches."""
    yield from torch.arange(count).split(size)


def measure_audio_statistics(vae: AudioVAE, pool: WorldPool, *, clips: int, device: str = "cpu") -> None:
    """Write mean and deviation per channel and mel bin of the first clips' latents into the autoencoder's buffers."""
    with torch.no_grad():
        latents = [
            vae.encoder.moments(clip_log_mel(pool.audio(indices).to(device), vae.config, pool.frames))[0].cpu()
            for indices in in_batches(clips, 8)
        ]
    values = torch.cat(latents).double()
    deviation, mean = torch.std_mean(values, dim=(0, 2), correction=0)
    vae.per_channel_statistics.get_buffer("mean-of-means").copy_(mean.flatten())
    vae.per_channel_statistics.get_buffer("std-of-means").copy_(deviation.clamp(min=1e-4).flatten())


def _audio_vae(model: nn.Module) -> AudioVAE:
    assert isinstance(model, AudioVAE)
    return model
