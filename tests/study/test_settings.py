"""Settings: defaults under what is given, blocks of seeds, and what is refused before anything runs."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
import torch

from flowsolve import ve_start, vp_start
from flowsolve.cli import options
from flowsolve.errors import StateError
from flowsolve.problems import Mixture1D
from flowsolve.study import Setup, convergence, work_precision
from flowsolve.study.real import DISTANCES
from flowsolve.study.settings import STEP_NOISE, seeds_of
from flowsolve_solvers import Euler, Heun
from tests.helpers import says


def test_what_is_given_goes_over_the_default_of_the_study_and_that_over_the_default_of_all() -> (
    None
):
    run = Setup.of({"seeds": range(3), "device": "cpu"}, seeds=range(9), dtype="float64")
    assert run == Setup(
        seeds=range(3), block=256, dtype=torch.float64, device=torch.device("cpu"), start=ve_start,
        cached=True, step_noise="seeded",
    )  # fmt: skip
    assert Setup.of({"dtype": torch.bfloat16, "start": vp_start}).dtype == torch.bfloat16
    nothing: Any = {"dtype": None}  # as a caller passes what was left open
    assert Setup.of(nothing, dtype="float64").dtype == torch.float64


def test_blocks_hold_all_seeds_in_their_order() -> None:
    parts = [*Setup.of({"seeds": range(2, 9), "block": 3}).blocks()]
    assert [[*part.seeds] for part in parts] == [[2, 3, 4], [5, 6, 7], [8]]
    assert [part.seeds_text for part in parts] == ["2-4", "5-7", "8-8"]
    assert Setup.of({"seeds": [0, 3]}).seeds_text == "0,3"
    whole = Setup.of({"seeds": range(2, 9)}).noise((2,))
    assert torch.equal(torch.cat([part.noise((2,)) for part in parts]), whole)


def test_the_stamp_says_what_was_run_and_on_what() -> None:
    stamp = Setup.of({"dtype": "float16"}).stamp(Mixture1D())
    assert (stamp["problem"], stamp["dtype"], stamp["device"]) == ("mixture_1d", "float16", "cpu")
    assert stamp["torch"] == torch.__version__


@pytest.mark.parametrize("study", [
    lambda **words: work_precision([Euler()], Mixture1D(), [4], **words),
    lambda **words: convergence(Heun(), Mixture1D(), steps=[4], **words),
], ids=["work_precision", "convergence"])  # fmt: skip
def test_a_word_that_is_no_setting_and_a_block_of_nothing(study: Any) -> None:
    says(
        TypeError,
        "there is no option 'seed'. The options are seeds, block, dtype, device, start, cached, step_noise.",
        lambda: study(seed=3),
    )
    says(ValueError, "block must be at least 1 sample, but got 0.", lambda: study(block=0))
    said = "step_noise must be seeded or counter, but got 'philox'."
    says(ValueError, said, lambda: study(step_noise="philox"))


@pytest.mark.parametrize("start", [lambda: 1.0, lambda s, t: s, lambda s: "one", 3])
def test_a_start_is_a_function_of_one_level(start: Any) -> None:
    with pytest.raises(StateError, match=r"^start"):
        Setup.of({"seeds": range(2), "start": start})


@pytest.mark.parametrize("seeds", [range(3), range(5, 6), [4, 2, 9]])
def test_seeds_are_read_from_their_text(seeds: Any) -> None:
    assert [*seeds_of(Setup.of({"seeds": seeds}).seeds_text)] == [*seeds]


def test_the_command_offers_what_studies_have() -> None:
    parser = argparse.ArgumentParser()
    options.add_samples(parser, 8, "error")
    options.add_step_noise(parser)
    choices = {action.dest: action.choices for action in parser._actions}
    assert choices["distances"] == ["error", *DISTANCES]
    assert choices["step_noise"] == [*STEP_NOISE]
