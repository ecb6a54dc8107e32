"""Where the trained small model lies that the package brings; reading this imports nothing."""

from pathlib import Path

NANO_FOLDER = Path(__file__).parent / "weights" / "nano"
"""A folder in the published layout, for `Pipeline.load`: checkpoint, text encoder, model card. Trained by
`ltx2_eval.nano` for clips of 49 frames of 64x64 pixels at 24 frames a second."""
