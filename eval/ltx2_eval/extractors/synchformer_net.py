"""The networks of Synchformer: MotionFormer for pictures, AST for sound, and a transformer that compares them.

Names of `synchformer_state_dict.pth` (Iashin et al. 2024), so that the published file loads strictly.
"""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.extractors.parts import Dense, Mlp, Projection

WIDTH = 768
SEGMENT_FRAMES = 16
SEGMENTS = 14
"""Segments that the comparing transformer takes: its positions are learned for exactly these."""
VISUAL_TOKENS = 8
"""Per segment: one for two frames."""
SOUND_TOKENS = 6
MELS, MEL_FRAMES = 128, 66
OFFSETS = 21
_SIDE = 14
_VIT_EPS, _AST_EPS, _SYNC_EPS = 1e-6, 1e-12, 1e-5


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v)


class DividedAttention(nn.Module):
    """Attention of patches within groups; the class token sees, and is seen by, all."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, grouped: str, frames: int) -> Tensor:
        """(b, 1 + frames * places, width), class token first; `grouped` is the pattern of (group) (member)."""
        q, k, v = rearrange(self.qkv(x), "b n (part h d) -> part b h n d", part=3, h=self.heads)
        token = _attend(q[:, :, :1], k, v)
        pattern = f"b h (t s) d -> {grouped}"
        parts = [rearrange(part[:, :, 1:], pattern, t=frames) for part in (q, k, v)]
        groups = parts[0].shape[0] // x.shape[0]
        heads = [repeat(part[:, :, :1], "b h n d -> (b g) h n d", g=groups) for part in (k, v)]
        within = _attend(parts[0], torch.cat([heads[0], parts[1]], dim=2), torch.cat([heads[1], parts[2]], dim=2))
        places = rearrange(within, f"{grouped} -> b h (t s) d", b=x.shape[0], **{_GROUPED[grouped]: groups})
        return self.proj(rearrange(torch.cat([token, places], dim=2), "b h n d -> b n (h d)"))


_OVER_TIME, _OVER_SPACE = "(b s) h t d", "(b t) h s d"
_GROUPED = {_OVER_TIME: "s", _OVER_SPACE: "t"}


class DividedBlock(nn.Module):
    """Attention over time at each place, then over space in each frame, then the MLP."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("norm1", "norm2", "norm3"):
            self.add_module(name, nn.LayerNorm(WIDTH, eps=_VIT_EPS))
        self.attn, self.timeattn = DividedAttention(WIDTH, 12), DividedAttention(WIDTH, 12)
        self.mlp = Mlp(WIDTH, 4 * WIDTH)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(b, 1 + frames * places, 768) -> the same shape."""
        x = x + self.timeattn(self.get_submodule("norm3")(x), _OVER_TIME, frames)
        x = x + self.attn(self.get_submodule("norm1")(x), _OVER_SPACE, frames)
        return x + self.mlp(self.get_submodule("norm2")(x))


class Pooling(nn.TransformerEncoderLayer):
    """Joins the tokens of a group into one: its own token goes through one layer with them."""

    def __init__(self) -> None:
        super().__init__(
            WIDTH, 12, 4 * WIDTH, activation="gelu", layer_norm_eps=_VIT_EPS, batch_first=True, norm_first=True
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))

    def pooled(self, tokens: Tensor) -> Tensor:
        """(b, n, 768) -> (b, 768)."""
        own = repeat(self.cls_token, "1 1 d -> b 1 d", b=len(tokens))
        return super().forward(torch.cat([own, tokens], dim=1))[:, 0]


class MotionFormer(nn.Module):
    """16 frames -> 8 tokens (Patrick et al. 2021, divided attention)."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _SIDE**2, WIDTH))
        self.temp_embed = nn.Parameter(torch.zeros(1, VISUAL_TOKENS, WIDTH))
        self.patch_embed = Projection(nn.Conv2d(3, WIDTH, 16, stride=16))  # in the file, used by nobody
        self.patch_embed_3d = Projection(nn.Conv3d(3, WIDTH, (2, 16, 16), stride=(2, 16, 16)))
        self.blocks = nn.ModuleList(DividedBlock() for _ in range(12))
        self.norm = nn.LayerNorm(WIDTH, eps=_VIT_EPS)
        self.spatial_attn_agg = Pooling()

    def forward(self, video: Tensor) -> Tensor:
        """(b, 3, 16, 224, 224) in -1..1 -> (b, 8, 768)."""
        x = rearrange(self.patch_embed_3d(video), "b d t h w -> b t (h w) d")
        places = rearrange(self.pos_embed[:, 1:], "1 s d -> 1 1 s d")
        x = rearrange(x + places + rearrange(self.temp_embed, "1 t d -> 1 t 1 d"), "b t s d -> b (t s) d")
        x = torch.cat([repeat(self.cls_token + self.pos_embed[:, :1], "1 1 d -> b 1 d", b=len(x)), x], dim=1)
        for block in self.blocks:
            x = block(x, VISUAL_TOKENS)
        x = self.norm(x[:, 1:])
        pooled = self.spatial_attn_agg.pooled(rearrange(x, "b (t s) d -> (b t) s d", t=VISUAL_TOKENS))
        return rearrange(pooled, "(b t) d -> b t d", t=VISUAL_TOKENS)


class _AstSelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.output = nn.Module(), Dense(WIDTH, WIDTH)
        for name in ("query", "key", "value"):
            self.attention.add_module(name, nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            rearrange(self.attention.get_submodule(name)(x), "b n (h d) -> b h n d", h=12)
            for name in ("query", "key", "value")
        )
        return self.output(rearrange(_attend(q, k, v), "b h n d -> b n (h d)"))


