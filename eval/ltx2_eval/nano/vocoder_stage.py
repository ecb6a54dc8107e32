"""Training of the vocoder: spectra of several resolutions, on true spectrograms and on decoded ones."""

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from ltx2.audio_vae import AudioVAE
from ltx2.config import VocoderConfig
from ltx2.vocoder import Vocoder
from ltx2_eval.nano.audio_stage import clip_log_mel, in_batches
from ltx2_eval.nano.loop import batch_indices
from ltx2_eval.nano.world_pool import WorldPool

_WINDOWS = (64, 256, 1024, 2048)
"""STFT windows in samples at 24 kHz; the shortest (2.7 ms) sees onsets, the longest pitch."""
_FLOOR = 3e-4
"""Added to magnitudes (of a window with unit sum) before the logarithm, so that silence does not dominate."""
_WAVE_WEIGHT = 2.0
_BALANCE_WEIGHT = 1.0
_BALANCE_WINDOW = 960
_AUDIBLE = 1e-6
"""Power below which it does not matter on which side a sound is."""
_DECODED_SHARE = 0.5
_LATENT_NOISE = 0.1


class VocoderStage:
    """Error of the logarithm and of the size of STFT magnitudes, of the waveform itself, and of its sides.

    Half of the cuts are spectrograms that have been through the audio autoencoder (with some noise on the latents), so
    that the vocoder knows the kind that it will be given.

    Args:
        config: Sizes of the vocoder.
        audio_vae: The finished audio autoencoder; not trained.
        pool: Training clips.
        held_out: Clips of another split.
        batch: Cuts per step.
        cut_frames: Mel frames per cut (10 ms each).
        seed: Of weights and batches.
        device: Where it is trained.
    """

    name = "vocoder"

    def __init__(
        self,
        config: VocoderConfig,
        audio_vae: AudioVAE,
        pool: WorldPool,
        held_out: WorldPool,
        *,
        batch: int = 16,
        cut_frames: int = 50,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.model: nn.Module = Vocoder(config)
        self.audio_vae = audio_vae.to(device).eval().requires_grad_(False)
        self.pool, self.held_out = pool, held_out
        self.batch, self.cut_frames, self.seed, self.device = batch, cut_frames, seed, device
        self.samples_per_frame = config.samples_per_frame

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on a step's cuts."""
        indices, generator = batch_indices(self.seed, step, self.batch, self.pool.clips)
        waveform = self.pool.audio(indices).to(self.device)
        mel = self._mels(waveform, generator, _DECODED_SHARE)
        starts = torch.randint(mel.shape[2] - self.cut_frames + 1, (self.batch,), generator=generator).tolist()
        cut_mel = torch.stack([m[:, s : s + self.cut_frames] for m, s in zip(mel, starts, strict=True)])
        step_size = self.samples_per_frame
        target = torch.stack(
            [w[:, s * step_size : (s + self.cut_frames) * step_size] for w, s in zip(waveform, starts, strict=True)]
        )
        made = self.model(cut_mel).float()
        spectral = spectral_error(made, target)
        wave = (made - target).abs().mean()
        balance = balance_error(made, target)
        total = spectral + _WAVE_WEIGHT * wave + _BALANCE_WEIGHT * balance
        return total, {"spectral": spectral.item(), "wave": wave.item(), "balance": balance.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Spectral error of whole held-out clips through the autoencoder and the vocoder."""
        spectral, balance = [], []
        for indices in in_batches(min(32, self.held_out.clips), 8):
            waveform = self.held_out.audio(indices).to(self.device)
            mel = self._mels(waveform, torch.Generator().manual_seed(0), 1.0)
            made = model(mel).float()
            target = waveform[..., : made.shape[-1]]
            spectral.append(spectral_error(made, target))
            balance.append(balance_error(made, target))
        return {"spectral": torch.stack(spectral).mean().item(), "balance": torch.stack(balance).mean().item()}

    @torch.no_grad()
    def _mels(self, waveform: Tensor, generator: torch.Generator, decoded_share: float) -> Tensor:
        """Log-mels (b, 2, t, m), the first `decoded_share` of which went through the autoencoder."""
        mel = clip_log_mel(waveform, self.audio_vae.config, self.pool.frames)
        count = round(decoded_share * len(mel))
        latent = self.audio_vae.encoder.moments(mel[:count])[0]
        noise = torch.randn(latent.shape, generator=generator).to(latent) * _LATENT_NOISE
        return torch.cat([self.audio_vae.decoder(latent + noise).to(mel.dtype), mel[count:]])


def spectral_error(made: Tensor, target: Tensor) -> Tensor:
    """Mean over windows of the absolute error of log magnitudes plus the relative error of magnitudes.

    Args:
        made: Waveforms (b, c, n).
        target: The same shape.
    """
    errors = []
    for window in _WINDOWS:
        a, b = (_magnitudes(wave, window) for wave in (made, target))
        relative = (a - b).norm() / (b.norm() + 1e-3)
        errors.append(((a + _FLOOR).log() - (b + _FLOOR).log()).abs().mean() + relative)
    return torch.stack(errors).mean()


def balance_error(made: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of (right - left) / (right + left) power in windows of 40 ms in which something is heard.

    Args:
        made: Waveforms (b, 2, n).
        target: The same shape.
    """
    usable = made.shape[-1] // _BALANCE_WINDOW * _BALANCE_WINDOW
    powers = [
        reduce(wave[..., :usable].square(), "b c (t w) -> b c t", "mean", w=_BALANCE_WINDOW) for wave in (made, target)
    ]
    sides = [(power[:, 1] - power[:, 0]) / (power.sum(dim=1) + _AUDIBLE) for power in powers]
    audible = (powers[1].sum(dim=1) > 10 * _AUDIBLE).float()
    return ((sides[0] - sides[1]).abs() * audible).sum() / audible.sum().clamp(min=1)


def _magnitudes(waveform: Tensor, window: int) -> Tensor:
    hann = torch.hann_window(window, device=waveform.device)
    flat = rearrange(waveform, "b c n -> (b c) n")
    spectrum = torch.stft(flat, window, window // 4, window=hann / hann.sum(), center=True, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(dim=-1).add(1e-10).sqrt()
