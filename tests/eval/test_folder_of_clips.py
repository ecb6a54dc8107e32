"""Folders of clips made elsewhere: which files, which prompts."""

import pytest

from ltx2_eval.folder_of_clips import clips_in
from ltx2_eval.models.base import GenerationRequest
from ltx2_eval.models.folder import FolderModel


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "b-s0.mkv", "c.wav", ".hidden.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def request(sample="a-s0", prompt_id="a", prompt="text"):
    return GenerationRequest(
        sample=sample, prompt_id=prompt_id, prompt=prompt, seed=0, num_frames=9, height=64, width=64, fps=24
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
