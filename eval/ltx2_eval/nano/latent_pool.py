"""Latents of the world's clips, encoded once by the finished autoencoders, and their captions."""

from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor

from ltx2.audio_vae import AudioVAE
from ltx2.video_vae import VideoVAE
from ltx2_benchmarks.synthetic import NUM_VARIANTS, caption
from ltx2_eval.nano.audio_stage import clip_log_mel, in_batches
from ltx2_eval.nano.world_pool import WorldPool


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentPool:
    """Normalised tokens `(n, t, c)` of both streams and, per clip, all wordings of its caption."""

    video: Tensor
    audio: Tensor
    captions: tuple[tuple[str, ...], ...]

    @property
    def clips(self) -> int:
        """Number of clips."""
        return len(self.captions)


def encode_pool(
    pool: WorldPool, video_vae: VideoVAE, audio_vae: AudioVAE, file: Path, *, device: str = "cpu", batch: int = 16
) -> LatentPool:
    """Encode a pool's clips, or read the file in which that was kept."""
    if not file.exists():
        videos, audios = [], []
        for indices in in_batches(pool.clips, batch):
            videos.append(video_tokens(video_vae, pool.video(indices).to(device)).half().cpu())
            mel = clip_log_mel(pool.audio(indices).to(device), audio_vae.config, pool.frames)
            audios.append(audio_tokens(audio_vae, mel).half().cpu())
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"video": torch.cat(videos), "audio": torch.cat(audios)}, file)
    tokens = load_file(file)
    captions = tuple(captions_of(pool, index) for index in range(pool.clips))
    return LatentPool(video=tokens["video"].to(device), audio=tokens["audio"].to(device), captions=captions)


@torch.no_grad()
def video_tokens(vae: VideoVAE, video: Tensor) -> Tensor:
    """Normalised tokens `(b, t, c)` of frames `(b, 3, f, h, w)` in -1..1, in the transformer's order."""
    return rearrange(vae.encode(video), "b c f h w -> b (f h w) c")


@torch.no_grad()
def audio_tokens(vae: AudioVAE, log_mel: Tensor) -> Tensor:
    """Normalised tokens `(b, t, c)` of log-mels `(b, 2, t, m)`, channel-major."""
    return rearrange(vae.encode(log_mel), "b c t m -> b t (c m)")


def captions_of(pool: WorldPool, index: int) -> tuple[str, ...]:
    """All wordings of a clip's caption."""
    scene = pool.scene(index)
    return tuple(caption(scene, variant=variant) for variant in range(NUM_VARIANTS))
