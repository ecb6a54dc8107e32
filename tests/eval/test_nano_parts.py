"""Parts of the nano recipe with exact answers: resampling, shifts, targets, labels, weights of pixels, figures."""

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from ltx2.config import NANO, VideoVAEConfig
from ltx2_benchmarks.prompt import Prompt
from ltx2_benchmarks.suite import load_suite
from ltx2_benchmarks.synthetic import check, describe, measure, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.nano.audio_stage import resample
from ltx2_eval.nano.card import BEGIN, END, curve_svg, write_figures
from ltx2_eval.nano.distances import Embedded, distance_figures, retrieval_figures, world_clips
from ltx2_eval.nano.figures import Figure, median_figure
from ltx2_eval.nano.following import Sampled, world_claims
from ltx2_eval.nano.precision import precision_figures, promises_kept
from ltx2_eval.nano.sync_stage import shifted, soft_targets
from ltx2_eval.nano.text_stage import FACTS, fact_labels
from ltx2_eval.nano.towers import MAX_LAG, SyncTower, Towers, log_spectrogram, token_ids
from ltx2_eval.nano.video_stage import VideoStage, crop_side_px, edge_error, object_weights, psnr_db
from ltx2_eval.nano.world_pool import BRIGHT_LEVEL, WorldPool


@pytest.mark.parametrize("to_hz", [16_000, 48_000])
def test_resampling_keeps_a_sine(to_hz: int) -> None:
    time_s = torch.arange(24_000) / 24_000
    made = resample(torch.sin(2 * math.pi * 440 * time_s)[None], 24_000, to_hz)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(to_hz) / to_hz)
    assert made.shape == (1, to_hz)
    assert (made[0] - expected)[200:-200].abs().max() < 2e-3


def test_resampling_removes_what_the_lower_rate_cannot_hold() -> None:
    time_s = torch.arange(24_000, dtype=torch.float64) / 24_000
    burst = torch.sin(2 * math.pi * 10_000 * time_s) * torch.hann_window(24_000)
    assert resample(burst[None], 24_000, 16_000).abs().max() < 1e-4


def test_shifts_move_by_samples_and_fill_with_silence() -> None:
    wave = torch.arange(1.0, 6.0)[None]
    assert shifted(wave, 2).tolist() == [[0, 0, 1, 2, 3]]
    assert shifted(wave, -2).tolist() == [[3, 4, 5, 0, 0]]
    assert torch.equal(shifted(wave, 0), wave)


def test_targets_are_bells_around_the_offset() -> None:
    targets = soft_targets(torch.tensor([0.0, -3.5]))
    assert targets.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert targets[0].argmax() == MAX_LAG
    assert targets[1, MAX_LAG - 3] == pytest.approx(targets[1, MAX_LAG - 4])


def test_fact_labels_name_the_scene() -> None:
    for seed in range(30):
        facts = describe(sample_scene(seed))
        labels = dict(zip(FACTS, fact_labels(facts), strict=True))
        assert FACTS["colour0"][labels["colour0"]] == facts["objects"][0]["colour"]
        assert (labels["shape1"] == len(FACTS["shape1"])) == (len(facts["objects"]) == 1)
        assert FACTS["impacts"][labels["impacts"]] == str(facts["impacts"])


def test_object_weights_find_the_object_and_average_one(tmp_path: Path) -> None:
    pool = WorldPool(folder=tmp_path, clips=2).prepare(1)
    weights = object_weights(pool.video(torch.tensor([0, 1])))
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    share = (weights > weights.mean()).float().mean()
    assert 0.01 < share < 0.4


