"""Still pictures as the model knows them: frames of a compressed video, at the size of the clip.

Source: Lightricks/LTX-2, `ltx_pipelines/utils/media_io.py`.
"""

import io

import av
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

CRF = 33
"""Strength of the H.264 compression that LTX-2 (19B) conditions on."""
MAX_CRF = 51


def prepare_image(image: Tensor, height: int, width: int, *, crf: int = CRF) -> Tensor:
    """Compress a picture as a video frame, scale it to cover the clip, and cut out the centre.

    Args:
        image: uint8 `(h, w, 3)`, RGB, at least 2 x 2.
        height: Of the clip, in pixels.
        width: Of the clip, in pixels.
        crf: 0 (no compression) to 51, as libx264 means it.

    Returns:
        float32 `(1, 3, 1, height, width)` in -1..1, a video of one frame for the video autoencoder.
    """
    frame = rearrange(compressed(image, crf).float(), "h w c -> 1 c h w")
    scale = max(height / frame.shape[2], width / frame.shape[3])
    covering = [max(size, round(side * scale)) for size, side in zip((height, width), frame.shape[2:], strict=True)]
    # Plain bilinear, no smoothing before shrinking: that is what the model was trained with.
    frame = F.interpolate(frame, size=covering, mode="bilinear", align_corners=False)
    top, left = (covering[0] - height) // 2, (covering[1] - width) // 2
    frame = frame[:, :, top : top + height, left : left + width] / 127.5 - 1
    return rearrange(frame, "b c h w -> b c 1 h w").contiguous()


def compressed(image: Tensor, crf: int) -> Tensor:
    """One H.264 round trip of a uint8 `(h, w, 3)` picture on the CPU; `crf` 0 returns the picture itself.

    H.264 has no odd sizes: an odd last row or column is lost. The same picture gives the same bits.
    """
    image = image.cpu()
    if crf == 0:
        return image
    height, width = (side // 2 * 2 for side in image.shape[:2])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # One thread and no macroblock tree: with either, the bits could differ from call to call.
        stream.options = {"crf": str(crf), "preset": "veryfast", "mbtree": "0"}
        stream.codec_context.thread_count = 1
        pixels = image[:height, :width].contiguous().numpy()
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        frame = next(container.decode(video=0))
        return torch.from_numpy(frame.to_ndarray(format="rgb24"))
