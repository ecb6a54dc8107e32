"""Files are whole or absent, journal lines durable or gone, damage is named, and one process writes at a time."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx2_reports import store

WRITER = """
import sys
from pathlib import Path
from ltx2_reports.store import atomic_write
target, size = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for turn in range(10**6):
    atomic_write(target, (b"a" if turn % 2 else b"b") * size)
"""

APPENDER = """
import sys
from pathlib import Path
from ltx2_reports.store import Journal
with Journal(Path(sys.argv[1])) as journal:
    for turn in range(10**6):
        journal.append({"turn": turn, "text": "x" * 2000})
        print(turn, flush=True)
"""


def _started(script: str, *arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _killed(process: subprocess.Popen[str], after_s: float) -> str:
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    return output


def test_a_killed_writer_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    target, size = tmp_path / "run.json", 200_000
    for turn in range(5):
        _killed(_started(WRITER, target, size), 0.01 + 0.013 * turn)
        if target.exists():
            assert target.read_bytes() in (b"a" * size, b"b" * size)
    store.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["run.json"])


def test_a_killed_appender_loses_no_line_that_it_reported(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    for turn in range(5):
        before = len(list(store.read_journal(path)))
        output = _killed(_started(APPENDER, path), 0.01 + 0.011 * turn)
        reported = 1 + output.count("\n")  # the first line was read by _started
        found = [record["turn"] for _, record in store.read_journal(path)][before:]
        assert found == list(range(len(found)))
        assert len(found) in (reported, reported + 1)


def test_an_exception_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    store.atomic_write(target, b"old")
    with pytest.raises(RuntimeError):
        _write_half(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def _write_half(target: Path) -> None:
    with store.atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        assert temporary.suffix == target.suffix
        raise RuntimeError


def test_a_writer_that_makes_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), store.atomic_path(tmp_path / "x.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_text_is_written_as_utf8_with_its_line_ends(tmp_path: Path) -> None:
    store.atomic_write(tmp_path / "new" / "folder" / "a.txt", "猫\r\n\n")
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == "猫\r\n\n".encode()


def test_very_long_names_still_get_a_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / ("猫" * 83 + ".json")
    store.atomic_write(target, b"x")
    assert target.read_bytes() == b"x"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on which 64 KiB fit: a file system of its own where we may mount one, else a limit on file sizes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() == 0 and _mounted(folder):
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def _mounted(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_full_disk_keeps_the_old_file(small_disk: Path) -> None:
    target = small_disk / "summary.json"
    store.atomic_write(target, b"old")
    with pytest.raises(OSError) as caught:
        store.atomic_write(target, b"x" * 200_000)
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert target.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [target]


def test_a_full_disk_leaves_no_torn_line_and_the_journal_goes_on(small_disk: Path) -> None:
    path = small_disk / "records.jsonl"
    with store.Journal(path) as journal:
        journal.append({"turn": 0})
        with pytest.raises(OSError):
            journal.append({"text": "x" * 200_000})
        journal.append({"turn": 1})
    assert [record for _, record in store.read_journal(path)] == [{"turn": 0}, {"turn": 1}]


def test_a_failed_sync_leaves_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.jsonl"
    with store.Journal(path) as journal:
        journal.append({"turn": 0})
        monkeypatch.setattr(os, "fsync", _broken_disk)
        with pytest.raises(OSError):
            journal.append({"turn": 1})
    assert [record for _, record in store.read_journal(path)] == [{"turn": 0}]


def _broken_disk(_: int) -> None:
    raise OSError(errno.EIO, "broken")


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    path = tmp_path / "records.jsonl"
    with store.Journal(path) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
        journal.append({"text": "seven bytes at a time"})
    assert [record for _, record in store.read_journal(path)] == [{"text": "seven bytes at a time"}]


def _journal(path: Path, lines: int) -> Path:
    with store.Journal(path) as journal:
        for turn in range(lines):
            journal.append({"turn": turn, "text": f"line {turn} 猫", "value": turn / 3})
    return path


def test_a_torn_last_line_is_dropped_at_every_length(tmp_path: Path) -> None:
    path = _journal(tmp_path / "records.jsonl", 3)
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert [number for number, _ in store.read_journal(path)] == [1, 2]


def test_opening_cuts_the_torn_line_off_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = _journal(tmp_path / "records.jsonl", 2)
    path.write_bytes(path.read_bytes()[:-5])
    with store.Journal(path) as journal:
        journal.append({"turn": "new"})
    assert [record["turn"] for _, record in store.read_journal(path)] == [0, "new"]


def test_an_absent_or_empty_journal_has_no_lines(tmp_path: Path) -> None:
    assert list(store.read_journal(tmp_path / "records.jsonl")) == []
    (tmp_path / "records.jsonl").write_bytes(b"")
    assert list(store.read_journal(tmp_path / "records.jsonl")) == []


def test_a_line_end_overwritten_at_the_end_is_damage_and_nothing_is_cut_off(tmp_path: Path) -> None:
    path = _journal(tmp_path / "records.jsonl", 2)
    damaged = path.read_bytes()[:-1] + b"\x0b"
    path.write_bytes(damaged)
    with pytest.raises(store.DamagedError, match=r"records\.jsonl line 2: ends with byte 0x0b"):
        store.Journal(path)
    assert path.read_bytes() == damaged


def test_white_space_and_spelling_count_as_damage(tmp_path: Path) -> None:
    path = _journal(tmp_path / "records.jsonl", 2)
    path.write_bytes(path.read_bytes().replace(b'"turn": 1', b'"turn":\t1'))
    with pytest.raises(store.DamagedError, match=r"line 2: not as it was written"):
        list(store.read_journal(path))


@pytest.mark.parametrize("line", ["[]", "null", "1", '{"a": 1}', "[" * 100_000])
def test_lines_that_are_not_ours_are_refused_by_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(store.DamagedError, match=r"records\.jsonl line 1: "):
        list(store.read_journal(path))


def test_the_second_writer_is_told_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    process = _started(APPENDER, path)
    with pytest.raises(store.DamagedError, match="another process is writing this run"):
        store.Journal(path)
    _killed(process, 0)
    with store.Journal(path) as journal:
        journal.append({"turn": "after"})
    assert [record["turn"] for _, record in store.read_journal(path)][-1] == "after"


def test_a_second_journal_in_the_same_process_is_told_too(tmp_path: Path) -> None:
    with store.Journal(tmp_path / "records.jsonl"), pytest.raises(store.DamagedError, match="another process"):
        store.Journal(tmp_path / "records.jsonl")
    store.Journal(tmp_path / "records.jsonl").close()


def test_sweep_removes_our_leftovers_and_nothing_else(tmp_path: Path) -> None:
    kept = [".hidden", ".notes.part", "a.part", ".a.12-abcdefgh.part", "clips/.x.part.mp4"]
    stale = [".run.4711-0123abcd.part.json", "clips/.p000-s0.4711-0123abcd.part.mp4", ".x.1-00000000.part"]
    for name in (*kept, *stale):
        store.make_folder((tmp_path / name).parent)
        (tmp_path / name).write_bytes(b"x")
    assert store.sweep(tmp_path) == len(stale)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)


def test_numbers_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with store.Journal(path) as journal:
        for value in (float("nan"), float("inf"), -float("inf")):
            with pytest.raises(ValueError, match="not JSON compliant"):
                journal.append({"value": value})
    assert path.read_bytes() == b""


def test_equal_content_has_an_equal_hash() -> None:
    assert store.canonical_hash({"a": 1, "b": [1.5, "é"]}) == store.canonical_hash({"b": [1.5, "é"], "a": 1})
    assert store.canonical_hash({"a": 1}) != store.canonical_hash({"a": 1.0})


def test_sealed_files_read_back(tmp_path: Path) -> None:
    store.write_sealed(tmp_path / "x.json", {"b": [1, {"c": None}], "a": "猫"})
    assert store.read_sealed(tmp_path / "x.json") == {"b": [1, {"c": None}], "a": "猫"}
    assert json.loads((tmp_path / "x.json").read_text("utf-8"))["a"] == "猫"
