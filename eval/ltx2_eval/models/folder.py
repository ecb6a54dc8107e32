"""`folder:PATH`: clips that were made elsewhere, taken as they are."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ltx2_eval.folder_of_clips import FoundClip, clips_in, contents
from ltx2_eval.models.base import Generated, GenerationRequest, NoisePlan
from ltx2_reports.records import ClipShape, Scalar
from ltx2_reports.store import canonical_hash

_SEEDED = re.compile(r".+-s\d+")


class FolderModel:
    """Answers each request with the file of that prompt.

    A file belongs to a request if its stem is the sample's id (`PROMPT-sSEED`). In a run with one seed, a file without
    a seed in its name will do: the one that `prompts.jsonl` or `prompts.csv` in the folder gives to the prompt (by id
    or text), or whose stem is the prompt's id.

    Args:
        folder: Where the clips lie.
        seeds: All seeds of the run.
        noise: What is known of the noise that the clips were made from.

    Raises:
        ValueError: several seeds, and a file that does not say of which it is: it would be counted once per seed.
    """

    def __init__(self, folder: Path, seeds: tuple[int, ...] = (0,), noise: NoisePlan = None) -> None:
        self.folder, self.noise = folder, noise
        self._clips = clips_in(folder)
        self._needs_seed = len(seeds) > 1
        if self._needs_seed:
            self._refuse_without_seed(seeds)
        self._by_stem = _grouped((clip.path.stem, clip) for clip in self._clips)
        self._by_prompt = _grouped((clip.prompt_id, clip) for clip in self._clips)
        self._by_text = _grouped((clip.text, clip) for clip in self._clips if clip.text)

    @functools.cache  # noqa: B019 - one instance per run
    def identity(self) -> dict[str, Scalar]:
        """Hash over the names and contents of the clips."""
        return {"folder_sha256": canonical_hash(contents(self._clips)), "clips": len(self._clips)}

    def preferred_shape(self) -> ClipShape | None:
        """None: takes whatever is asked for."""
        return None

    def check(self, request: GenerationRequest) -> None:
        """Accept anything: a clip that is not there concerns its sample only."""

    def generate(self, request: GenerationRequest) -> Generated:
        """The clip of this prompt, as a file.

        Raises:
            ValueError: the folder has no clip for it, several, or one that is no readable file.
        """
        clip = self._find(request)
        if clip.reason is not None:
            raise ValueError(clip.reason.message)
        return Generated(file=clip.path)

    def _find(self, request: GenerationRequest) -> FoundClip:
        ways = [self._by_stem.get(request.sample)]
        if not self._needs_seed:
            ways += [
                self._by_prompt.get(request.prompt_id),
                self._by_text.get(request.prompt),
                self._by_stem.get(request.prompt_id),
            ]
        found = next((clips for clips in ways if clips), [])
        if not found:
            others = "" if self._needs_seed else f", {request.prompt_id}.mp4, or a line in prompts.jsonl"
            raise ValueError(
                f"{self.folder.name} has no clip for {request.sample}: expected {request.sample}.mp4{others}"
            )
        if len(found) > 1:
            raise ValueError(
                f"{self.folder.name} has {len(found)} clips for {request.sample} ({found[0].path.name}, "
                f"{found[1].path.name}): keep one, or name it {request.sample}{found[0].path.suffix}"
            )
        return found[0]

    def _refuse_without_seed(self, seeds: tuple[int, ...]) -> None:
        without = next((clip.path.name for clip in self._clips if not _SEEDED.fullmatch(clip.path.stem)), None)
        if without is not None:
            raise ValueError(
                f"{self.folder.name} has one clip per prompt, the run {len(seeds)} seeds ({without} does not say of "
                "which it is, and would be counted once per seed): give one --seed, or name the files PROMPT-sSEED"
            )


def _grouped(pairs: Iterable[tuple[str, FoundClip]]) -> dict[str, list[FoundClip]]:
    groups: dict[str, list[FoundClip]] = defaultdict(list)
    for key, clip in pairs:
        groups[key].append(clip)
    return dict(groups)
