"""Names of models on the command line."""

import pytest

from ltx2_eval.models.diffusers import _DEFAULTS
from ltx2_eval.models.ltx2_settings import KNOWN
from ltx2_eval.models.settings import parse_model, split_settings
from ltx2_eval.models.words import DIFFUSERS, LTX2


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


def test_a_comma_of_a_value_is_escaped():
    assert split_settings(r"nano@image=a\,b=1.png,steps=4") == ("nano", {"image": "a,b=1.png", "steps": "4"})
    with pytest.raises(ValueError, match=r"a comma inside a value is written \\,"):
        split_settings("nano@image=a,b.png")


def test_every_setting_is_explained():
    assert set(LTX2) == set(KNOWN)
    assert set(DIFFUSERS) == set(_DEFAULTS)


@pytest.mark.parametrize("text", ["nano@steps", "nano@=8", "nano@steps=8,steps=9", "nano@"])
def test_broken_settings_are_refused(text):
    with pytest.raises(ValueError, match="expected key=value"):
        split_settings(text)
