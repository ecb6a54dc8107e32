"""A build back end that runs nothing of the package it is asked about (PEP 517).

`pip download` asks the back end of a source archive for its metadata before it saves the archive, which would run the
package's setup code. Put in the place of `setuptools.build_meta`, this answers from the archive's own PKG-INFO.
"""

from pathlib import Path
from typing import Any


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Nothing is needed, since nothing is built."""
    return []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Any = None) -> str:
    """Write a `.dist-info` folder with the name and version that PKG-INFO states (current folder: the source tree)."""
    lines = Path("PKG-INFO").read_text(encoding="utf-8", errors="replace").splitlines()
    fields = dict(line.split(": ", 1) for line in lines if line.startswith(("Name: ", "Version: ")))
    folder = Path(metadata_directory) / f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
    folder.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {fields['Name']}\nVersion: {fields['Version']}\n"
    (folder / "METADATA").write_text(metadata, encoding="utf-8")
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    return folder.name


class _Legacy:
    """`setuptools.build_meta:__legacy__`, the back end of archives without pyproject.toml."""

    get_requires_for_build_wheel = staticmethod(get_requires_for_build_wheel)
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)


__legacy__ = _Legacy()
