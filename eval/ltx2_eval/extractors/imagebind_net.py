"""ImageBind-huge: pictures, sentences and sounds in one space (Girdhar et al. 2023). The networks of these three.

Names of `imagebind_huge.pth`, of which depth, thermal and motion parts are left out at conversion.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.extractors.parts import Mlp, Projection

SPACE = 1024
TEXT_TOKENS = 77
VOCABULARY = 49_408
MELS, MEL_FRAMES = 128, 204
SIDE = 224
_EPS = 1e-6


class Block(nn.Module):
    """Pre-norm transformer block; `extra` appends one learned key and value, as the sound tower has it."""

    def __init__(self, width: int, heads: int, *, extra: bool = False) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, add_bias_kv=extra, batch_first=True)
        self.norm_1, self.norm_2 = nn.LayerNorm(width, eps=_EPS), nn.LayerNorm(width, eps=_EPS)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(b, n, width) -> (b, n, width); `mask` (n, n) is added to the scores."""
        y = self.norm_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.norm_2(x))


class Trunk(nn.Module):
    """A stack of blocks, after a norm for pictures."""

    def __init__(self, width: int, depth: int, heads: int, *, norm: bool = False, extra: bool = False) -> None:
        super().__init__()
        self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(width, eps=_EPS) if norm else nn.Identity())
        self.blocks = nn.ModuleList(Block(width, heads, extra=extra) for _ in range(depth))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        x = self.pre_transformer_layer(x)
        for block in self.blocks:
            x = block(x, mask)
        return x


class _Positions(nn.Module):
    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, count, width))


class VisionStem(nn.Module):
    """Two frames -> 256 patches and the class token."""

    def __init__(self, width: int = 1280) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        kernel = (2, 14, 14)
        cut = nn.Conv3d(3, width, kernel, stride=kernel, bias=False)
        self.rgbt_stem = Projection(nn.Sequential(nn.Identity(), cut))
        self.pos_embedding_helper = _Positions(1 + (SIDE // 14) ** 2, width)

    def forward(self, frames: Tensor) -> Tensor:
        """(b, 3, 2, 224, 224) -> (b, 257, width)."""
        x = rearrange(self.rgbt_stem(frames), "b d t h w -> b (t h w) d")
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embedding_helper.pos_embed


class _SoundPatches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, 16, stride=10, bias=False)
        self.norm_layer = nn.LayerNorm(width, eps=1e-5)

    def forward(self, mel: Tensor) -> Tensor:
        return self.norm_layer(rearrange(self.proj(mel), "b d f t -> b (f t) d"))


class SoundStem(nn.Module):
    """Mel spectrogram of 2 s -> 228 overlapping patches and the class token."""

    def __init__(self, width: int = 768) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.rgbt_stem = _SoundPatches(width)
        self.pos_embedding_helper = _Positions(1 + 12 * 19, width)

    def forward(self, mel: Tensor) -> Tensor:
        """(b, 1, 128, 204) -> (b, 229, width)."""
        x = self.rgbt_stem(mel)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embedding_helper.pos_embed


class TextStem(nn.Module):
    """Token ids -> embeddings with positions; holds the causal mask."""

    mask: Tensor

    def __init__(self, width: int = 1024) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, TEXT_TOKENS, width))
        self.register_buffer("mask", torch.full((TEXT_TOKENS, TEXT_TOKENS), float("-inf")).triu(1))
        self.token_embedding = nn.Embedding(VOCABULARY, width)

    def forward(self, ids: Tensor) -> Tensor:
        """(b, 77) -> (b, 77, width)."""
        return self.token_embedding(ids) + self.pos_embed


class _Head(nn.Sequential):
    """From the class token into the common space; the middle is where the published one picks that token."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.LayerNorm(width, eps=_EPS), nn.Identity(), nn.Linear(width, SPACE, bias=False))


def _scale() -> nn.Sequential:
    """The learned scale of a modality: in the file, without effect on cosines."""
    holder = nn.Module()
    holder.log_logit_scale = nn.Parameter(torch.zeros(()))
    return nn.Sequential(nn.Identity(), holder)


class ImageBind(nn.Module):
    """The three towers: 633, 354 and 86 million parameters.

    Args:
        depths: blocks of the towers for pictures, text and sound; the defaults are the published ones.
    """

    def __init__(self, depths: tuple[int, int, int] = (32, 24, 12)) -> None:
        super().__init__()
        pictures, text, sound = depths
        self.modality_preprocessors = nn.ModuleDict({"vision": VisionStem(), "text": TextStem(), "audio": SoundStem()})
        self.modality_trunks = nn.ModuleDict(
            {
                "vision": Trunk(1280, pictures, 16, norm=True),
                "text": Trunk(1024, text, 16),
                "audio": Trunk(768, sound, 12, extra=True),
            }
        )
        text_head = Projection(nn.Sequential(nn.LayerNorm(1024, eps=_EPS), nn.Linear(1024, SPACE, bias=False)))
        self.modality_heads = nn.ModuleDict({"vision": _Head(1280), "text": text_head, "audio": _Head(768)})
        self.modality_postprocessors = nn.ModuleDict({"text": _scale(), "audio": _scale()})

    def vision(self, frames: Tensor) -> Tensor:
        """(b, 3, 2, 224, 224) with CLIP's normalisation -> (b, 1024) of unit length."""
        return self._embedded("vision", frames)

    def sound(self, mel: Tensor) -> Tensor:
        """(b, 1, 128, 204) -> (b, 1024) of unit length (published times 20, which cosines do not see)."""
        return self._embedded("audio", mel)

    def text(self, ids: Tensor) -> Tensor:
        """(b, 77) token ids, whose largest is the end of the text -> (b, 1024) of unit length."""
        stem = self.modality_preprocessors["text"]
        x = self.modality_trunks["text"](stem(ids), stem.mask)
        ends = x[torch.arange(len(ids), device=ids.device), ids.argmax(dim=1)]
        return F.normalize(self.modality_heads["text"](ends), dim=-1)

    def _embedded(self, modality: str, x: Tensor) -> Tensor:
        x = self.modality_trunks[modality](self.modality_preprocessors[modality](x))
        return F.normalize(self.modality_heads[modality](x[:, 0]), dim=-1)
