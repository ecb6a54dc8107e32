"""Floating-point operations of the transformer, in closed form from its sizes.

A multiply and an add count as two. Matrix products only (linear layers and the two products of attention), as in
`torch.utils.flop_counter`, which the tests hold every figure against; normalisations, activations and rotations are
below one percent at published sizes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ltx2.config import TransformerConfig
from ltx2.guidance import Guidance
from ltx2.perturbation import Perturbation

_TIMESTEP_CHANNELS = 256
_EXCHANGE = ("audio_to_video", "video_to_audio")


class Work(NamedTuple):
    """FLOPs of linear layers and of attention's two products, and the numbers that both read and write."""

    linear: int = 0
    attention: int = 0
    moved: int = 0
    """Activations read or written, in elements; weights are not among them."""

    @property
    def total(self) -> int:
        """All FLOPs."""
        return self.linear + self.attention

    def times(self, count: int) -> "Work":
        """The same work `count` times."""
        return Work(*(value * count for value in self))

    def minus(self, other: "Work") -> "Work":
        """What is left of this work without the other."""
        return Work(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


def linear(rows: int, width_in: int, width_out: int) -> Work:
    """One linear layer on so many rows."""
    return Work(linear=2 * rows * width_in * width_out, moved=rows * (width_in + width_out))


def attend(queries: int, keys: int, width: int) -> Work:
    """Attention of all heads together: queries with keys, weights with values."""
    return Work(attention=4 * queries * keys * width, moved=2 * (queries + keys) * width)


def together(*works: Work) -> Work:
    """Sum."""
    return Work(*(sum(column) for column in zip(*works, strict=True))) if works else Work()


def total(parts: Mapping[str, Work]) -> Work:
    """Sum of parts."""
    return together(*parts.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenCounts:
    """Lengths of the sequences of one sample."""

    video: int
    audio: int
    text: int = 1024
    """What the prompt is padded to."""


@dataclass(frozen=True, slots=True)
class TransformerFlops:
    """The transformer's work for one sample, by part.

    Args:
        config: Sizes of the model.
        tokens: Lengths of its sequences.
        timesteps_per_token: A noise level for each token (inpainting) instead of one for all.
    """

    config: TransformerConfig
    tokens: TokenCounts
    timesteps_per_token: bool = False

    def text_context(self) -> dict[str, Work]:
        """Caption projections, and keys and values of the text in every block: once per prompt, not per step."""
        layers, width, text = self.config.num_layers, self.config.caption_channels, self.tokens.text
        streams = (("video", self.config.width), ("audio", self.config.audio_width))
        return {
            f"{name}_text_context": together(
                linear(text, width, dim), linear(text, dim, dim), linear(text, dim, dim).times(2 * layers)
            )
            for name, dim in streams
        }

    def step(self, perturbation: Perturbation | None = None) -> dict[str, Work]:
        """One pass through the transformer with the text's keys and values at hand."""
        change = perturbation or Perturbation()
        blocks = {name: work.times(self.config.num_layers) for name, work in self._block().items()}
        if change.isolate:
            blocks = {name: work for name, work in blocks.items() if name not in _EXCHANGE}
        streams = (
            ("video_self", change.video_blocks, self.tokens.video, self.config.width),
            ("audio_self", change.audio_blocks, self.tokens.audio, self.config.audio_width),
        )
        for name, disabled, tokens, width in streams:
            hits = len(set(disabled))
            # Where values pass through, they are still projected, and projected out.
            left = linear(tokens, width, width).times(2) if change.stg_kind == "value" else Work()
            blocks[name] = together(blocks[name].minus(self._block()[name].times(hits)), left.times(hits))
        return {**blocks, **self._ends(isolated=change.isolate)}

    def forward(self) -> dict[str, Work]:
        """One unperturbed pass from the connectors' output on: what one forward of a model without a cache does."""
        return {**self.text_context(), **self.step()}

    def separate_passes(self, guidance: Guidance) -> dict[str, Work]:
        """One guided step with each pass run in full, under the pass's name."""
        return {name: total(self.step(guidance.perturbation(name))) for name in guidance.passes}

    def guided_step(self, guidance: Guidance) -> dict[str, Work]:
        """One guided step as `ltx2.denoise` runs it: of each pass what it does not share with the conditional one."""
        passes = self.separate_passes(guidance)
        block, out = self._block(), self._project_out()
        attended = together(block["video_self"], block["audio_self"])
        entered = total(self._ends(isolated=False)).minus(out)
        shared = {"text": together(entered, attended)}
        if "stg" in passes:
            shared["stg"] = together(entered, total(block).times(min(guidance.stg_blocks)))
        if "modality" in passes:
            shared["modality"] = passes["modality"].minus(self._isolated_rest(guidance))
        return {name: work.minus(shared.get(name, Work())) for name, work in passes.items()}

    def _isolated_rest(self, guidance: Guidance) -> Work:
        """Work of the isolated pass alone: no stream that is not guided by it, and nothing before the exchange."""
        weights = {"video": guidance.video_weights, "audio": guidance.audio_weights}
        streams = [name for name, weight in weights.items() if weight.modality != 0]
        blocks, config = self._block(), self.config
        own = (
            blocks[f"{name}_{part}"].times(config.num_layers - int(part != "feed_forward"))
            for name in streams
            for part in ("self", "text", "feed_forward")
        )
        return together(*own, *(self._project_out_of(name) for name in streams))

    def _block(self) -> dict[str, Work]:
        """The parts of one block."""
        n, a, t = self.tokens.video, self.tokens.audio, self.tokens.text
        video, audio = self.config.width, self.config.audio_width
        # Both cross-attentions run at the audio stream's width: its heads, projected from either stream.
        return {
            "video_self": together(linear(n, video, video).times(4), attend(n, n, video)),
            "audio_self": together(linear(a, audio, audio).times(4), attend(a, a, audio)),
            "video_text": together(linear(n, video, video).times(2), attend(n, t, video)),
            "audio_text": together(linear(a, audio, audio).times(2), attend(a, t, audio)),
            "audio_to_video": together(
                linear(n, video, audio), linear(a, audio, audio).times(2), attend(n, a, audio), linear(n, audio, video)
            ),
            "video_to_audio": together(
                linear(a, audio, audio), linear(n, video, audio).times(2), attend(a, n, audio), linear(a, audio, audio)
            ),
            "video_feed_forward": together(linear(n, video, 4 * video), linear(n, 4 * video, video)),
            "audio_feed_forward": together(linear(a, audio, 4 * audio), linear(a, 4 * audio, audio)),
        }

    def _ends(self, *, isolated: bool) -> dict[str, Work]:
        """What stands before and after the blocks."""
        config, tokens = self.config, self.tokens
        into = together(
            linear(tokens.video, config.in_channels, config.width),
            linear(tokens.audio, config.audio_in_channels, config.audio_width),
        )
        lengths = (tokens.video, tokens.audio) if self.timesteps_per_token else (1, 1)
        # Rows of modulation: six for the blocks; for the cross-attentions four (scale, shift) and one (gate).
        modulation = together(
            *(
                work
                for length, dim in zip(lengths, (config.width, config.audio_width), strict=True)
                for rows in ((6,) if isolated else (6, 4, 1))
                for work in (
                    linear(length, _TIMESTEP_CHANNELS, dim),
                    linear(length, dim, dim),
                    linear(length, dim, rows * dim),
                )
            )
        )
        return {"projections": together(into, self._project_out()), "timesteps": modulation}

    def _project_out(self) -> Work:
        return together(self._project_out_of("video"), self._project_out_of("audio"))

    def _project_out_of(self, stream: str) -> Work:
        config = self.config
        if stream == "video":
            return linear(self.tokens.video, config.width, config.out_channels)
        return linear(self.tokens.audio, config.audio_width, config.audio_out_channels)
