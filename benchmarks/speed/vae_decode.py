"""Video decoding whole and in slices: ours against diffusers, whole and tiled, on the same weights.

Paste: OMP_NUM_THREADS=1 python benchmarks/speed/vae_decode.py --width 32 --frames 49 --side 256
Time is measured in turn in one process; peak memory in a process of its own for each way, as what it has resident more
than after loading. Work is counted in multiply-adds on the meta device. All ways are compared with diffusers' whole
decode: ours must be equal, diffusers' tiles blend over seams and are reported. The last line is the time of diffusers'
whole decode over ours in slices.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLLTX2Video
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ltx2.config import LTX2_19B, VideoVAEConfig
from ltx2.cost import CostLog
from ltx2.streaming import Streaming
from ltx2.types import SPACE_FACTOR, TIME_FACTOR
from ltx2.video_vae import VideoVAE

WAYS = ("diffusers", "diffusers tiled", "ours whole", "ours sliced")
TILE_PX, STRIDE_PX, TILE_FRAMES, STRIDE_FRAMES = 128, 96, 16, 8
"""diffusers' own tiles are 512 px with a stride of 448; these give a clip that a CPU can decode several."""


def our_model(width: int, latent_channels: int) -> VideoVAE:
    """The published block structure at another width, with random weights."""
    torch.manual_seed(0)
    config: VideoVAEConfig = replace(
        LTX2_19B.video_vae,
        latent_channels=latent_channels,
        encoder_base_channels=8,
        decoder_base_channels=width,
    )
    return VideoVAE(config).eval().requires_grad_(False)


def peer_key(key: str) -> str:
    """Published key of the decoder -> diffusers' key."""
    key = key.replace("res_blocks", "resnets")
    match = re.fullmatch(r"up_blocks\.(\d+)\.(.*)", key)
    if match is None:
        return key
    index, rest = int(match[1]), match[2]
    if index == 0:
        return f"mid_block.{rest}"
    block, is_stack = divmod(index - 1, 2)
    return f"up_blocks.{block}.{rest if is_stack else f'upsamplers.0.{rest}'}"


def their_model(ours: VideoVAE, *, tiled: bool) -> AutoencoderKLLTX2Video:
    """diffusers' autoencoder with the same decoder."""
    config = ours.config
    theirs = AutoencoderKLLTX2Video(
        latent_channels=config.latent_channels,
        block_out_channels=(16, 32, 64, 128),
        down_block_types=("LTX2VideoDownBlock3D",) * 4,
        decoder_block_out_channels=tuple(config.decoder_base_channels * n for n in (2, 4, 8)),
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(5,) * 4,
        spatio_temporal_scaling=(True,) * 4,
        decoder_spatio_temporal_scaling=(True,) * 3,
        decoder_inject_noise=(False,) * 4,
        downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        upsample_type=("spatiotemporal",) * 3,
        upsample_residual=(True,) * 3,
        upsample_factor=(2, 2, 2),
        timestep_conditioning=False,
        decoder_causal=False,
        decoder_spatial_padding_mode="reflect",
        spatial_compression_ratio=SPACE_FACTOR,
        temporal_compression_ratio=TIME_FACTOR,
    )
    state = {peer_key(key): value for key, value in ours.decoder.state_dict().items()}
    theirs.decoder.load_state_dict(state, strict=True, assign=True)
    if tiled:
        theirs.enable_tiling(
            tile_sample_min_height=TILE_PX,
            tile_sample_min_width=TILE_PX,
            tile_sample_min_num_frames=TILE_FRAMES,
            tile_sample_stride_height=STRIDE_PX,
            tile_sample_stride_width=STRIDE_PX,
            tile_sample_stride_num_frames=STRIDE_FRAMES,
        )
        theirs.use_framewise_decoding = True
    return theirs.eval().requires_grad_(False)


