"""Every writer of run folders goes through `ltx2_reports.store`: the sources are searched for other ways to write."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ltx2_reports

ROOT = Path(__file__).parents[2]
PACKAGES = ("ltx2", "eval/ltx2_eval", "benchmarks/ltx2_benchmarks", "reports/ltx2_reports")
METHODS = {
    *("write_text", "write_bytes", "savez", "savez_compressed", "savetxt", "tofile", "to_csv", "to_parquet"),
    *("save_file", "save_model", "save_pretrained", "copyfile", "copytree", "copy2", "copyfileobj", "rename"),
    *("renames", "symlink_to", "hardlink_to", "NamedTemporaryFile", "mkstemp", "ftruncate", "touch", "fdopen"),
    *("extractall", "urlretrieve"),
}
MODULE_CALLS = {
    *("np.save", "numpy.save", "torch.save", "json.dump", "pickle.dump", "shutil.move", "shutil.copy", "os.replace"),
    *("os.open", "os.write"),
}
ALLOWED = {
    "reports/ltx2_reports/store.py": "the one writer",
    "eval/ltx2_eval/media_write.py": "writes the path it is given, which callers take from atomic_path",
    "eval/ltx2_eval/weights/": "the cache of weights, with hashes of its own; no run folder",
    "eval/ltx2_eval/metrics/vmaf.py": "pipes to a program; no file",
    "eval/ltx2_eval/nano/": "the folder of a training; no run folder",
    "ltx2/": "checkpoints; the model's package knows nothing of runs and may not import the store",
    "benchmarks/ltx2_benchmarks/synthetic/": "writes suites, which are sources; may not import the store",
}
"""File or folder: why what it writes does not pass through the store. Everything else must."""


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _opens_for_writing(call: ast.Call, name: str) -> bool:
    """`open(x, "w")`, `path.open("ab")`, `av.open(x, mode="w")`; a mode that is no constant counts as writing."""
    if name.split(".")[-1] not in ("open", "ZipFile", "TarFile", "memmap", "open_memmap", "TemporaryFile"):
        return False
    first_is_the_file = name == "open" or not isinstance(call.func, ast.Attribute) or _is_module(call.func.value)
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    modes += call.args[1:2] if first_is_the_file else call.args[:1]
    return any(not isinstance(mode, ast.Constant) or set(str(mode.value)) & set("wax+") for mode in modes)


def _is_module(node: ast.expr) -> bool:
    return _name(node) in ("av", "io", "gzip", "bz2", "lzma", "codecs", "tarfile", "zipfile", "wave", "np", "numpy")


def _inside_atomic_path(tree: ast.AST) -> set[ast.AST]:
    """Nodes in the body of `with atomic_path(...) as temporary:`, where writers that need a file name belong."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
    atomic = [block for block in blocks if any(_called(item) == "atomic_path" for item in block.items)]
    return {node for block in atomic for node in ast.walk(block)}


def _called(item: ast.withitem) -> str:
    return _name(item.context_expr.func) if isinstance(item.context_expr, ast.Call) else ""


def writes(source: str) -> Iterator[tuple[str, int]]:
    """Calls past the store that may create, change or replace a file."""
    tree = ast.parse(source)
    inside = _inside_atomic_path(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or node in inside:
            continue
        name = _name(node.func)
        last = name.split(".")[-1]
        save = last == "save" and isinstance(node.func, ast.Attribute)
        if last in METHODS or name in MODULE_CALLS or save or _opens_for_writing(node, name):
            yield name, node.lineno


def _sources() -> dict[str, str]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_nothing_but_the_store_writes() -> None:
    sources = _sources()
    assert len(sources) > 10
    found = [f"{path}:{line} {name}" for path, source in sources.items() for name, line in writes(source)]
    others = [entry for entry in found if not entry.startswith(tuple(ALLOWED))]
    assert not others, "use ltx2_reports.store: " + "; ".join(others)


def test_every_exception_is_still_needed() -> None:
    writing = [path for path, source in _sources().items() if list(writes(source))]
    assert [prefix for prefix in ALLOWED if not any(path.startswith(prefix) for path in writing)] == []


def test_the_search_finds_what_it_is_for() -> None:
    bad = [
        'open("x", "w")',
        'open("x", mode="ab")',
        'open("x", mode)',
        'path.open("r+b")',
        'path.open(mode="x")',
        'path.write_text("x")',
        'Path("x").write_bytes(b"")',
        'np.save("x", a)',
        "os.open(path, os.O_CREAT)",
        'av.open(str(path), "w")',
        'av.open(path, mode="w")',
        'image.save("x.png")',
        "json.dump(x, file)",
        'shutil.move("a", "b")',
        'gzip.open("x", "wb")',
        'safetensors.torch.save_file(x, "y")',
    ]
    good = [
        'open("x")',
        'open("x", "rb")',
        "path.open()",
        'path.open("rb")',
        "av.open(path)",
        'text.replace("a", "b")',
        "json.dumps(x)",
    ]
    assert [source for source in bad if not list(writes(source))] == []
    assert [source for source in good if list(writes(source))] == []


def test_the_package_that_is_tested_is_the_one_that_is_searched() -> None:
    assert (ROOT / "reports" / "ltx2_reports" / "__init__.py").is_file()
    assert ltx2_reports.__doc__
