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
        # What enters the first block (projections in, modulations) is shared as well; only the way out is not.
        prefix = total(self._block()).times(min(guidance.stg_blocks))
        entered = total(self._ends(isolated=False)).minus(self._project_out())
        return {**parts, "stg": parts["stg"].minus(together(prefix, entered))}

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
        config = self.config
        return together(
            linear(self.tokens.video, config.width, config.out_channels),
            linear(self.tokens.audio, config.audio_width, config.audio_out_channels),
        )
