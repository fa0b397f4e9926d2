"""Scheduler configs of diffusers, read without diffusers: what they hold, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import flowsolve as fs
from flowsolve.errors import GridError, ScheduleError
from flowsolve.interop.diffusers import read_config
from flowsolve.interop.diffusers.families import FAMILIES, IGNORED
from flowsolve_solvers import DPMSolverPP2M, Euler
from tests.interop.diffusers_helpers import SD15, EulerDiscreteScheduler, config

ZERO = {
    "rescale_betas_zero_snr": True, "prediction_type": "v_prediction",
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
}  # fmt: skip
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}


def test_stable_diffusion_15() -> None:
    """The file of its repository, key for key."""
    r = read_config(SD15)
    assert r.suggested == "PNDMScheduler"
    assert isinstance(r.precondition, fs.EpsPrediction)
    assert r.start is fs.vp_start
    table = fs.scaled_linear_beta()
    expected = [table.sigma(i * 50 + 1) for i in reversed(range(20))]
    assert list(r.spacing(20)) == pytest.approx([*expected, table.sigma(0)], rel=1e-12)
    assert r.clock.t(expected[3]) == pytest.approx(801)
    assert r.report.used == (
        "beta_end", "beta_schedule", "beta_start", "num_train_timesteps", "set_alpha_to_one",
        "steps_offset", "trained_betas",
    )  # fmt: skip
    assert r.report.ignored == {
        "_diffusers_version": "it says who wrote the file",
        "skip_prk_steps": "it belongs to the method: choose a solver",
        "clip_sample": "PNDMScheduler does not have it",
    }
    assert r.report.assumed == {"prediction_type": "epsilon", "timestep_spacing": "leading"}
    assert r.report.unknown == ()


def test_the_report_in_words() -> None:
    text = str(read_config({**SD15, "flux_capacitor": 1.21}).report)
    assert "\nignored: clip_sample, because PNDMScheduler does not have it\n" in text
    assert "\nunknown: flux_capacitor\n" in text
    assert text.endswith("\nassumed: timestep_spacing = 'leading'")


@pytest.mark.parametrize(
    ("other", "name"), [("quad", "scaled_linear"), ("cosine", "squaredcos_cap_v2")]
)
def test_schedules_by_the_names_of_other_codes(other: str, name: str) -> None:
    a, b = (read_config(config("DDIM", beta_schedule=s)) for s in (other, name))
    assert a.clock == b.clock
    assert "beta_schedule" in a.report.used


def test_scales_of_the_data_stand_in_a_config() -> None:
    r = read_config({**SD15, "_data_scales": [0.5, 4]})
    assert r.scales == fs.Scales(0.5, 4)
    assert "_data_scales" in r.report.used
    assert read_config(SD15).scales is None


@pytest.mark.parametrize("wrong", [1, [1.0], [1.0, 0.0], [1.0, float("inf")], ["a", "b"], None])
def test_wrong_scales_in_a_config(wrong: object) -> None:
    with pytest.raises(
        ScheduleError, match=r"is not the two scales of the data, \[std, top\], above 0"
    ):
        read_config({**SD15, "_data_scales": wrong})


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (config("FlowMatchEulerDiscrete", shift=3.0), ["the last level before 0"]),
        (config("FlowMatchEulerDiscrete"), []),
        (config("FlowMatchEulerDiscrete", use_dynamic_shifting=True), []),
        (config("EulerDiscrete", **ZERO), ["the first level"]),
        (config("DDIM", **ZERO), []),
        (config("UniPCMultistep", **FLOW), ["the first level", "labels between whole ones"]),
        (config("DPMSolverMultistep", use_karras_sigmas=True), ["labels between whole ones"]),
        (config("KDPM2Discrete", use_karras_sigmas=True), ["labels between whole ones"]),
    ],
)
def test_the_report_says_what_is_not_as_diffusers_has_it(
    given: dict[str, object], what: list[str]
) -> None:
    options: dict[str, Any] = {"mu": 0.5} if given.get("use_dynamic_shifting") else {}
    ours, theirs = (read_config(given, as_shipped=shipped, **options) for shipped in (False, True))
    assert [*ours.report.changed] == what
    assert theirs.report.changed == {}
    labels = [r.clock.t(s) for r in (ours, theirs) for s in r.spacing(7) if 0 < s < math.inf]
    same = (
        list(ours.spacing(7)) == list(theirs.spacing(7))
        and labels[: len(labels) // 2] == labels[len(labels) // 2 :]
    )
    assert same is (not what)
    assert all(f"changed: {key}: " in str(ours.report) for key in what)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_key_of_every_class_is_accounted_for(name: str) -> None:
    keys = {k: v for k, v in FAMILIES[name].keys.items()}
    given = {"_class_name": name, **keys, **dict.fromkeys(IGNORED), "nonsense": 1}
    r = read_config(given)
    told = {*r.report.used, *r.report.ignored, *r.report.unknown}
    assert told == {*given} - {"_class_name"}
    assert r.report.unknown == ("nonsense",)
    assert not r.report.assumed
    assert {*IGNORED} <= {*r.report.ignored}
    bare = read_config({"_class_name": name})
    assert bare.spacing(10) == r.spacing(10)
    assert {*bare.report.assumed} == {*r.report.used}


CHANGES: list[tuple[str, dict[str, object], dict[str, object]]] = [
    # key by key: a value, what else it needs, and the grid must move
    ("DDIM", {"num_train_timesteps": 500}, {}),
    ("DDIM", {"beta_start": 0.001}, {}),
    ("DDIM", {"beta_end": 0.01}, {}),
    ("DDIM", {"beta_schedule": "scaled_linear"}, {}),
    ("DDIM", {"trained_betas": [0.01] * 1000}, {}),
    ("DDIM", {"timestep_spacing": "trailing"}, {}),
    ("DDIM", {"steps_offset": 1}, {}),
    ("DDIM", {"set_alpha_to_one": False}, {"steps_offset": 1}),
    ("DDIM", {"rescale_betas_zero_snr": True}, {"prediction_type": "v_prediction"}),
    ("DPMSolverMultistep", {"use_karras_sigmas": True}, {}),
    ("DPMSolverMultistep", {"use_exponential_sigmas": True}, {}),
    ("DPMSolverMultistep", {"use_beta_sigmas": True}, {}),
    ("DPMSolverMultistep", {"use_lu_lambdas": True}, {}),
    ("DPMSolverMultistep", {"final_sigmas_type": "sigma_min"}, {}),
    ("DPMSolverMultistep", {"lambda_min_clipped": -3.0}, {}),
    ("DPMSolverMultistep", {"flow_shift": 3.0},
     {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
    ("UniPCMultistep", {"shift_terminal": 0.1},
     {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
    ("EulerDiscrete", {"sigma_min": 0.1}, {"use_karras_sigmas": True}),
    ("EulerDiscrete", {"sigma_max": 20.0}, {"use_karras_sigmas": True}),
    ("EulerDiscrete", {"interpolation_type": "log_linear"}, {}),
    ("FlowMatchEulerDiscrete", {"shift": 3.0}, {}),
    ("FlowMatchEulerDiscrete", {"shift_terminal": 0.1}, {}),
    ("FlowMatchEulerDiscrete", {"use_karras_sigmas": True}, {}),
    ("FlowMatchEulerDiscrete", {"num_train_timesteps": 100}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "other"), CHANGES, ids=lambda x: str(x)[:40])
def test_a_used_key_moves_the_grid(name: str, change: dict[str, object], other: Any) -> None:
    before, after = read_config(config(name, **other)), read_config(config(name, **other, **change))
    assert before.spacing(10) != after.spacing(10)
    assert set(change) <= set(after.report.used)


@pytest.mark.parametrize(
    ("change", "kind"),
    [("v_prediction", fs.VPrediction), ("sample", fs.X0Prediction), ("epsilon", fs.EpsPrediction)],
)
def test_predictions(change: str, kind: type) -> None:
    assert isinstance(read_config(config("DDIM", prediction_type=change)).precondition, kind)


def test_dynamic_shifting() -> None:
    c = config("FlowMatchEulerDiscrete", use_dynamic_shifting=True, shift=3.0)
    by_mu = read_config(c, mu=0.825).spacing(10)
    assert by_mu == read_config(c, image_seq_len=2176).spacing(10)
    assert by_mu[3] == pytest.approx(fs.flow_uniform(10, shift=math.exp(0.825))[3])
    linear = read_config({**c, "time_shift_type": "linear"}, mu=0.825).spacing(10)
    assert linear[3] == pytest.approx(fs.flow_uniform(10, shift=0.825)[3])
    flux = read_config(c, mu=0.5, ends_at="1/n").spacing(10)
    assert flux[-2] == pytest.approx(math.exp(0.5) * 0.1 / 0.9)


def test_limits() -> None:
    assert read_config(SD15).limits.clip is None
    r = read_config(config("DDIM", clip_sample_range=2.0))
    assert (r.limits.clip, r.limits.threshold_ratio) == (2.0, None)
    t = read_config(config("DDIM", thresholding=True, sample_max_value=0.5)).limits
    assert (t.threshold_ratio, t.threshold_max) == (0.995, 1.0)
    ode = fs.DiffusionODE(lambda x, t: x, r.precondition)
    assert isinstance(r.limits.around(ode), fs.Clip)
    assert isinstance(t.around(ode), fs.Threshold)
    assert read_config(SD15).limits.around(ode) is ode


def test_starts() -> None:
    assert read_config(config("EulerDiscrete")).start is fs.ve_start
    assert read_config(config("EulerDiscrete", timestep_spacing="leading")).start is fs.vp_start
    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    assert read_config(config("DPMSolverMultistep", **flow)).start(9.0) == 10.0  # x_T = noise


def test_inversion_rises() -> None:
    grid = read_config(config("DDIMInverse", set_alpha_to_one=False, steps_offset=1)).spacing(10)
    assert grid.rising
    table = fs.linear_beta()
    assert list(grid)[:2] == pytest.approx([table.sigma(0), table.sigma(1)])
    assert grid[-1] == pytest.approx(table.sigma(901))
    usual = read_config(config("DDIMInverse")).spacing(10)  # theirs begins at σ = 0
    assert list(usual)[:2] == pytest.approx([table.sigma(0), table.sigma(100)])
    ode = fs.DiffusionODE(lambda x, t: x, fs.EpsPrediction(table))
    assert fs.solve(ode, torch.ones(1, 2), usual, Euler()).nfe == 9


def last_time(reading: Any, n: int = 10) -> float:
    s = reading.spacing(n)[-2]
    return float(s / (1 + s))


def test_flow_is_shifted_once_and_as_shipped_twice() -> None:
    c = config("FlowMatchEulerDiscrete", shift=3.0)
    assert last_time(read_config(c)) == pytest.approx(0.00299, abs=1e-5)
    assert last_time(read_config(c, as_shipped=True)) == pytest.approx(0.00893, abs=1e-5)
    seven = config("FlowMatchEulerDiscrete", shift=7.0)
    assert last_time(read_config(seven, as_shipped=True)) == pytest.approx(0.0468, abs=1e-4)


def test_zero_terminal_snr_is_infinity_and_as_shipped_4096() -> None:
    c = config(
        "EulerDiscrete", beta_schedule="scaled_linear", rescale_betas_zero_snr=True,
        timestep_spacing="trailing", prediction_type="v_prediction",
    )  # fmt: skip
    assert read_config(c).spacing(10)[0] == math.inf
    assert read_config(c, as_shipped=True).spacing(10)[0] == pytest.approx(4096, rel=1e-6)
    karras = {**c, "use_karras_sigmas": True}
    with pytest.raises(GridError, match="karras levels cannot begin at σ = ∞"):
        read_config(karras).spacing(10)
    assert read_config(karras, as_shipped=True).spacing(10)[0] == pytest.approx(4096, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "keys", "label"),
    [
        ("DPMSolverMultistep", {"use_karras_sigmas": True}, 410.0),
        ("DPMSolverMultistep", {"use_lu_lambdas": True}, 410.0),
        ("DPMSolverMultistep", {"use_exponential_sigmas": True}, 409.0),
        ("UniPCMultistep", {"use_beta_sigmas": True}, 409.0),
        ("DEISMultistep", {"use_karras_sigmas": True}, 410.0),
        ("KDPM2Discrete", {"use_karras_sigmas": True}, 410.0),
        ("EulerDiscrete", {"use_karras_sigmas": True}, 409.97),
        ("DPMSolverMultistep", {}, 409.97),
        ("UniPCMultistep", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}, 409.0),
    ],
)
def test_labels_off_the_table(name: str, keys: dict[str, object], label: float) -> None:
    c = config(name, **keys)
    right, shipped = read_config(c), read_config(c, as_shipped=True)
    sigma = right.clock.sigma(409.97)
    assert right.clock.t(sigma) == pytest.approx(409.97)
    assert shipped.clock.t(sigma) == pytest.approx(label)
    assert right.spacing(10)[1:] == shipped.spacing(10)[1:]


def test_between_the_labels() -> None:
    assert "[sigma]" in repr(read_config(config("EulerDiscrete")).clock)
    assert "[log_sigma]" in repr(read_config(config("DDIM")).clock)
    assert repr(read_config(config("DDIM"), between="smooth").clock) == "linear_beta(T=1000)"


def test_continuous_labels_are_edms() -> None:
    c = config("EulerDiscrete", timestep_type="continuous", prediction_type="v_prediction")
    assert isinstance(read_config(c).clock, fs.EDMClock)


def test_a_file_or_its_folder(tmp_path: Path) -> None:
    (tmp_path / "scheduler_config.json").write_text(json.dumps(SD15))
    for source in (tmp_path, str(tmp_path / "scheduler_config.json")):
        assert read_config(source) == read_config(SD15)
    (tmp_path / "other.json").write_text("{")
    for bad in ("other.json", "absent.json"):
        with pytest.raises(ScheduleError, match="is not a scheduler config that can be read"):
            read_config(tmp_path / bad)


class FlowMatchEulerDiscreteScheduler:
    config: Mapping[str, Any] = {"shift": 3.0}
    shift = 5.0


def test_a_live_scheduler() -> None:
    assert read_config(EulerDiscreteScheduler()).suggested == "EulerDiscreteScheduler"
    with pytest.raises(ScheduleError, match=r"set_shift\(5\.0\) was called on this scheduler"):
        read_config(FlowMatchEulerDiscreteScheduler())


zero_snr = {"rescale_betas_zero_snr": True}
flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
dynamic = config("FlowMatchEulerDiscrete", use_dynamic_shifting=True)
REFUSED: dict[str, tuple[object, dict[str, Any], str]] = {
    "no class": ({"beta_start": 1}, {}, 'a scheduler config needs its "_class_name"'),
    "no config": (3, {}, "3 is neither a diffusers scheduler nor its config nor a path."),
    "consistency": (config("LCM"), {}, "LCMScheduler is not read: its network is distilled"),
    "unknown": (config("Foo"), {}, "FooScheduler is not known here"),
    "schedule": (config("DDIM", beta_schedule="cubic"), {},
                 "DDIMScheduler: beta_schedule = 'cubic' is not one of linear, scaled_linear"),
    "prediction": (config("DDIM", prediction_type="x"), {}, "prediction_type = 'x' is not one of epsilon"),
    "spacing": (config("DDIM", timestep_spacing="log"), {}, "timestep_spacing = 'log' is not one of leading"),
    "final": (config("EulerDiscrete", final_sigmas_type="1"), {}, "final_sigmas_type = '1' is not one of zero"),
    "interpolation": (config("EulerDiscrete", interpolation_type="cubic"), {},
                      "is not one of linear, log_linear"),
    "labels": (config("EulerDiscrete", timestep_type="odd"), {}, "is not one of discrete, continuous"),
    "shift type": (config("FlowMatchEulerDiscrete", time_shift_type="odd"), {},
                   "is not one of exponential, linear"),
    "whole": (config("DDIM", num_train_timesteps=10.5), {},
              "DDIMScheduler: num_train_timesteps = 10.5 is not a whole number above 1."),
    "number": (config("DDIM", beta_start="0.1"), {}, "beta_start = '0.1' is not a number."),
    "truth": (config("DDIM", clip_sample="yes"), {}, "clip_sample = 'yes' is not true or false."),
    "betas": (config("DDIM", trained_betas=3), {}, "trained_betas = 3 is not a list of β or null."),
    "lengths": (config("DDIM", trained_betas=[0.1, 0.2]), {},
                "trained_betas has 2 entries, but num_train_timesteps = 1000."),
    "two spacings": (config("EulerDiscrete", use_karras_sigmas=True, use_beta_sigmas=True), {},
                     "use_karras_sigmas and use_beta_sigmas are both set; levels have one spacing."),
    "blind": (config("DDIM", **zero_snr), {}, "rescale_betas_zero_snr makes the first level σ = ∞"),
    "blind, DPM": (config("DPMSolverMultistep", **zero_snr), {}, "rescale_betas_zero_snr makes the first"),
    "half a flow": (config("DPMSolverMultistep", use_flow_sigmas=True), {},
                    "prediction_type = 'epsilon' with use_flow_sigmas = True: a network that predicts a flow"),
    "other half": (config("DDIM", prediction_type="flow_prediction"), {}, "with use_flow_sigmas = False"),
    "karras flow": (config("DPMSolverMultistep", **flow, use_karras_sigmas=True), {},
                    "use_karras_sigmas takes levels of the β table"),
    "flow to σ_0": (config("DPMSolverMultistep", **flow, final_sigmas_type="sigma_min"), {},
                    'final_sigmas_type = "sigma_min" is the β table\'s'),
    "terminal": (config("UniPCMultistep", shift_terminal=0.1), {},
                 "shift_terminal belongs to use_flow_sigmas, which is not set."),
    "inverted": (config("FlowMatchEulerDiscrete", invert_sigmas=True), {},
                 "invert_sigmas puts the noise at t = 0"),
    "no size": (dynamic, {}, "so the grid depends on the size of the image: give image_seq_len="),
    "two sizes": (dynamic, {"mu": 1.0, "image_seq_len": 9}, "give image_seq_len="),
    "size for nothing": (config("DDIM"), {"mu": 1.0}, "mu and image_seq_len belong to dynamic shifting"),
    "no line": (config("UniPCMultistep", **flow, use_dynamic_shifting=True), {"image_seq_len": 9},
                "this scheduler knows no base_shift: give mu= and not image_seq_len=."),
    "ends at": (config("FlowMatchEulerDiscrete"), {"ends_at": "0"},
                'ends_at must be "1/T" or "1/n", but got \'0\'.'),
    "ends": (config("DDIM"), {"ends_at": "1/n"},
             "ends_at = '1/n' is for FlowMatch schedulers, not DDIMScheduler."),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    source, options, text = REFUSED[what]
    with pytest.raises(ScheduleError) as error:
        read_config(source, **options)
    assert text in str(error.value)


@pytest.mark.parametrize("name", sorted({*FAMILIES} - {"DDIMInverseScheduler"}))
def test_the_recipe_of_the_page_spends_every_budget(name: str) -> None:
    """sample(ode, noise, m.spacing, solver, nfe=n), for every class and where the levels lie."""
    options = [
        {},
        {"use_karras_sigmas": True},
        {"timestep_spacing": "trailing"},
        {"final_sigmas_type": "sigma_min"},
    ]
    for more in options:
        if {*more} <= {*FAMILIES[name].keys}:
            r = read_config({"_class_name": name, **more})
            ode = fs.DiffusionODE(lambda x, t: x / 2, r.precondition)
            for n in (1, 2, 3, 7, 20):
                done = fs.sample(
                    ode, torch.ones(1, 2), r.spacing, DPMSolverPP2M(), nfe=n, start=r.start
                )
                assert done.nfe == n
                assert done.x.isfinite().all()
