"""The guidance passes of a step as one batch whose rows part only where they begin to differ.

All passes start from the same noisy tokens, and each gives the same as the conditional one up to its first own layer:

- `text` reads the negative prompt in block 0; it shares that block's self-attention;
- `modality` leaves out the exchange between the streams in block 0; it shares the reading of the prompt too;
- `stg` disables the self-attention of its first block; it shares all blocks before.

What is shared is computed once. For the published model with its default guidance four passes cost the FLOPs of 3.27.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ltx2.guidance import Guidance, Pass
from ltx2.perturbation import BlockPlan, StreamPlan, check_blocks, plan_stream

_ORDER: tuple[Pass, ...] = ("text", "conditional", "stg", "modality")
"""Rows of a batch: those that read the same prompt follow each other, and so do those whose streams see each other."""
_BEFORE, _AFTER_SELF, _AFTER_TEXT = range(3)


class PassPlan(NamedTuple):
    """How the transformer runs all passes of a step from one row of tokens."""

    blocks: tuple[BlockPlan, ...]
    video: tuple[Pass, ...]
    """Passes in the rows of the video output."""
    audio: tuple[Pass, ...]
    """As `video`. The isolated pass is left out of a stream that is not guided by it: the other does not see it."""


def plan_passes(
    guidance: Guidance, *, num_layers: int, device: torch.device | str = "cpu", rows_at_once: int | None = None
) -> PassPlan:
    """Plan the passes that a guidance needs.

    The plan is for a text context of two rows, negative prompt and prompt, or of the prompt alone where the guidance
    has no text term.

    Args:
        guidance: What to run.
        num_layers: Blocks of the model.
        device: Of the model.
        rows_at_once: As in `BlockPlan`.

    Raises:
        ValueError: The guidance names a block the model does not have.
    """
    check_blocks([guidance.perturbation(name) for name in guidance.passes], num_layers)
    video, audio = _Rows(guidance, "video", device), _Rows(guidance, "audio", device)
    blocks = tuple(
        BlockPlan(
            video=video.plan(block),
            audio=audio.plan(block),
            cross_rows=_crossing(video.alive(block, _AFTER_TEXT), audio.alive(block, _AFTER_TEXT)),
            rows_at_once=rows_at_once,
        )
        for block in range(num_layers)
    )
    return PassPlan(blocks, video.passes, audio.passes)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one stream on their way through the blocks."""

    guidance: Guidance
    stream: Literal["video", "audio"]
    device: torch.device | str

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Those whose result this stream needs, in order."""
        weights = self.guidance.video_weights if self.stream == "video" else self.guidance.audio_weights
        needed = {name for name in self.guidance.passes if name != "modality" or weights.modality != 0}
        return tuple(name for name in _ORDER if name in needed)

    def alive(self, block: int, point: int) -> tuple[Pass, ...]:
        """Passes that have a row of their own from a point of a block on."""
        return tuple(name for name in self.passes if self._split(name) <= (block, point))

    def plan(self, block: int) -> StreamPlan:
        """How a block treats these rows."""
        perturbations = [self.guidance.perturbation(name) for name in self.alive(block, _BEFORE)]
        disabled = [block in (p.video_blocks if self.stream == "video" else p.audio_blocks) for p in perturbations]
        readers = self.alive(block, _AFTER_SELF)
        negative = readers.count("text")
        return plan_stream(disabled, perturbations, self.device)._replace(
            fork_before=self._fork(block, _BEFORE),
            fork_after_self=self._fork(block, _AFTER_SELF),
            fork_after_text=self._fork(block, _AFTER_TEXT),
            readers=(negative, len(readers) - negative) if negative else (len(readers),),
        )

    def _split(self, name: Pass) -> tuple[int, int]:
        """Block and point from which on a pass differs from the conditional one."""
        first_disabled = min(self.guidance.stg_blocks, default=0)
        splits = {"stg": (first_disabled, _BEFORE), "text": (0, _AFTER_SELF), "modality": (0, _AFTER_TEXT)}
        return splits.get(name, (-1, 0))

    def _fork(self, block: int, point: int) -> Tensor | None:
        after = self.alive(block, point)
        before = tuple(name for name in after if self._split(name) < (block, point))
        if before == after:
            return None
        sources = [before.index(name if name in before else "conditional") for name in after]
        return torch.tensor(sources, device=self.device)


def _crossing(video: tuple[Pass, ...], audio: tuple[Pass, ...]) -> slice | None:
    """Rows in which the streams see each other: the first of both streams, all but the isolated one's."""
    if "modality" not in video and "modality" not in audio:
        return None
    return slice(0, len(video) - video.count("modality"))
