"""SyncNet on clips as they are: the faces are found, followed and cut out first, as its own pipeline does."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import Abstained, ExtractorSpec, present
from ltx2_eval.extractors.centerface import CenterFace, Faces, find_faces, renamed
from ltx2_eval.extractors.face_tracks import MOST_FLEETING, MOST_TINY, Track, crops, face_tracks, shot_starts
from ltx2_eval.extractors.sync_spectra import RATE_HZ
from ltx2_eval.extractors.syncnet import DIMENSION, FPS, SIDE, SyncNet, SyncNetExtractor, shared_streams, shift_curve
from ltx2_eval.weights import weights_path
from ltx2_eval.weights.safe import load_strict, read_state

_BATCH = 8
FACES = "centerface"
TOLD = ("num_tracks", "track_frames", "seen_frames", "face_pixels")
"""What is told of the face beside its embeddings: faces to choose from, frames of 25 Hz, those of them in which it was
found, and its mean width or height."""


class LipTracksExtractor(SyncNetExtractor):
    """Embeddings of lips and sound of the face that fits the sound best.

    Best is, as SyncNet's pipeline judges tracks, the one with the largest confidence: median less least mean distance
    over the shifts.
    """

    def __init__(self, spec: ExtractorSpec, network: SyncNet, faces: CenterFace, device: str) -> None:
        super().__init__(spec, network, device)
        self.faces = faces.eval().requires_grad_(False).to(device)

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load SyncNet, and the face detector beside it.

        Raises:
            NotAvailable: one of the two is missing.
            DamagedError: a file does not fit.
        """
        weights = present(spec, weights)
        network, faces = SyncNet(), CenterFace()
        load_strict(network, read_state(weights), str(weights))
        found = weights_path(FACES)
        load_strict(faces, renamed(read_state(found)), str(found))
        return cls(spec, network, faces, device)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2 k + 1, 1024): k windows of the lips of one face, then the same k windows of sound, then a row that says
        which face it is: see `parted`.

        Raises:
            NotApplicable: a stream is missing, or they overlap for less than 1 s.
            Abstained: no face stays in the picture for 4 s while there is sound, or each is too small.
        """
        frames, waveform = shared_streams(clip)
        tracks = face_tracks(self._found(frames), shot_starts(frames))
        if not tracks:
            raise Abstained(
                f"no face of more than {MOST_TINY} pixels that is seen for more than {MOST_FLEETING / FPS:g} s while "
                "there is sound: there are no lips to judge"
            )
        embedded = [self._of(track, frames, waveform) for track in tracks]
        best = max(range(len(tracks)), key=lambda index: _confidence(embedded[index]))
        return np.concatenate([embedded[best], _told(tracks, best)])

    def _of(self, track: Track, frames: NDArray[np.uint8], waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        sound = waveform[track.start * RATE_HZ // FPS : (track.start + len(track.boxes)) * RATE_HZ // FPS]
        return self.embedded(crops(frames, track, SIDE), sound)

    def _found(self, frames: NDArray[np.uint8]) -> list[Faces]:
        batches = np.array_split(frames, -(-len(frames) // _BATCH))
        return [faces for batch in batches for faces in find_faces(self.faces, batch, self.device)]


def _confidence(features: NDArray[np.float32]) -> float:
    curve = shift_curve(features)
    return float(np.median(curve) - curve.min())


def _told(tracks: list[Track], best: int) -> NDArray[np.float32]:
    """(1, 1024): what `parted` reads, and zeros."""
    row = np.zeros((1, DIMENSION), np.float32)
    row[0, : len(TOLD)] = len(tracks), len(tracks[best].boxes), tracks[best].seen, tracks[best].side
    return row


def parted(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], dict[str, float]]:
    """The embeddings (2 k, 1024), and what is told of the face, by the names of `TOLD`."""
    return features[:-1], dict(zip(TOLD, features[-1].tolist(), strict=False))
