"""`folder:PATH`: clips that were made elsewhere, taken as they are."""

import functools
from pathlib import Path

from ltx2_eval.folder_of_clips import FoundClip, clips_in
from ltx2_eval.models.base import Generated, GenerationRequest
from ltx2_reports.records import ClipShape, Scalar
from ltx2_reports.store import canonical_hash, file_hash


class FolderModel:
    """Answers each request with the file of that prompt.

    A file belongs to a prompt if `prompts.jsonl` or `prompts.csv` in the folder says so (by id or text), or if its stem
    is the sample's id (`PROMPT-sSEED`) or the prompt's id.
    """

    def __init__(self, folder: Path) -> None:
        self._clips = clips_in(folder)
        self._by_stem = {clip.path.stem: clip for clip in self._clips}
        self._by_prompt = {clip.prompt_id: clip for clip in self._clips}
        self._by_text = {clip.text: clip for clip in self._clips if clip.text}
        self.folder = folder

    @functools.cache  # noqa: B019 - one instance per run
    def identity(self) -> dict[str, Scalar]:
        """Hash over the names and contents of the clips."""
        contents = sorted((clip.path.name, file_hash(clip.path)) for clip in self._clips)
        return {"folder_sha256": canonical_hash(contents), "clips": len(contents)}

    def preferred_shape(self) -> ClipShape | None:
        """None: takes whatever is asked for."""
        return None

    def generate(self, request: GenerationRequest) -> Generated:
        """The clip of this prompt, as a file.

        Raises:
            ValueError: the folder has no clip for it.
        """
        return Generated(file=self._find(request).path)

    def _find(self, request: GenerationRequest) -> FoundClip:
        found = (
            self._by_stem.get(request.sample)
            or self._by_prompt.get(request.prompt_id)
            or self._by_text.get(request.prompt)
            or self._by_stem.get(request.prompt_id)
        )
        if found is None:
            raise ValueError(
                f"{self.folder.name} has no clip for {request.sample}: expected {request.sample}.mp4, "
                f"{request.prompt_id}.mp4, or a line in prompts.jsonl"
            )
        return found
