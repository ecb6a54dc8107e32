"""What one prompt of a suite says: its text, where it stands on the axes, and what a checker may expect of the clip."""

import math
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from ltx2_benchmarks.ids import check_id

Side = Literal["left", "centre", "right", "left-to-right", "right-to-left"]
Kind = Literal["paraphrase", "minimal", "ladder"]

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*")


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("some text that is not blank")
    return text


def _language(tag: str) -> str:
    if not _LANGUAGE.fullmatch(tag):
        raise ValueError("a BCP-47 language tag such as en, pt-BR or zh-Hant")
    return tag


def _prompt_id(value: str) -> str:
    return check_id(value, "prompt id")


Text = Annotated[str, Field(max_length=10_000), AfterValidator(_filled)]
Label = Annotated[str, Field(max_length=200), AfterValidator(_filled)]
Language = Annotated[str, AfterValidator(_language)]
Seconds = Annotated[float, Field(ge=0, le=600)]


class _Read(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SpeechLine(_Read):
    """One line that somebody says or sings; lines stand in the order in which they are heard."""

    speaker: Label
    """Tag of the speaker, a key of `Expectations.speakers` where that is given."""
    language: Language
    """BCP-47 tag of the language of the line."""
    text: Text
    """The words, as they stand in the prompt."""
    at_s: Seconds | None = None
    """When the line begins, in seconds from the clip's start, where the prompt says so."""
    off_screen: bool = False
    """The speaker is not seen."""
    sung: bool = False
    """The line is sung."""


class SoundEvent(_Read):
    """A sound that must be heard."""

    label: Label
    """What is heard, in a few English words that a text-audio model understands: `dog bark`."""
    count: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many times, where the prompt says so."""
    at_s: Seconds | None = None
    """When the first one begins, in seconds from the clip's start, where the prompt says so."""
    side: Side | None = None
    """Where in the stereo image, or which way it travels."""
    order: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Place in the order of events, from 1; events with the same number sound together."""
    tempo_bpm: Annotated[float, Field(gt=0, le=400)] | None = None
    """Repeats per minute, where the prompt states a rhythm."""


class Expectations(_Read):
    """What a checker may assert about a clip made from the prompt; what is left out is not asserted."""

    speech: tuple[SpeechLine, ...] = ()
    """Lines in the order in which they are heard."""
    speakers: dict[str, Label] = {}
    """Speaker tag to how the prompt describes that speaker, for checks of who says what."""
    num_speakers: Annotated[int, Field(ge=0, le=100)] | None = None
    """How many people speak or sing words; 0 asserts that nobody does."""
    sound_events: tuple[SoundEvent, ...] = ()
    """Sounds that must be heard."""
    forbidden_sounds: tuple[Label, ...] = ()
    """Sounds that must not be heard."""
    silence: bool = False
    """The whole clip must be silent."""
    num_cuts: Annotated[int, Field(ge=0, le=100)] | None = None
    """How many hard cuts there must be."""
    on_screen_text: tuple[Label, ...] = ()
    """Texts that must be readable in the picture."""
    world: dict[str, JsonValue] = {}
    """Exact ground truth for checkers that know its form, such as those of the procedural world."""


class Group(_Read):
    """Prompts that belong together and may share wording."""

    name: Annotated[str, AfterValidator(check_id)]
    """Name that the members share."""
    kind: Kind
    """`paraphrase`: same meaning, scores must not move; `minimal`: one word differs, scores must move; `ladder`: one
    scenario at several durations."""


class Prompt(_Read):
    """One prompt of a suite."""

    id: Annotated[str, AfterValidator(_prompt_id)]
    """Unique in the suite and safe as a file name: `[a-z0-9][a-z0-9._-]{0,63}`."""
    text: Text
    """What the model is given."""
    category: Label = "user"
    """One word for slicing tables."""
    language: Language = "und"
    """BCP-47 tag of the language in which `text` is written (spoken lines have their own); `und` where not stated."""
    duration_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Length of the clip to make, in seconds."""
    axes: dict[str, Label] = {}
    """Axis to value; the written suites use the vocabulary of `ltx2_benchmarks.lint`."""
    tags: tuple[Label, ...] = ()
    """Free marks for slicing."""
    group: Group | None = None
    """The pair or ladder that the prompt belongs to."""
    visual_text: Text | None = None
    """What is seen, in one or two English sentences: CLIP reads no more than 77 tokens."""
    audio_text: Text | None = None
    """What is heard, in one or two English sentences without the spoken words: CLAP reads no more than 77 tokens."""
    expectations: Expectations = Expectations()
    """What a checker may assert."""
    scene: dict[str, JsonValue] | None = None
    """The scene from which the procedural world renders the exact clip."""

    @model_validator(mode="after")
    def _times_within(self) -> "Prompt":
        starts = [line.at_s for line in self.expectations.speech]
        starts += [event.at_s for event in self.expectations.sound_events]
        latest = max((start for start in starts if start is not None), default=-math.inf)
        if latest >= self.duration_s:
            raise ValueError(f"at_s {latest:g} lies in a clip of {self.duration_s:g} s")
        return self
