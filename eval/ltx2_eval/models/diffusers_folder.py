"""Where a diffusers pipeline lies on this machine, what it consists of, and what identifies it; nothing is fetched."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx2_reports.store import canonical_hash, file_hash

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_INDEX = "model_index.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class PipelineFolder:
    """A folder in the layout of diffusers."""

    path: Path
    class_name: str
    components: tuple[str, ...]
    """Names of the subfolders that the pipeline is made of."""

    @property
    def revision(self) -> str | None:
        """Commit of a snapshot in the hub's cache; None for other folders."""
        in_cache = self.path.parent.name == "snapshots" and _COMMIT.fullmatch(self.path.name)
        return self.path.name if in_cache else None

    def content_hash(self) -> str:
        """SHA-256 over the names and contents of everything the pipeline is loaded from."""
        files = [self.path / _INDEX]
        for name in self.components:
            files += sorted(path for path in (self.path / name).rglob("*") if path.is_file())
        return canonical_hash([[file.relative_to(self.path).as_posix(), file_hash(file)] for file in files])


def find_folder(target: str, revision: str | None) -> PipelineFolder:
    """The pipeline with a name: a local folder, or an id that the hub's cache has.

    Raises:
        ValueError: neither, or a folder that is incomplete or of another layout.
    """
    path = Path(target).expanduser()
    if path.exists():
        if revision is not None:
            raise ValueError(f"diffusers:{target} is a local folder, which has no revisions; leave out revision=")
        return _read(path, f"fetch {path} again")
    if not _HUB_ID.fullmatch(target):
        raise ValueError(f"model diffusers:{target}: there is no such folder; expected a folder or ORGANISATION/NAME")
    wanted = f"hf download {target}" + (f" --revision {revision}" if revision else "")
    return _read(_cached(target, revision, wanted), f"run `{wanted}`")


def _cached(hub_id: str, revision: str | None, wanted: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        raise ValueError(
            f"model diffusers:{hub_id} is no local folder, and the hub's cache on this machine does not have it; "
            f"nothing is fetched unasked: run `{wanted}` first"
        ) from None
    except HFValidationError as error:
        raise ValueError(f"model diffusers:{hub_id}: {error}") from None


def _read(path: Path, mend: str) -> PipelineFolder:
    index = path / _INDEX
    if not index.is_file():
        raise ValueError(f"{path} has no {_INDEX}; expected the folder of a diffusers pipeline")
    try:
        content: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        name = content["_class_name"]
        parts = {key: value for key, value in content.items() if isinstance(value, list) and len(value) == 2}
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{index} does not say which pipeline it is; {mend}") from None
    components = tuple(sorted(key for key, (library, _) in parts.items() if library))
    missing = [key for key in components if not (path / key).is_dir()]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}, which {_INDEX} names; {mend}")
    if not isinstance(name, str) or not any(path.glob("*/*.safetensors")):
        raise ValueError(f"{path} has no weights in safetensors files, and no others are loaded; {mend}")
    return PipelineFolder(path, name, components)
