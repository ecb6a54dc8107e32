"""The guider against golden vectors of the official code, its two conventions, and the passes it asks for."""

import pytest
import torch

from ltx2.guidance import LTX2_DEFAULT, PAPER, RELEASE, TEXT_AND_MODALITY, UNGUIDED, Guidance, StreamGuidance, guide
from ltx2.perturbation import Perturbation

PREDICTIONS = {
    "conditional": torch.tensor([[1.0, 2, 3, 4]]),
    "text": torch.tensor([[0.5, 1.5, 2, 5]]),
    "stg": torch.tensor([[1.0, 1, 3, 3]]),
    "modality": torch.tensor([[0.0, 2, 4, 4]]),
}


def guidance(text: float, rescale: float = 0.0, convention: str = "code", modality: float = 3) -> Guidance:
    stream = StreamGuidance(text=text, modality=modality, stg=1, rescale=rescale)
    return Guidance(video=stream, audio=stream, stg_blocks=(0,), convention=convention)


@pytest.mark.parametrize(
    ("text", "rescale", "expected"),
    [
        (3, 0, [4, 4, 3, 3]),
        (3, 0.7, [7.46099, 7.46099, 5.595742, 5.595742]),
        (3, 1, [8.944272, 8.944272, 6.708204, 6.708204]),
        (7, 0, [6, 6, 7, -1]),
        (7, 0.7, [3.266704, 3.266704, 3.811154, -0.544451]),
        (7, 1, [2.095291, 2.095291, 2.444506, -0.349215]),
    ],
)
def test_official_golden_vectors(text, rescale, expected) -> None:
    guided = guide(PREDICTIONS, guidance(text, rescale).video_weights)
    assert guided[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_paper_convention_is_one_unit_stronger() -> None:
    code, paper = guidance(4, modality=4), guidance(3, convention="paper", modality=3)
    assert code.video_weights == paper.video_weights


def test_rescale_is_per_sample() -> None:
    batch = {name: torch.cat((x, 3 * x)) for name, x in PREDICTIONS.items()}
    weights = guidance(3, 0.7).video_weights
    torch.testing.assert_close(guide(batch, weights)[:1], guide(PREDICTIONS, weights))


def test_neutral_guidance_returns_the_conditional_prediction() -> None:
    only = {"conditional": PREDICTIONS["conditional"]}
    assert torch.equal(guide(only, UNGUIDED.video_weights), PREDICTIONS["conditional"])


def test_presets_need_these_passes() -> None:
    assert UNGUIDED.passes == ("conditional",)
    assert RELEASE.passes == ("conditional", "text")
    assert LTX2_DEFAULT.passes == ("conditional", "text", "stg", "modality")
    assert PAPER.passes == TEXT_AND_MODALITY.passes == ("conditional", "text", "modality")


def test_a_term_of_one_stream_is_enough_for_a_pass() -> None:
    neutral, audio = StreamGuidance(text=1, modality=1), StreamGuidance(text=1, modality=1, stg=1)
    guided = Guidance(video=neutral, audio=audio, stg_blocks=(2,))
    assert guided.passes == ("conditional", "stg")
    assert guided.perturbation("stg") == Perturbation(audio_blocks=(2,))
    assert guided.perturbation("modality") == Perturbation(isolate=True)
    assert guided.perturbation("text") == Perturbation()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convention": "additive"}, "known: code, paper"),
        ({"stg_kind": "none"}, "known: value, skip"),
        ({"stg_blocks": (1,)}, "both scales and blocks"),
    ],
)
def test_refusals(changes, message) -> None:
    neutral = StreamGuidance(text=1, modality=1)
    with pytest.raises(ValueError, match=message):
        Guidance(video=neutral, audio=neutral, **changes)