def test_pool_gives_the_clips_of_its_seeds(tmp_path: Path) -> None:
    from ltx2_benchmarks.synthetic import render

    pool = WorldPool(folder=tmp_path, clips=3, split="test", first_seed=7).prepare(1)
    expected = render(pool.scene(2))
    video = pool.video(torch.tensor([2]), start=8, frames=9)
    assert video.shape == (1, 3, 9, 64, 64)
    found = ((video[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()
    assert np.array_equal(found, expected.video[8:17])
    assert np.abs(pool.audio(torch.tensor([2]))[0].numpy() - expected.audio).max() < 1e-3


def test_crops_are_squares_of_the_clip_around_something_bright(tmp_path: Path) -> None:
    pool = WorldPool(folder=tmp_path, clips=6).prepare(1)
    indices = torch.tensor([4, 0, 5, 2])
    cuts = pool.crops(indices, 32, torch.Generator().manual_seed(3), start=4, frames=9)
    assert cuts.shape == (4, 3, 9, 32, 32)
    for index, cut in zip(indices, cuts, strict=True):
        clip = pool.video(index[None], start=4, frames=9)[0]
        assert (clip.unfold(2, 32, 1).unfold(3, 32, 1) == cut[:, :, None, None]).all(dim=(0, 1, 4, 5)).any()
        assert cut.max() > 2 * BRIGHT_LEVEL / 255 - 1
    again = pool.crops(indices, 32, torch.Generator().manual_seed(3), start=4, frames=9)
    assert torch.equal(cuts, again)


def test_the_clips_that_hold_a_shape_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorldPool(folder=tmp_path, clips=40)
    found = pool.holding({"star", "cross"}).tolist()
    assert 5 < len(found) < 35
    for index in range(40):
        shapes = {body["shape"] for body in describe(pool.scene(index))["objects"]}
        assert (index in found) == bool(shapes & {"star", "cross"})
    assert pool.holding({"cube"}).tolist() == []
    monkeypatch.setattr(WorldPool, "scene", None)  # kept beside the clips: no scene is drawn again
    assert WorldPool(folder=tmp_path, clips=40).holding({"cross", "star"}).tolist() == found
    with pytest.raises(TypeError):
        WorldPool(folder=tmp_path, clips=41).holding({"cross", "star"})


CELLS_OF_16_PX = replace(
    NANO.video_vae,
    encoder_base_channels=8,
    decoder_base_channels=8,
    encoder_blocks=(("compress_space_res", 2), ("compress_time_res", 1), ("compress_all_res", 1)),
    decoder_blocks=(("compress_all", 1), ("compress_all", 2)),
)
CELLS_OF_32_PX = replace(
    CELLS_OF_16_PX,
    encoder_blocks=(*CELLS_OF_16_PX.encoder_blocks, ("compress_space_res", 1)),
    decoder_blocks=(("compress_all", 1), *CELLS_OF_16_PX.decoder_blocks),
)


def test_batches_alternate_between_whole_frames_and_crops(tmp_path: Path) -> None:
    pool = WorldPool(folder=tmp_path, clips=6).prepare(1)
    assert CELLS_OF_16_PX.spatial_factor == 16
    whole, crops = shown_in_two_steps(CELLS_OF_16_PX, pool)
    assert whole.shape == (2, 3, 9, 64, 64)
    assert crops.shape == (8, 3, 9, 32, 32)


def test_cells_too_large_for_crops_get_whole_frames_alone(tmp_path: Path) -> None:
    """Two cells of 32 px are the whole frame: a batch of such "crops" would cost four times as much for nothing."""
    pool = WorldPool(folder=tmp_path, clips=6).prepare(1)
    assert CELLS_OF_32_PX.spatial_factor == 32
    assert [video.shape for video in shown_in_two_steps(CELLS_OF_32_PX, pool)] == [(2, 3, 9, 64, 64)] * 2


@pytest.mark.parametrize("cell_px", [4, 8, 16, 24, 32, 64])
@pytest.mark.parametrize("frame_px", [64, 96, 128])
def test_crops_are_whole_cells_and_smaller_than_the_frame(cell_px: int, frame_px: int) -> None:
    side_px = crop_side_px(cell_px, frame_px)
    assert (side_px is None) == (max(2 * cell_px, 32) >= frame_px)
    assert side_px is None or (side_px % cell_px == 0 and 2 * cell_px <= side_px < frame_px)


def shown_in_two_steps(config: VideoVAEConfig, pool: WorldPool) -> list[torch.Tensor]:
    """What the encoder is given in steps 0 and 1."""
    stage = VideoStage(config, pool, pool, batch=8, cut_frames=9)
    shown: list[torch.Tensor] = []
    stage.model.encoder.moments = shown.append  # type: ignore[operator, union-attr]
    for step in (0, 1):
        with pytest.raises(TypeError):  # nothing is encoded
            stage.loss(step)
    return shown


def test_edges_of_objects_count_more() -> None:
    """By hand: one wrong pixel of brightness 1 on a row of four makes differences of 1 and -1 beside it."""
    video = torch.zeros(1, 1, 1, 1, 4)
    decoded = torch.tensor([0.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 1, 4)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 1, 4)
    rows = (x.expand(1, 1, 2, 2, 4) for x in (decoded, video, weights))
    assert edge_error(*rows).item() == pytest.approx((2 + 3 + 0) / 3)


def test_psnr_of_known_error() -> None:
    video = torch.zeros(1, 3, 2, 4, 4)
    assert psnr_db(video + 0.1, video).item() == pytest.approx(26, abs=0.2)


def test_towers_give_unit_vectors_that_depend_on_their_clip_alone() -> None:
    torch.manual_seed(0)
    towers = Towers().eval()
    video, audio = torch.randn(2, 3, 49, 64, 64), torch.randn(2, 2, 48_240) / 10
    with torch.no_grad():
        for both, one in (
            (towers.embed_video(video), towers.embed_video(video[1:])),
            (towers.embed_audio(audio), towers.embed_audio(audio[1:])),
            (towers.embed_text(["a", "a red ball"]), towers.embed_text(["a red ball"])),
        ):
            assert both.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)
            assert torch.allclose(both[1:], one, atol=1e-5)


def test_offsets_follow_shifts_of_the_sound() -> None:
    """A shift by whole columns moves the scores by as many entries, up to the rims."""
    torch.manual_seed(0)
    tower = SyncTower().eval()
    video = torch.randn(1, 3, 49, 64, 64)
    audio = torch.zeros(1, 2, 49_000)
    audio[:, :, 20_000:26_000] = torch.randn(1, 2, 6_000)
    with torch.no_grad():
        first = tower(video, audio)[0]
        later = tower(video, shifted(audio[0], 10 * 250)[None])[0]
    assert first.shape == (2 * MAX_LAG + 1,)
    assert torch.corrcoef(torch.stack([first[:-10], later[10:]]))[0, 1] > 0.9


def test_spectrogram_has_96_columns_a_second() -> None:
    assert log_spectrogram(torch.zeros(1, 2, 24_000)).shape == (1, 2, 97, 48)


def test_token_ids_are_padded_behind() -> None:
    ids = token_ids(["red", "a red ball"], "cpu")
    assert (ids[0] != 0).sum() < (ids[1] != 0).sum()
    assert ids[:, -1].tolist() == [0, 0]


def test_median_interval_is_of_order_statistics() -> None:
    figure = median_figure("m", [float(x) for x in range(1, 101)], "ms", "at most 60")
    assert figure.value == 50.5
    assert (figure.low, figure.high) == (40, 61)
    assert figure.line() == "m: 50.5 [40, 61] ms (n 100; bar: at most 60)"
    assert median_figure("m", [1.0, 2.0], "ms").low is None
    with pytest.raises(ValueError, match="no clip has a value for 'y'; take more prompts or clips"):
        median_figure("y", [], "ms")


def test_retrieval_counts_only_the_own_clip() -> None:
    rows = torch.nn.functional.normalize(torch.randn(100, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    perfect = {figure.name: figure.value for figure in retrieval_figures(Embedded(rows, rows.roll(1, 0), rows))}
    assert perfect["retrieval text to video, top 1 of 100"] == 1
    assert perfect["retrieval text to audio, top 1 of 100"] == 0
    assert perfect["alignment of video with its text"] == pytest.approx(1, abs=1e-5)


def test_distances_order_sets_and_refuse_unequal_sizes() -> None:
    generator = torch.Generator().manual_seed(0)

    def rows(shift: float, n: int = 60) -> Embedded:
        drawn = torch.randn(n, 8, generator=generator) + shift
        return Embedded(drawn, drawn, drawn)

    figures = distance_figures({"near": rows(0), "far": rows(1)}, rows(0, 200))
    values = {figure.name: figure for figure in figures}
    near, far = values["nano FVD of near"], values["nano FVD of far"]
    assert isinstance(near, Figure)
    assert near.high is not None
    assert far.low is not None
    assert near.high < far.low
    gap = values["nano FVD of far minus near"]
    assert gap.value == pytest.approx(far.value - near.value)
    assert gap.low is not None
    assert gap.low > 0
    with pytest.raises(ValueError, match="equal size"):
        distance_figures({"a": rows(0), "b": rows(0, 40)}, rows(0))


def test_sets_of_the_same_prompts_are_told_apart_more_finely() -> None:
    """The far set is the near one, a little off: the intervals overlap, that of the difference is above zero."""
    generator = torch.Generator().manual_seed(0)
    near, reference = (torch.randn(n, 8, generator=generator) for n in (60, 200))
    far = near + 0.1 * torch.sign(near.mean(dim=0) - reference.mean(dim=0))
    sets = {name: Embedded(rows, rows, rows) for name, rows in (("near", near), ("far", far))}
    values = {figure.name: figure for figure in distance_figures(sets, Embedded(reference, reference, reference))}
    first, second = values["nano FVD of near"], values["nano FVD of far"]
    gap = values["nano FVD of far minus near"]
    assert first.high is not None
    assert second.low is not None
    assert gap.low is not None
    assert second.low < first.high
    assert gap.low > 0


def test_the_worlds_own_clips_are_those_of_the_prompts() -> None:
    suite = load_suite("nano").prompts
    (clip,) = world_clips(suite[:1])
    assert promises_kept([sampled(suite[0], clip)]) == {suite[0].id: [1.0]}
    with pytest.raises(ValueError, match="has no scene; use suite nano or world"):
        world_clips(load_suite("smoke").prompts[:1])


def sampled(prompt: Prompt, clip: Clip, latents: tuple[float, ...] = (1.0, 0.0)) -> Sampled:
    measured = measure(clip)
    return Sampled(
        prompt=prompt,
        clip=clip,
        seconds=1.0,
        measured=measured,
        verdicts=check(measured, world_claims(prompt)),
        latents=torch.tensor(latents),
    )


def test_fewer_bits_are_compared_by_prompt() -> None:
    """The second clip is swapped for another's; the cosine of (3, 4) and (1, 0) is 0.6."""
    prompts = load_suite("nano").prompts[:3]
    clips = world_clips(prompts)
    full = [sampled(prompt, clip) for prompt, clip in zip(prompts, clips, strict=True)]
    reduced = [sampled(prompts[0], clips[0], (3.0, 4.0)), sampled(prompts[1], clips[2])]
    found = {figure.name: figure for figure in precision_figures("8-bit weights", reduced, full)}
    assert found["8-bit weights: cosine of the latents with those in float32"].value == pytest.approx(0.8)
    lost = found["8-bit weights minus float32: promises kept"]
    assert lost.value == pytest.approx(found["8-bit weights: promises kept"].value - 1)
    assert lost.value < 0
    assert lost.n == 2


def test_card_table_is_replaced_between_its_markers(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    figures = [Figure(name="a", value=1.5, low=1.0, high=2.0, unit="dB", n=3, bar="at least 1")]
    write_figures(card, figures)
    write_figures(card, figures)
    assert card.read_text() == (
        f"before\n{BEGIN}\n| figure | value | 95 % interval | bar | n |\n|---|---|---|---|---|\n"
        f"| a | 1.5 dB | 1 to 2 | at least 1 | 3 |\n{END}\nafter\n"
    )
    card.write_text("no markers")
    with pytest.raises(ValueError, match="lacks the markers"):
        write_figures(card, figures)


def test_curves_are_well_formed_svg(tmp_path: Path) -> None:
    log = tmp_path / "train.csv"
    log.write_text("step,loss\n1,3.0\n2,1.0\n4,nan\n5,2.0\n")
    root = ElementTree.fromstring(curve_svg(log, ["loss"], "a & b"))
    (line,) = (element for element in root if element.tag.endswith("polyline"))
    places = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert len(places) == 3
    assert places[0][1] < places[2][1] < places[1][1]
    with pytest.raises(ValueError, match="columns accuracy"):
        curve_svg(log, ["accuracy"], "t")
