"""Names of models on the command line."""

import pytest

from ltx2_eval.models.settings import parse_model, split_settings


@pytest.mark.parametrize(
    ("text", "label", "kind", "target"),
    [
        ("ltx2", None, "ltx2", ""),
        ("ltx2:nano", None, "ltx2", "nano"),
        ("ltx2@steps=8", None, "ltx2", "@steps=8"),
        ("few=ltx2:nano@steps=8,guidance=none", "few", "ltx2", "nano@steps=8,guidance=none"),
        ("folder:/a=b/c", None, "folder", "/a=b/c"),
        ("mine=folder:/a=b/c", "mine", "folder", "/a=b/c"),
        ("command:gen --x=1 {output}", None, "command", "gen --x=1 {output}"),
        ("v 2=command:gen --x=1 {output}", "v 2", "command", "gen --x=1 {output}"),
        ("world", None, "world", ""),
        ("ceiling=world", "ceiling", "world", ""),
    ],
)
def test_label_kind_target(text, label, kind, target):
    name = parse_model(text)
    assert (name.label, name.kind, name.target) == (label, kind, target)


def test_settings_stand_after_the_last_at_sign():
    assert split_settings("nano@steps=8,guidance=none") == ("nano", {"steps": "8", "guidance": "none"})
    assert split_settings("/a@b/c.safetensors") == ("/a@b/c.safetensors", {})
    assert split_settings("") == ("", {})


def test_a_setting_may_be_a_path():
    assert split_settings("nano@text_encoder=/a@b/gemma") == ("nano", {"text_encoder": "/a@b/gemma"})
    assert split_settings("/a@b/c.safetensors@text_encoder=../gemma,steps=4") == (
        "/a@b/c.safetensors",
        {"text_encoder": "../gemma", "steps": "4"},
    )


@pytest.mark.parametrize("text", ["nano@steps", "nano@=8", "nano@steps=8,steps=9", "nano@"])
def test_broken_settings_are_refused(text):
    with pytest.raises(ValueError, match="expected key=value"):
        split_settings(text)
