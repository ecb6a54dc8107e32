"""Weights that are damaged or of another network: the record says so, every other metric is scored, exit code 1."""

from fractions import Fraction

import numpy as np
import pytest
from safetensors.numpy import save_file

from ltx2_eval import weights
from ltx2_eval.cli import main
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import UnusableWeights
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.media import write_clip
from ltx2_eval.weights.cache import keep, new_folder, stored_folder
from ltx2_eval.weights.lockfile import entry
from ltx2_reports.records import read_run


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTX2_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _pulled(name, files=("model.safetensors",), content=None):
    """As if the file had been pulled; of another network."""
    item = entry(name)
    with new_folder(item) as folder:
        for file in files:
            (folder / file).write_text(content or "{}")
        save_file({"other": np.zeros(3, np.float32)}, folder / "model.safetensors")
        return keep(folder, item, item.sha256 or "a" * 64, item.revision)


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(2):
        random = np.random.default_rng(i)
        video = random.integers(0, 255, (24, 64, 64, 3), dtype=np.uint8)
        audio = random.normal(0, 0.1, (1, 24_000)).astype(np.float32)
        clip = Clip(video=video, fps=Fraction(24), audio=audio, rate_hz=24_000)
        write_clip(clip, folder / f"{i}.mp4", container="mp4")
    return folder


@pytest.mark.parametrize("changed_since", [False, True])
def test_the_other_metrics_are_scored_and_the_record_says_what_to_pull(
    cache, clips, tmp_path, changed_since, monkeypatch, capsys
):
    stored = _pulled("vggish")
    if changed_since:
        path = stored / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    metrics = ["--metric", "fad_vggish", "--metric", "audio.loudness_lufs"]
    given = ["score", str(clips), *metrics, "--reference", str(clips), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["ltx2-eval", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "fad_vggish: the weights are here but cannot be used" in " ".join(capsys.readouterr().err.split())
    run = read_run(tmp_path / "out")
    assert run.header.status == "done"
    assert [value.value is not None for value in run.of_metric("audio.loudness_lufs")] == [True, True]
    (refused,) = run.of_metric("fad_vggish")
    assert (refused.reason.kind, refused.reason.error) == ("not_available", "UnusableWeights")
    assert refused.reason.message.endswith("`ltx2-eval weights pull vggish`")
    assert ("SHA-256" if changed_since else "not the weights of this network") in refused.reason.message


def test_a_damaged_receipt_is_told_on_loading_alone(cache):
    folder = _pulled("clip-vit-b32", ("config.json",))
    (folder / "receipt.json").write_text("{")
    pool = ExtractorPool()
    assert pool.weights_sha256("clip-vit-b32-frames") is None
    with pytest.raises(UnusableWeights, match=r"weights pull clip-vit-b32`$"):
        pool.get("clip-vit-b32-frames")


def test_what_lies_beside_the_weights_belongs_to_their_identity(cache, tmp_path, monkeypatch):
    first = _identity("clip-vit-b32", '{"a": 1}')
    assert first == _identity("clip-vit-b32", '{"a": 1}', tmp_path / "again", monkeypatch)
    assert first != _identity("clip-vit-b32", '{"a": 2}', tmp_path / "other", monkeypatch)
    assert weights.weights_sha256("clip-vit-b32") in (entry("clip-vit-b32").sha256, "a" * 64)


def _identity(name, config, cache=None, monkeypatch=None):
    if monkeypatch is not None:
        monkeypatch.setenv("LTX2_EVAL_CACHE", str(cache))
    assert stored_folder(entry(name)) is None
    _pulled(name, ("config.json",), config)
    return weights.identity_sha256(name)


def test_pinned_companions_need_no_pull_to_be_known(cache):
    item = entry("whisper-base")
    assert all(part.sha256 for part in item.companions)
    assert weights.identity_sha256("whisper-base") not in (None, item.sha256)