def ways_of(ours: VideoVAE, size: int, names: tuple[str, ...] = WAYS) -> dict[str, Callable[[Tensor], Tensor]]:
    """Raw latent -> frames, by the name of the way."""
    ways: dict[str, Callable[[Tensor], Tensor]] = {}
    for name in names:
        if name.startswith("diffusers"):
            peer = their_model(ours, tiled=name.endswith("tiled"))
            ways[name] = lambda z, peer=peer: peer.decode(z).sample
        elif name == "ours whole":
            ways[name] = ours.decoder
        else:
            ways[name] = lambda z: ours.decode(z, streaming=Streaming(size=size))
    return ways


def latent_of(given: argparse.Namespace) -> Tensor:
    """A random latent of the size asked for."""
    frames, side = (given.frames - 1) // TIME_FACTOR + 1, given.side // SPACE_FACTOR
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, given.latent_channels, frames, side, side, generator=generator)


def work_of(given: argparse.Namespace) -> dict[str, float]:
    """Floating-point operations of each way."""
    with torch.device("meta"):
        ways = ways_of(our_model(given.width, given.latent_channels), given.slice)
    work = {}
    for name, way in ways.items():
        with FlopCounterMode(display=False) as counter:
            way(latent_of(given).to("meta"))
        work[name] = float(counter.get_total_flops())
    return work


def print_peak_bytes(given: argparse.Namespace) -> None:
    """In a process of its own: how much memory is resident during one decode, more than before it."""
    (way,) = ways_of(our_model(given.width, given.latent_channels), given.slice, (given.peak_of,)).values()
    latent = latent_of(given)
    way(latent[:, :, :1, :4, :4])  # what libraries allocate once
    log = CostLog(torch.device("cpu"))
    with log.stage("before"):
        pass
    with log.stage("decode"):
        way(latent)
    before, decode = log.stages
    print(decode.peak_bytes - before.peak_bytes)


def peak_bytes(name: str) -> int:
    """The same of a way, measured from outside."""
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--peak-of", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


@torch.inference_mode()
def main() -> None:
    """Measure all ways, check that ours are equal to diffusers', print the table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=32, help="channels at full resolution; 128 in the published model")
    parser.add_argument("--latent-channels", type=int, default=32)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--side", type=int, default=256, help="height and width in pixels")
    parser.add_argument("--slice", type=int, default=8, help="frames that a layer computes at once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-of", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak_of:
        print_peak_bytes(given)
        return
    ways, latent = ways_of(our_model(given.width, given.latent_channels), given.slice), latent_of(given)
    frames = {name: way(latent) for name, way in ways.items()}  # also warms all up
    errors = {name: float((x - frames["diffusers"]).abs().max()) for name, x in frames.items()}
    scale = float(frames["diffusers"].abs().mean())
    if max(errors[name] for name in WAYS if name.startswith("ours")) > 1e-4 * max(scale, 1):
        raise SystemExit(f"ours and diffusers disagree: {errors}; nothing was compared")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.repeats):
        for name, way in ways.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            way(latent)
            seconds[name].append(time.perf_counter() - began)
            cpu_seconds[name].append(time.process_time() - cpu_began)
    work = work_of(given)
    print(f"{tuple(frames['diffusers'].shape)}, width {given.width}, {torch.get_num_threads()} threads")
    print(f"{'':18}{'median s':>10}{'spread s':>10}{'CPU s':>10}{'peak MB':>10}{'work':>8}{'max error':>12}")
    for name, taken in seconds.items():
        row = (statistics.median(taken), max(taken) - min(taken), statistics.median(cpu_seconds[name]))
        print(
            f"{name:18}{row[0]:10.3f}{row[1]:10.3f}{row[2]:10.3f}{peak_bytes(name) / 1e6:10.0f}"
            f"{work[name] / work['diffusers']:8.2f}{errors[name]:12.1e}"
        )
    print(f"mean magnitude of the frames {scale:.2f}")
    print(f"ratio: {statistics.median(seconds['diffusers']) / statistics.median(seconds['ours sliced']):.2f}")


if __name__ == "__main__":
    main()
