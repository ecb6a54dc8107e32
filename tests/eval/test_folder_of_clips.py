"""Folders of clips made elsewhere: which files, which prompts."""

import errno
import os
import socket
from pathlib import Path

import pytest

import ltx2_eval.folder_of_clips
from ltx2_benchmarks.suite import load_suite
from ltx2_eval.folder_of_clips import clips_in, contents
from ltx2_eval.models.base import GenerationRequest
from ltx2_eval.models.folder import FolderModel
from ltx2_eval.models.registry import ModelContext, load_model
from ltx2_eval.reference import load_reference
from ltx2_reports.store import file_hash


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "b-s0.mkv", "c.wav", ".hidden.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def request(sample="a-s0", prompt_id="a", prompt="text", seed=0):
    return GenerationRequest(
        sample=sample, prompt_id=prompt_id, prompt=prompt, seed=seed, num_frames=9, height=64, width=64, fps=24
    )


def test_media_files_in_the_order_of_their_names(folder):
    assert [clip.path.name for clip in clips_in(folder)] == ["a.mp4", "b-s0.mkv", "c.wav"]
    assert (clips_in(folder)[0].prompt_id, clips_in(folder)[0].text) == ("a", None)


def test_prompts_from_json_lines(folder):
    (folder / "prompts.jsonl").write_text('{"file": "a.mp4", "text": "A bell.", "id": "bell", "note": 3}\n\n')
    first = clips_in(folder)[0]
    assert (first.prompt_id, first.text) == ("bell", "A bell.")


