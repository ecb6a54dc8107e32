"""Profiles follow from weights and licences, and nobody gets a non-commercial weight without asking for it."""

import pytest

from ltx2_eval import weights
from ltx2_eval.metrics.catalogue import BUILT_IN, chosen, profiles
from ltx2_eval.metrics.profiles import CHOICE, FREE_LICENCES, PUBLISHED, TITLES, is_free, weights_of
from ltx2_eval.weights import lock


def test_the_names():
    assert set(profiles()) == set(TITLES) == {"default", "commercial", "paper", "dsp", "nano", "offline"}
    assert all(profiles().values())
    assert {*CHOICE, *PUBLISHED} <= BUILT_IN.keys()


@pytest.mark.parametrize("name", ["default", "commercial", "offline", "nano", "dsp"])
def test_no_weight_that_may_not_be_used_commercially_comes_without_asking(name):
    licences = {item.name: (item.licence, item.code_licence) for item in lock().weights}
    for entry in chosen((), name):
        for needed in weights_of(entry):
            assert set(licences[needed]) <= FREE_LICENCES, (entry.spec.id, needed)
        assert entry.spec.weight_licence in {None, *FREE_LICENCES}, entry.spec.id


def test_there_are_metrics_that_are_not_free_and_they_are_told():
    """Otherwise the rule above would prove nothing."""
    bound = {name for name, entry in BUILT_IN.items() if not is_free(entry)}
    assert {"ib_av", "cd_fvd", "lse_c", "desync"} <= bound
    assert not {"desync", "sync_accuracy"} & {*profiles()["default"], *profiles()["commercial"]}
    assert "desync" in profiles()["paper"]
    assert bound & set(profiles()["paper"])


def test_default_leaves_out_only_what_it_says():
    """A licence that is mistyped would otherwise empty the profile unseen."""
    left_out = set(CHOICE) - set(profiles()["default"])
    assert left_out == {"desync", "desync_signed_s", "sync_accuracy"}
    assert {needed for name in left_out for needed in weights_of(BUILT_IN[name])} == {"synchformer"}
    assert "Synchformer" in TITLES["default"]


def test_offline_needs_no_hub_and_dsp_no_weights():
    kinds = {item.name: item.kind for item in lock().weights}
    assert {kinds[name] for name in weights.profile("offline")} <= {"package", "bundled"}
    assert weights.profile("dsp") == ()
    assert set(weights.profile("nano")) >= {"i3d-k400", "soundnet", "nano-towers", "nano-sync"}


def test_a_profile_pulls_what_its_metrics_need():
    for name in profiles():
        needed = {one for entry in chosen((), name) for one in weights_of(entry)}
        assert set(weights.profile(name)) == needed


def test_cosines_bring_their_floors_in_every_profile():
    for name in profiles():
        ids = {entry.spec.id for entry in chosen((), name)}
        cosines = {one for one in ids if BUILT_IN[one].pairs and BUILT_IN[one].spec.level == "clip"}
        assert {f"{one}_floor" for one in cosines} | {f"{one}_margin" for one in cosines} <= ids
