"""W1: no pickle is ever opened, but by the converter, which makes nothing of it but arrays."""

import ast
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ltx2_eval.weights.convert import CONVERTERS, main
from ltx2_eval.weights.safe import check_header, load_strict, read_state
from ltx2_reports.store import DamagedError

ROOT = Path(__file__).parents[2]
CONVERTER = ROOT / "eval/ltx2_eval/weights/convert.py"
_MODULES = {"pickle", "_pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}


def _sources():
    folders = ("ltx2", "eval/ltx2_eval", "benchmarks/ltx2_benchmarks", "reports/ltx2_reports")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _offences(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in _MODULES)
        if isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            if call in ("torch.load", "torch.jit.load"):
                yield f"calls {call}"
            yield from ("passes allow_pickle" for keyword in node.keywords if keyword.arg == "allow_pickle")


def test_the_sources_open_no_pickle():
    found = {str(path.relative_to(ROOT)): set(_offences(path)) for path in _sources()}
    offences = {name: what for name, what in found.items() if what}
    assert offences == {str(CONVERTER.relative_to(ROOT)): {"imports pickle", "calls torch.load"}}


def test_the_one_call_of_torch_is_restricted():
    calls = [node for node in ast.walk(ast.parse(CONVERTER.read_text())) if isinstance(node, ast.Call)]
    (call,) = (node for node in calls if ast.unparse(node.func) == "torch.load")
    assert "weights_only=True" in [f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in call.keywords]


class _Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def _object_npy(payload):
    buffer, array = io.BytesIO(), np.empty((), dtype=object)
    array[()] = {"conv1": payload}
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _torch_bytes(payload, *, zipped):
    buffer = io.BytesIO()
    torch.save({"state_dict": payload}, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _zip(payload):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(payload))
    return buffer.getvalue()


_CASES = {
    "w.pt": lambda payload: _torch_bytes(payload, zipped=True),
    "w.pth": lambda payload: _torch_bytes(payload, zipped=False),
    "w.ckpt": lambda payload: pickle.dumps({"params": payload}),
    "w.bin": lambda payload: _torch_bytes(payload, zipped=True),
    "w.pkl": pickle.dumps,
    "w.npy": _object_npy,
    "w.joblib": lambda payload: pickle.dumps([payload], protocol=2),
    "pickle.safetensors": pickle.dumps,
    "zip.safetensors": _zip,
}


@pytest.fixture(params=_CASES)
def trap(request, tmp_path):
    """A file with a payload that makes a folder, and that folder's path; the payload works when it is unpickled."""
    marker, proof = tmp_path / "marker", tmp_path / "proof"
    pickle.loads(pickle.dumps(_Payload(proof)))
    assert proof.is_dir()
    path = tmp_path / request.param
    path.write_bytes(_CASES[request.param](_Payload(marker)))
    return path, marker


def test_a_payload_is_refused_by_the_reader(trap):
    path, marker = trap
    with pytest.raises(ValueError, match=r"other formats are not read|not a safetensors file"):
        read_state(path)
    with pytest.raises(DamagedError, match="not a safetensors file"):
        check_header(path)
    assert not marker.exists()


@pytest.mark.parametrize("converter", CONVERTERS)
def test_a_payload_is_refused_by_every_converter(trap, tmp_path, capsys, converter):
    path, marker = trap
    assert main([converter, str(path), str(tmp_path)]) == 1
    assert capsys.readouterr().err
    assert not marker.exists()
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("content", [{"params": {"a": 1}}, {"params": [np.zeros(2)]}, {"params": np.array(["x"])}, 7])
def test_a_pickle_without_payload_that_is_no_tree_of_arrays_is_refused(tmp_path, capsys, content):
    (tmp_path / "w.ckpt").write_bytes(pickle.dumps(content))
    assert main(["i3d-flax", str(tmp_path / "w.ckpt"), str(tmp_path)]) == 1
    assert "Error" in capsys.readouterr().err


def test_truncated_and_empty_files_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    for data in (b"", b"\x08", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{}more"):
        path.write_bytes(data)
        with pytest.raises(DamagedError, match="not a safetensors file"):
            read_state(path)


def test_weights_of_another_network_are_refused_by_name():
    module = torch.nn.BatchNorm1d(3)
    good = {key: value for key, value in module.state_dict().items() if key != "num_batches_tracked"}
    load_strict(module, good, "here")
    cases = {
        "missing: weight": {key: value for key, value in good.items() if key != "weight"},
        "unknown: extra": {**good, "extra": torch.zeros(1)},
        r"weight is \(4,\)": {**good, "weight": torch.zeros(4)},
        "weight is torch.int64": {**good, "weight": torch.zeros(3, dtype=torch.int64)},
    }
    for message, state in cases.items():
        with pytest.raises(DamagedError, match=f"here: .*{message}"):
            load_strict(module, state, "here")
