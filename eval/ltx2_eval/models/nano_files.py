"""The small model as files: trained, from the package; or untrained, written into the cache and then kept."""

import json
import tempfile
from pathlib import Path

from ltx2_eval.weights import cache_root
from ltx2_reports.store import atomic_write, canonical_hash, file_hash, make_folder, strict_json

_UNTRAINED_SEED = 0
_RECEIPT = "receipt.json"
"""Hash of every file, written last: a folder without it, or with other bytes, was cut short."""


def nano_folder() -> Path:
    """Folder of the trained model that the package brings.

    Raises:
        ValueError: the installation lacks it.
    """
    from ltx2.bundled import NANO_FOLDER

    if not NANO_FOLDER.is_dir():
        raise ValueError(f"{NANO_FOLDER} is missing; install ltx2-eval again, or name ltx2:nano-untrained")
    return NANO_FOLDER


def untrained_nano_folder() -> Path:
    """Folder of the same model with random weights: written from a seed on first use, then kept."""
    from ltx2.config import NANO, NANO_SPATIAL_UPSAMPLER
    from ltx2.nano import write_untrained
    from ltx2.nano_vocabulary import build_tokenizer

    made_of = canonical_hash([repr(NANO), repr(NANO_SPATIAL_UPSAMPLER), build_tokenizer().to_str()])[:12]
    folder = cache_root() / "models" / f"nano-untrained-{_UNTRAINED_SEED}-{made_of}"
    if not _is_whole(folder):
        make_folder(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".nano-") as scratch:
            made = write_untrained(Path(scratch) / "nano", _UNTRAINED_SEED)
            atomic_write(made / _RECEIPT, strict_json(_hashes(made), indent=1) + "\n")
            _put(made, folder, Path(scratch) / "torn")
    return folder


def _put(made: Path, folder: Path, aside: Path) -> None:
    """Move a complete folder to its place; of two processes at once, either one's stays (they are equal)."""
    try:
        if folder.exists() and not _is_whole(folder):
            folder.replace(aside)
        made.replace(folder)
    except OSError:
        if not _is_whole(folder):
            raise


def _is_whole(folder: Path) -> bool:
    try:
        expected = json.loads((folder / _RECEIPT).read_bytes())
        return bool(expected == _hashes(folder))
    except (OSError, ValueError):
        return False


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file by its path inside the folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _RECEIPT)
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in files}
