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


class Work(NamedTuple):
    """FLOPs of linear layers, and of attention's products of queries with keys and of weights with values."""

    linear: int = 0
    attention: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.linear + self.attention

    def times(self, count: int) -> "Work":
        """The same work `count` times."""
        return Work(self.linear * count, self.attention * count)


def total(parts: Mapping[str, Work]) -> Work:
    """Sum of parts."""
    return Work(sum(part.linear for part in parts.values()), sum(part.attention for part in parts.values()))


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
            f"{name}_text_context": Work(2 * text * (width * dim + dim * dim) + layers * 2 * text * 2 * dim * dim)
            for name, dim in streams
        }

    def step(self, perturbation: Perturbation | None = None) -> dict[str, Work]:
        """One pass through the transformer with the text's keys and values at hand."""
        change = perturbation or Perturbation()
        layers = self.config.num_layers
        skipped = change.stg_kind == "skip"
        video_self = layers - (len(set(change.video_blocks)) if skipped else 0)
        audio_self = layers - (len(set(change.audio_blocks)) if skipped else 0)
        parts = self._block()
        crossing = 0 if change.isolate else layers
        times = {"video_self": video_self, "audio_self": audio_self}
        times |= {"audio_to_video": crossing, "video_to_audio": crossing}
        blocks = {name: work.times(times.get(name, layers)) for name, work in parts.items()}
        return {**blocks, **self._ends(isolated=change.isolate)}

    def forward(self) -> dict[str, Work]:
        """One unperturbed pass from the connectors' output on: what one forward of a model without a cache does."""
        return {**self.text_context(), **self.step()}

    def guided_step(self, guidance: Guidance) -> dict[str, Work]:
        """One guided step: each pass of the plan, run in full, under the pass's name."""
        return {name: total(self.step(guidance.perturbation(name))) for name in guidance.passes}

    def shared_guided_step(self, guidance: Guidance) -> dict[str, Work]:
        """As `guided_step`, but the `stg` pass starts where it first differs from the conditional one.

        The blocks before the first perturbed one give the same in both passes, so they need to run once only.
        """
        parts = self.guided_step(guidance)
        if "stg" not in parts:
            return parts
        shared = min(guidance.stg_blocks)
        prefix = total(self._block()).times(shared)
        ends = total(self._ends(isolated=False))
        out = self._project_out()
        # What enters the first block (projections in, modulations) is shared as well; only the way out is not.
        entered = Work(ends.linear - out.linear)
        stg = parts["stg"]
        rest = Work(stg.linear - prefix.linear - entered.linear, stg.attention - prefix.attention)
        return {**parts, "stg": rest}

    def _block(self) -> dict[str, Work]:
        """The parts of one block."""
        n, a, t = self.tokens.video, self.tokens.audio, self.tokens.text
        video, audio = self.config.width, self.config.audio_width
        return {
            "video_self": Work(2 * n * 4 * video**2, 4 * n * n * video),
            "audio_self": Work(2 * a * 4 * audio**2, 4 * a * a * audio),
            "video_text": Work(2 * n * 2 * video**2, 4 * n * t * video),
            "audio_text": Work(2 * a * 2 * audio**2, 4 * a * t * audio),
            # Both run at the audio stream's width: its heads, on queries and keys projected from either stream.
            "audio_to_video": Work(2 * n * 2 * video * audio + 2 * a * 2 * audio**2, 4 * n * a * audio),
            "video_to_audio": Work(2 * a * 2 * audio**2 + 2 * n * 2 * video * audio, 4 * n * a * audio),
            "video_feed_forward": Work(2 * n * 8 * video**2),
            "audio_feed_forward": Work(2 * a * 8 * audio**2),
        }

    def _ends(self, *, isolated: bool) -> dict[str, Work]:
        """What stands before and after the blocks."""
        config = self.config
        into = 2 * (
            self.tokens.video * config.in_channels * config.width
            + self.tokens.audio * config.audio_in_channels * config.audio_width
        )
        lengths = (self.tokens.video, self.tokens.audio) if self.timesteps_per_token else (1, 1)
        # Rows of modulation: six for the blocks; for the cross-attentions four (scale, shift) and one (gate).
        rows = (6,) if isolated else (6, 4, 1)
        widths = (config.width, config.audio_width)
        modulation = sum(
            2 * length * (_TIMESTEP_CHANNELS * dim + dim**2 + count * dim**2)
            for length, dim in zip(lengths, widths, strict=True)
            for count in rows
        )
        return {"projections": Work(into + self._project_out().linear), "timesteps": Work(modulation)}

    def _project_out(self) -> Work:
        config = self.config
        return Work(
            2 * self.tokens.video * config.width * config.out_channels
            + 2 * self.tokens.audio * config.audio_width * config.audio_out_channels
        )
