"""Captions of scenes from a small grammar: each says everything that can be checked, in several wordings."""

from collections.abc import Sequence
from typing import Any

from ltx2_benchmarks.synthetic.expectations import describe
from ltx2_benchmarks.synthetic.scene import Scene

NUM_VARIANTS = 12
"""After so many variants the wordings repeat."""

_NUMBERS = (
    "no times", "once", "twice", "three times", "four times", "five times", "six times", "seven times", "eight times",
    "nine times", "ten times", "eleven times", "twelve times",
)  # fmt: skip
_ADJECTIVE = {"wood": "wooden", "metal": "metal", "glass": "glass", "rubber": "rubber", "stone": "stone"}
_NOISE = {
    "wood": ("a wooden knock", "a dry knock of wood"),
    "metal": ("a metallic clang", "a ringing clang of metal"),
    "glass": ("a bright glass clink", "a high clink of glass"),
    "rubber": ("a dull rubber thud", "a soft low thud of rubber"),
    "stone": ("a short stone clack", "a hard clack of stone"),
    "beep": ("a short beep", "a brief electronic beep"),
    "hum": ("a low hum", "a deep hum"),
    "tone": ("a steady high tone", "a high, constant tone"),
}
_NOUN = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle", "triangle"),
    "diamond": ("diamond", "rhombus"),
    "star": ("star", "five-pointed star"),
    "cross": ("cross", "plus sign"),
}
_WHERE = {
    "left": ("on the left", "at the left side"),
    "centre": ("in the centre", "in the middle"),
    "right": ("on the right", "at the right side"),
}
_WHEN = {
    "early": ("early in the clip", "in the first third of the clip"),
    "middle": ("halfway through the clip", "in the second third of the clip"),
    "late": ("late in the clip", "in the last third of the clip"),
}
_PATTERN = {"plain": ("plain", "smooth"), "striped": ("striped", "striped"), "checked": ("checked", "chequered")}
_CAMERA = {
    "still": ("the camera is still", "the camera does not move"),
    "pan left": ("the camera pans left", "the camera moves slowly to the left"),
    "pan right": ("the camera pans right", "the camera moves slowly to the right"),
    "zoom in": ("the camera zooms in", "the camera moves slowly closer"),
    "zoom out": ("the camera zooms out", "the camera moves slowly away"),
}


def caption(scene: Scene, *, variant: int = 0) -> str:
    """Returns a caption of a scene.

    It names count, colour, size, shape, material, motion, order, side, sounds, when the first event comes, camera and
    background; scenes that `describe` tells apart have different captions.

    Args:
        scene: The scene.
        variant: 0 is the canonical wording; others are paraphrases, the same again after `NUM_VARIANTS`.

    Raises:
        ValueError: If the variant is negative.
    """
    if variant < 0:
        raise ValueError(f"variant {variant}, expected 0 or more")
    speaker = _Speaker(describe(scene), variant % NUM_VARIANTS)
    sentences = [_ACTION[scene.family](speaker), speaker.sound(scene.family), speaker.setting()]
    return " ".join(sentence for sentence in sentences if sentence)


class _Speaker:
    """Chooses among wordings: each slot of the grammar depends on another digit of the variant."""

    def __init__(self, facts: dict[str, Any], variant: int) -> None:
        self.facts = facts
        self._words, self._syntax = variant % 2, variant // 2 % 3
        self._tail = variant // 6

    def word(self, options: Sequence[str]) -> str:
        return options[self._words]

    def form(self, first: str, second: str, third: str) -> str:
        return (first, second, third)[self._syntax]

    def thing(self, index: int, material: bool = True) -> str:
        look = self.facts["objects"][index]
        noun = self.word(_NOUN[look["shape"]])
        if not material:
            return f"a {look['size']} {look['colour']} {noun}"
        sounds = self.facts["sounds"]
        made_of = sounds[min(index, len(sounds) - 1)]
        if self._tail:
            return f"a {look['size']} {look['colour']} {noun} made of {made_of}"
        return f"a {look['size']} {look['colour']} {_ADJECTIVE[made_of]} {noun}"

    def where(self, index: int = 0) -> str:
        return self.word(_WHERE[self.facts["objects"][index]["side"]])

    def times(self) -> str:
        return _NUMBERS[self.facts["impacts"]]

    def sound(self, family: str) -> str:
        return " ".join(part for part in (self._main_sound(family), self._ambient()) if part)

    def _main_sound(self, family: str) -> str:
        facts = self.facts
        if not facts["sounds"]:
            return self.form("There is no sound.", "The clip is silent.", "Nothing can be heard.")
        when = self.word(_WHEN[facts["timing"]])
        noises = [self.word(_NOISE[sound]) for sound in facts["sounds"]]
        if family == "rotate":
            return self.form(
                f"While it spins there is {noises[0]}; it starts {when}.",
                f"It starts {when}, with {noises[0]} for as long as it spins.",
                f"{noises[0].capitalize()} goes with the spinning, which starts {when}.",
            )
        side = self.word(_WHERE[facts["side"]])
        heard = " and then ".join(noises)
        first = "It" if facts["impacts"] == 1 else "The first"
        return self.form(
            f"We hear {heard}. {first} comes {when}, {side}.",
            f"The sound is {heard}. {first} is heard {side}, {when}.",
            f"{heard.capitalize()} can be heard. {first} happens {when}, {side}.",
        )

    def _ambient(self) -> str:
        kind = self.facts.get("ambient", "none")
        if kind == "none":
            return ""
        noise = self.word(_NOISE[kind]).capitalize()
        return self.form(
            f"{noise} runs underneath.", f"{noise} goes on all the time.", f"{noise} fills the background."
        )

    def setting(self) -> str:
        facts = self.facts
        ground = f"{self.word(_PATTERN[facts['pattern']])} {facts['background']}"
        camera = self.word(_CAMERA[facts["camera"]])
        if self._tail:
            return f"{camera[0].upper()}{camera[1:]}, before a {ground} background."
        return f"The background is {ground}; {camera}."