class _AstLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = _AstSelfAttention()
        self.intermediate, self.output = Dense(WIDTH, 4 * WIDTH), Dense(4 * WIDTH, WIDTH)
        self.layernorm_before = nn.LayerNorm(WIDTH, eps=_AST_EPS)
        self.layernorm_after = nn.LayerNorm(WIDTH, eps=_AST_EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.layernorm_before(x))
        return x + self.output(F.gelu(self.intermediate(self.layernorm_after(x))))


class _AstPatches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Conv2d(1, WIDTH, 16, stride=10)


class _AstEmbeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + 12 * SOUND_TOKENS, WIDTH))
        self.patch_embeddings = _AstPatches()

    def forward(self, mel: Tensor) -> Tensor:
        patches = self.patch_embeddings.projection(rearrange(mel, "b m t -> b 1 m t"))
        tokens = torch.cat([self.cls_token, self.distillation_token], dim=1).expand(len(mel), -1, -1)
        return torch.cat([tokens, rearrange(patches, "b d f t -> b (f t) d")], dim=1) + self.position_embeddings


class _AstLayers(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_AstLayer() for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layer:
            x = layer(x)
        return x


class Ast(nn.Module):
    """Audio spectrogram transformer (Gong et al. 2021), names of transformers 4."""

    def __init__(self, layers: int = 12) -> None:
        super().__init__()
        self.embeddings, self.encoder = _AstEmbeddings(), _AstLayers(layers)
        self.layernorm = nn.LayerNorm(WIDTH, eps=_AST_EPS)

    def forward(self, mel: Tensor) -> Tensor:
        """(b, 128, 66) -> (b, 2 + 12 * 6, 768): two tokens, then patches, frequency-major."""
        return self.layernorm(self.encoder(self.embeddings(mel)))


class SoundTower(nn.Module):
    """0.64 s of sound -> 6 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.ast = Ast()
        self.freq_attn_agg = Pooling()

    def forward(self, mel: Tensor) -> Tensor:
        """(b, 128, 66) normalised log mel -> (b, 6, 768)."""
        patches = self.ast(mel)[:, 2:]
        pooled = self.freq_attn_agg.pooled(rearrange(patches, "b (f t) d -> (b t) f d", t=SOUND_TOKENS))
        return rearrange(pooled, "(b t) d -> b t d", t=SOUND_TOKENS)


class _SyncAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in ("query", "key", "value", "proj"):
            self.add_module(name, nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            rearrange(self.get_submodule(name)(x), "b n (h d) -> b h n d", h=8) for name in ("query", "key", "value")
        )
        return self.get_submodule("proj")(rearrange(_attend(q, k, v), "b h n d -> b n (h d)"))


class _SyncBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH, eps=_SYNC_EPS), nn.LayerNorm(WIDTH, eps=_SYNC_EPS)
        self.attn = _SyncAttention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class _SyncPositions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        length = 2 + SEGMENTS * (VISUAL_TOKENS + SOUND_TOKENS)
        self.pos_emb = nn.Parameter(torch.zeros(1, length, WIDTH))


class SyncTransformer(nn.Module):
    """Both sequences side by side -> scores of 21 offsets from -2 to 2 s."""

    def __init__(self) -> None:
        super().__init__()
        self.OFF_tok = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.MOD_tok = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.vis_in_lnorm = nn.LayerNorm(WIDTH, eps=_SYNC_EPS)
        self.aud_in_lnorm = nn.LayerNorm(WIDTH, eps=_SYNC_EPS)
        self.pos_emb_cfg = _SyncPositions()
        self.blocks = nn.ModuleList(_SyncBlock() for _ in range(3))
        self.ln_f = nn.LayerNorm(WIDTH, eps=_SYNC_EPS)
        self.off_head = nn.Linear(WIDTH, OFFSETS)

    def forward(self, visual: Tensor, sound: Tensor) -> Tensor:
        """(b, 14 * 8, 768), (b, 14 * 6, 768) -> (b, 21)."""
        off, mod = (token.expand(len(visual), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        x = torch.cat([off, self.vis_in_lnorm(visual), mod, self.aud_in_lnorm(sound)], dim=1)
        x = x + self.pos_emb_cfg.pos_emb
        for block in self.blocks:
            x = block(x)
        return self.off_head(self.ln_f(x)[:, 0])


class Synchformer(nn.Module):
    """The whole of it: 237 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.vfeat_extractor = MotionFormer()
        self.afeat_extractor = SoundTower()
        self.vproj, self.aproj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.transformer = SyncTransformer()

    def compare(self, visual: Tensor, sound: Tensor) -> Tensor:
        """Scores of the 21 offsets.

        Args:
            visual: (b, 14, 8, 768) tokens of consecutive segments.
            sound: (b, 14, 6, 768).

        Returns:
            (b, 21); class k stands for -2 + 0.2 k seconds by which the sound comes early.

        Raises:
            ValueError: another number of segments.
        """
        if visual.shape[1] != SEGMENTS or sound.shape[1] != SEGMENTS:
            raise ValueError(f"Synchformer: {visual.shape[1]} and {sound.shape[1]} segments, expected {SEGMENTS}")
        return self.transformer(
            rearrange(self.vproj(visual), "b s t d -> b (s t) d"), rearrange(self.aproj(sound), "b s t d -> b (s t) d")
        )
