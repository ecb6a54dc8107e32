"""What the autoencoders and the vocoder lose: held-out clips of the world, in and out again."""

from statistics import median
from typing import NamedTuple

import torch

from ltx2.audio_vae import AudioVAE
from ltx2.checkpoint import Modules
from ltx2.vocoder import Vocoder
from ltx2_benchmarks.synthetic import Event, render
from ltx2_benchmarks.synthetic.hearing import hear
from ltx2_eval.nano.audio_stage import clip_log_mel
from ltx2_eval.nano.figures import SHARE, Figure, by_index, mean_figure, median_figure
from ltx2_eval.nano.video_stage import psnr_db
from ltx2_eval.nano.world_pool import RATE_HZ, WorldPool

FAR_S = 0.1
"""An onset further than this from every event is no onset of one."""


class _Impacts(NamedTuple):
    """Of clips with events, a clip's events sharing its delay: each clip counts once."""

    errors_ms: list[float]
    """Median over a clip's events that were heard; clips without any such are left out."""
    heard: list[float]
    """Share of a clip's events that were heard."""


@torch.no_grad()
def video_round_trip(modules: Modules, pool: WorldPool) -> list[Figure]:
    """PSNR of held-out clips through the video autoencoder."""
    ratios = []
    for index in range(pool.clips):
        video = pool.video(torch.tensor([index]))
        decoded = modules.video_vae.decode(modules.video_vae.encode(video))
        ratios.append(psnr_db(decoded, video).item())
    return [mean_figure("video round trip PSNR", by_index(ratios), "dB", "at least 28")]


@torch.no_grad()
def audio_round_trip(modules: Modules, pool: WorldPool) -> list[Figure]:
    """Times of impacts and log-mel error of held-out clips through the audio autoencoder and the vocoder."""
    errors, made, direct = [], _Impacts([], []), _Impacts([], [])
    for index in range(pool.clips):
        rendered = render(pool.scene(index))
        waveform = torch.from_numpy(rendered.audio)[None]
        mel = clip_log_mel(waveform, modules.audio_vae.config, pool.frames)
        decoded, sound = _through(modules.audio_vae, modules.vocoder, mel)
        errors.append((decoded - mel).abs().mean().item())
        events = [event for event in rendered.events if event.kind != "start"]
        if events:
            made = _heard_impacts(made, sound, events)
            direct = _heard_impacts(direct, waveform, events)
    return [
        mean_figure("audio round trip log-mel L1", by_index(errors), "nats"),
        median_figure("impact timing error after the audio round trip", made.errors_ms, "ms", "at most 10"),
        mean_figure("impacts heard after the audio round trip", by_index(made.heard), "", allowed=SHARE),
        median_figure("impact timing error of the ear itself", direct.errors_ms, "ms"),
    ]


def _through(vae: AudioVAE, vocoder: Vocoder, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    decoded = vae.decode(vae.encode(mel))
    return decoded, vocoder(decoded)


def _heard_impacts(so_far: _Impacts, waveform: torch.Tensor, events: list[Event]) -> _Impacts:
    """Adds a clip with events, each of them with the nearest onset that is heard."""
    onsets = hear(waveform[0].numpy(), RATE_HZ).onsets
    nearest = [min((abs(onset.time_s - event.time_s) for onset in onsets), default=FAR_S) for event in events]
    near = [1000 * distance for distance in nearest if distance < FAR_S]
    errors = [*so_far.errors_ms, median(near)] if near else so_far.errors_ms
    return _Impacts(errors, [*so_far.heard, len(near) / len(events)])