def _bounce(say: _Speaker) -> str:
    thing, where, times = say.thing(0), say.where(), say.times()
    return say.form(
        f"{_upper(thing)} falls and hits the floor {times} {where}.",
        f"{_upper(where)}, {thing} drops and strikes the ground {times}.",
        f"We see {thing} that falls {where} and bounces on the floor {times}.",
    )


def _hop(say: _Speaker) -> str:
    thing, where, times = say.thing(0), say.where(), say.times()
    return say.form(
        f"{_upper(thing)} hops irregularly {where} and hits the floor {times}.",
        f"{_upper(where)}, {thing} hops at uneven intervals and strikes the ground {times}.",
        f"We see {thing} that hops {where} and lands on the floor {times}, irregularly.",
    )


def _slide(say: _Speaker) -> str:
    thing, times, side = say.thing(0), say.times(), say.facts["side"]
    first = "" if say.facts["impacts"] == 1 else f", first the {side} one"
    walls = f"the {side} wall once" if say.facts["impacts"] == 1 else f"the walls {times}{first}"
    return say.form(
        f"{_upper(thing)} slides along the floor and hits {walls}.",
        f"Along the floor slides {thing}; it strikes {walls}.",
        f"We see {thing} that slides on the floor and bumps into {walls}.",
    )


def _collide(say: _Speaker) -> str:
    one, other = say.thing(0), say.thing(1)
    return say.form(
        f"{_upper(one)} from the left and {other} from the right slide towards each other and collide once.",
        f"From the left comes {one}, from the right {other}; they strike each other once.",
        f"We see {one} on the left and {other} on the right that run into each other once.",
    )


def _blink(say: _Speaker) -> str:
    thing, where, times = say.thing(0, material=False), say.where(), say.times()
    return say.form(
        f"{_upper(thing)} {where} blinks {times}.",
        f"{_upper(where)}, {thing} lights up {times}.",
        f"We see {thing} that flashes {times} {where}.",
    )


def _rotate(say: _Speaker) -> str:
    thing, where = say.thing(0, material=False), say.where()
    return say.form(
        f"{_upper(thing)} {where} starts to spin.",
        f"{_upper(where)}, {thing} begins to turn.",
        f"We see {thing} {where} that begins to rotate.",
    )


def _drift(say: _Speaker) -> str:
    thing, to = say.thing(0, material=False), say.facts["direction"]
    return say.form(
        f"{_upper(thing)} floats to the {to}.",
        f"Slowly {thing} drifts towards the {to}.",
        f"We see {thing} that glides through the air to the {to}.",
    )


def _order(say: _Speaker) -> str:
    first, second = (_act(say, index) for index in (0, 1))
    return say.form(
        f"First {first}, then {second}.",
        f"{_upper(first)}; after that, {second}.",
        f"We see how {first}, and only then {second}.",
    )


def _act(say: _Speaker, index: int) -> str:
    look = say.facts["objects"][index]
    times = _NUMBERS[look["impacts"]]
    if look["motion"] == "blink":
        return f"{say.thing(index, material=False)} {say.where(index)} blinks {times}"
    return f"{say.thing(index)} {say.where(index)} falls and hits the floor {times}"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


_ACTION = {
    "bounce": _bounce,
    "impacts": _hop,
    "slide": _slide,
    "collide": _collide,
    "blink": _blink,
    "rotate": _rotate,
    "drift": _drift,
    "order": _order,
}