def test_prompts_from_csv_with_a_byte_order_mark(folder):
    (folder / "prompts.csv").write_text('\ufefffile,text\na.mp4,"A bell, then rain."\n')
    first = clips_in(folder)[0]
    assert (first.prompt_id, first.text) == ("a", "A bell, then rain.")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("prompts.jsonl", b'{"file": "absent.mp4", "text": "x"}\n', "line 1: names 'absent.mp4', which is not"),
        (
            "prompts.jsonl",
            b'{"file": "a.mp4", "text": "x"}\n{"file": "a.mp4", "text": "y"}\n',
            "line 2: 'a.mp4' stands twice",
        ),
        ("prompts.jsonl", b'{"file": "a.mp4", "text": 3}\n', "line 1: field text: found 3, expected text"),
        ("prompts.jsonl", b"[1]\n", "line 1: found [1], expected an object"),
        ("prompts.jsonl", b"{\n", "line 1: not JSON"),
        ("prompts.jsonl", b"[" * 100_000, "line 1: not JSON"),
        ("prompts.jsonl", b"\xff\xfe\n", "not UTF-8"),
        ("prompts.csv", b"file,text\nabsent.mp4,x\n", "line 2: names 'absent.mp4'"),
        ("prompts.csv", b"file,prompt\na.mp4,x\n", "line 2: found the fields 'file', 'prompt'; expected 'file' and"),
        ("prompts.jsonl", b'{"file": "a.mp4", "prompt": "x"}\n', "line 1: found the fields 'file', 'prompt'"),
    ],
)
def test_a_broken_prompt_file_is_named_by_line(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        clips_in(folder)
    assert message in str(caught.value)


def test_two_prompt_files_are_one_too_many(folder):
    (folder / "prompts.csv").write_text("file,text\n")
    (folder / "prompts.jsonl").write_text("")
    with pytest.raises(ValueError, match="keep one"):
        clips_in(folder)


def test_no_folder_and_no_clips(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        clips_in(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no clips; expected files ending in"):
        clips_in(tmp_path)


def test_the_folder_model_finds_by_sample_prompt_text_and_stem(folder):
    (folder / "prompts.jsonl").write_text('{"file": "c.wav", "text": "A long hum."}\n')
    model = FolderModel(folder)
    assert model.generate(request()).file.name == "a.mp4"
    assert model.generate(request(sample="b-s0", prompt_id="b")).file.name == "b-s0.mkv"
    assert model.generate(request(sample="x-s0", prompt_id="x", prompt="A long hum.")).file.name == "c.wav"
    with pytest.raises(ValueError, match=r"has no clip for x-s0: expected x-s0\.mp4, x\.mp4"):
        model.generate(request(sample="x-s0", prompt_id="x"))


def test_the_folder_models_identity_is_its_contents(folder):
    before = FolderModel(folder).identity()
    assert FolderModel(folder).identity() == before
    (folder / "a.mp4").write_bytes(b"other")
    assert FolderModel(folder).identity() != before


def make_odd(path, kind):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "dangling":
        path.symlink_to("nowhere.mp4")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"")


ODD = {
    "folder": "found a folder, expected a regular media file",
    "pipe": "found a pipe",
    "socket": "found a socket",
    "device": "found a device",
    "dangling": "found a link that leads nowhere",
    "loop": "found a link that leads nowhere",
    "empty": "found an empty file",
}


@pytest.fixture
def odd_folder(folder, monkeypatch):
    """A folder with every kind of entry that is no clip but has the name of one; its path is kept short for the
    socket.
    """
    monkeypatch.chdir(folder)
    for kind in ODD:
        make_odd(Path(f"odd-{kind}.mp4"), kind)
    (folder / "pictures").mkdir()
    return folder


def test_entries_that_are_no_files_are_found_without_opening_them(odd_folder):
    clips = {clip.path.stem.removeprefix("odd-"): clip for clip in clips_in(odd_folder)}
    assert set(clips) == {*ODD, "a", "b-s0", "c"}
    for kind, message in ODD.items():
        assert clips[kind].sha256 is None
        reason = clips[kind].reason
        assert (reason.kind, reason.stage) == ("failed", "decode")
        assert reason.message.startswith(f"odd-{kind}.mp4: {message}")
    assert clips["a"].sha256 == file_hash(odd_folder / "a.mp4")
    assert clips["a"].reason is None


def test_a_file_that_cannot_be_read_has_a_reason(folder, monkeypatch):
    def broken(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(ltx2_eval.folder_of_clips, "file_hash", broken)
    clip = clips_in(folder)[0]
    assert clip.sha256 is None
    assert (clip.reason.kind, clip.reason.error) == ("failed", "OSError")
    assert clip.reason.message == "a.mp4: cannot be read (Input/output error); mend or remove it"


def test_a_file_is_read_once(folder, monkeypatch):
    read = []
    monkeypatch.setattr(ltx2_eval.folder_of_clips, "file_hash", lambda path: read.append(path.name) or "0" * 64)
    clips = clips_in(folder)
    assert read == []
    assert contents(clips) == [["a.mp4", "0" * 64], ["b-s0.mkv", "0" * 64], ["c.wav", "0" * 64]]
    assert contents(clips)
    assert [clip.reason for clip in clips] == [None] * 3
    assert read == ["a.mp4", "b-s0.mkv", "c.wav"]


def test_a_name_that_is_not_utf8_is_named(folder):
    Path(os.fsdecode(bytes(folder) + b"/bad-\xff.mp4")).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"the name 'bad-\\udcff\.mp4' is not UTF-8; rename the file"):
        clips_in(folder)


def test_the_folder_model_refuses_an_odd_entry_only_when_it_is_asked_for(odd_folder):
    model = FolderModel(odd_folder)
    assert model.identity()["clips"] == len(ODD) + 3
    assert model.generate(request()).file.name == "a.mp4"
    for kind, message in ODD.items():
        with pytest.raises(ValueError, match=f"odd-{kind}.mp4: {message}"):
            model.generate(request(sample=f"odd-{kind}-s0", prompt_id=f"odd-{kind}"))


@pytest.mark.parametrize("kind", ODD)
def test_a_reference_has_to_be_whole(folder, kind, monkeypatch):
    monkeypatch.chdir(folder)
    assert load_reference(str(folder), "mp4").ref.n == 3
    make_odd(Path("b.mp4"), kind)
    with pytest.raises(ValueError) as caught:
        load_reference(str(folder), "mp4")
    assert f"reference set {folder.name}, clip b.mp4: {ODD[kind]}" in str(caught.value)
    assert str(caught.value).endswith("; remove or replace it")


def test_a_clip_without_a_seed_is_refused_in_a_run_with_several(folder):
    with pytest.raises(ValueError, match=r"one clip per prompt, the run 2 seeds \(a\.mp4 does not .*give one --seed"):
        FolderModel(folder, seeds=(0, 1))
    for name in ("a.mp4", "c.wav"):
        (folder / name).unlink()
    (folder / "b-s1.mkv").write_bytes(b"other")
    (folder / "prompts.jsonl").write_text('{"file": "b-s0.mkv", "text": "text", "id": "a"}\n')
    model = FolderModel(folder, seeds=(0, 1))
    assert model.generate(request(sample="b-s0", prompt_id="b")).file.name == "b-s0.mkv"
    assert model.generate(request(sample="b-s1", prompt_id="b", seed=1)).file.name == "b-s1.mkv"
    with pytest.raises(ValueError, match=r"has no clip for a-s1: expected a-s1\.mp4$"):
        model.generate(request(sample="a-s1", prompt_id="a", prompt="text", seed=1))


def test_the_registry_passes_the_seeds_on(folder, tmp_path):
    context = ModelContext(device="cpu", suite=load_suite("world"), container="mp4", seeds=(0, 1))
    with pytest.raises(ValueError, match="has one clip per prompt, the run 2 seeds"):
        load_model(f"folder:{folder}", context)
    with pytest.raises(ValueError, match="world has one clip per prompt, the run 2 seeds: give one --seed"):
        load_model("world", context)


def test_two_clips_for_one_prompt_are_one_too_many(folder):
    (folder / "prompts.jsonl").write_text(
        '{"file": "a.mp4", "text": "A bell."}\n{"file": "c.wav", "text": "A bell."}\n'
    )
    with pytest.raises(ValueError, match=r"has 2 clips for x-s0 \(a\.mp4, c\.wav\): keep one, or name it x-s0\.mp4"):
        FolderModel(folder).generate(request(sample="x-s0", prompt_id="x", prompt="A bell."))
