"""What is measured of each package: its configurations, the edits that mend one, and why one needs mending."""

from __future__ import annotations

from typing import Any

from benchmarks.peer_code import Edit
from benchmarks.peer_drivers import LABELS, SDE, Case

TWO: Edit = ("D2 = (1.0 / (r0 + r1))", "D2 = (2.0 / (r0 + r1))")
HALF: Edit = ("- 2.0 * h) / (2.0 * h) ** 2 - 0.5)", "- 2.0 * h) / (2.0 * h) ** 2 + 0.5)")
HALF_1: Edit = ("+ (-2.0 * h)) / (-2.0 * h) ** 2 - 0.5)", "+ (-2.0 * h)) / (-2.0 * h) ** 2 + 0.5)")
TWO_K: Edit = ("d2 = (d1_0 - d1_1) / (r0 + r1)", "d2 = 2 * (d1_0 - d1_1) / (r0 + r1)")
TWO_S: Edit = ("D2 = (1.0 / (r + r_prev2))", "D2 = (2.0 / (r + r_prev2))")
NEXT: Edit = (
    "        prev_timestep = timestep - self.config.num_train_timesteps // self.num_inference_steps\n"
    "\n        # 2. compute",
    "        index = (self.timesteps == timestep).nonzero()[0].item()\n"
    "        prev_timestep = self.timesteps[index + 1] if index + 1 < len(self.timesteps) else -1\n"
    "\n        # 2. compute",
)
RHO = "rho_t, rho_s0, rho_s1, rho_s2"
WIDE: Edit = (
    '        if self.config.algorithm_type == "deis":\n\n            def ind_fn(t, b, c, d):',
    f"        {RHO} = (r.to(torch.float64) for r in ({RHO}))\n\n"
    '        if self.config.algorithm_type == "deis":\n\n            def ind_fn(t, b, c, d):',
)
LEVEL: Edit = (
    "torch.sqrt(alpha_s**2 + sigma_t**2) * integral",
    "torch.sqrt(alpha_s**2 + sigma_s**2) * integral",
)
SIGN: Edit = (
    "        hh_X = -h\n",
    "        hh_X = h if isinstance(model_transform, models.NoiseModel) else -h\n",
)
NODES: Edit = (
    "    S0, S1, *fractions = schedule.ipoints([*step, "
    "*(step[0] + f[0] * (step[1] - step[0]) for f in nodes)])\n"
    "    delta = common.DeltaPoint(S0, S1)\n",
    """
    from scipy.optimize import brentq

    S0, S1 = schedule.ipoints(step)
    delta = common.DeltaPoint(S0, S1)

    def passed(time):
        part = common.DeltaPoint(S0, schedule.ipoint(time))
        return model_transform.delta(part) / model_transform.gamma(part)

    def node(c):
        if c in (0, 1):
            return step[int(c)]
        return brentq(lambda time: passed(time) - c * passed(step[1]), *step, xtol=1e-15)

    fractions = schedule.ipoints([node(f[0]) for f in nodes])
""",
)

EQUAL = (
    "The Adams weights are those of equal steps, and the steps are not equal in the variable that they "
    "integrate over."
)
THREE = (
    "The second difference D2 is h²m″/2 but is multiplied by the weight of h²m″: a factor 2 "
    "is missing, and the third-order update is second order."
)
REASONS: dict[str, tuple[Edit | str, str]] = {
    "three": (TWO, THREE),
    "three_k": (TWO_K, THREE),
    "three_s": (TWO_S, THREE),
    "half": (
        HALF,
        "The weight of D2 adds -1/2 where its sign needs +1/2, so it tends to -1 instead of 0; "
        "the factor 2 of D2 is missing as well.",
    ),
    "half_1": (HALF_1, "The same -1/2 where the sign needs +1/2; D2 has its factor 2 here."),
    "neighbour": (
        NEXT,
        "The next label is taken to be t - T // N; it is not for `linspace`, nor for "
        "`trailing` unless N divides T.",
    ),
    "float32": (
        WIDE,
        "The three weights of DEIS are differences of antiderivatives in float32 and divided "
        "by h²: they cancel, and the error rises with the number of steps.",
    ),
    "level": (
        LEVEL,
        "The integral is multiplied by √(α² + σ²) with α of the level stepped to and σ of the level "
        "stepped from; both are to be of the level stepped to.",
    ),
    "nodes": (
        NODES,
        "The nodes of the tableau are fractions of the schedule's time, but its weights integrate "
        "over another variable, α/σ by default: no tableau is better than second order.",
    ),
    "sign": (
        SIGN,
        "The weights are those of predictions of x₀, with e^(-h); predictions of ε need those with e^h.",
    ),
    "velocity": (
        "models.py",
        "A combination of v's of several levels is put into a formula for one v. v changes from "
        "level to level even where x₀ and ε do not, so that a step is wrong by h².",
    ),
    "equal": ("", EQUAL),
    "equal_t": ("torchdiffeq/_impl/fixed_adams.py", EQUAL),
    "abscissae": (
        "STORKScheduler.py",
        "The abscissae of the stages are those of the Runge-Kutta-Legendre method, the weights those "
        "of Runge-Kutta-Gegenbauer.",
    ),
    "cube": (
        "beta/phi_functions.py",
        "γ has c₃³ where it should have c₃², which is the same at c₃ = 1 only.",
    ),
    "two_thirds": (
        "beta/rk_coefficients_beta.py",
        "a₃₂ = 8/9 φ₂(-c₃ h) is that of c₂ = 1/2, and c₂ is 1/3.",
    ),
}
"""Where: the edit whose first text is the line at fault, or a file ("": the sampler's own); and the reason."""


def diffusers_cases() -> list[Case]:
    """The schedulers."""
    end = {"final_sigmas_type": "sigma_min", "lower_order_final": False}
    heun = {"solver_type": "heun"}

    def dpm(k: int, algorithm: str, step: str = "multi", **more: Any) -> Case:
        options = {"cls": f"DPMSolver{step.title()}stepScheduler", "solver_order": k}
        options |= {"algorithm_type": algorithm, **end, **more.pop("options", {})}
        name = (
            f"DPMSolver{step.title()}step({k}, {algorithm}{', heun' * ('solver_type' in options)})"
        )
        return Case(name, k, f"dpmsolver_{step}step", options, **more)

    def plain(
        name: str, declared: int, file: str, frame: str = "ve", call: Any = (), **more: Any
    ) -> Case:
        cls = f"{name.partition('(')[0]}Scheduler"
        return Case(name, declared, file, {"cls": cls, "frame": frame, "call": dict(call)}, **more)

    def labels(name: str, cls: str, declared: int, how: str, **more: Any) -> Case:
        options = {"cls": f"{cls}Scheduler", "timestep_spacing": how}
        options |= {"clip_sample": False} if cls == "DDIM" else {}
        options |= {"skip_prk_steps": "PLMS" in name} if cls == "PNDM" else {}
        return Case(name, declared, cls.lower(), options, LABELS, **more)

    def edm(k: int, **more: Any) -> Case:
        options = {
            "cls": "EDMDPMSolverMultistepScheduler",
            "solver_order": k,
            "frame": "edm",
            **end,
        }
        return Case(f"EDMDPMSolverMultistep({k})", k, "edm_dpmsolver_multistep", options, **more)

    def sa(p: int, c: int) -> Case:
        options = {"cls": "SASolverScheduler", "predictor_order": p, "corrector_order": c}
        options |= {"lower_order_final": False, "tau_func": lambda t: 0.0}
        return Case(f"SASolver({p}, {c}, tau=0)", min(p + 1, c), "sasolver", options)

    def multi(name: str, file: str, k: int, **options: Any) -> Case:
        return Case(f"{name}({k}{', bh2' * (name[0] == 'U')})", k, file,
                    {"cls": f"{name}Scheduler", "solver_order": k, **options})  # fmt: skip

    both = ("dpmsolver", "dpmsolver++")
    cases = [dpm(2, a) for a in both]
    for a in both:
        cases += [dpm(3, a, reason="three"), dpm(3, a, edits=(TWO,))]
    cases += [
        dpm(2, "sde-dpmsolver++", kind=SDE),
        dpm(3, "sde-dpmsolver++", kind=SDE, reason="half"),
        dpm(3, "sde-dpmsolver++", kind=SDE, edits=(TWO, HALF)),
        *(dpm(k, a, "single") for k in (2, 3) for a in both),
        dpm(2, "sde-dpmsolver++", "single", kind=SDE),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE, options=heun, reason="half_1"),
        dpm(3, "sde-dpmsolver++", "single", kind=SDE, options=heun, edits=(HALF_1,)),
        edm(2),
        edm(3, reason="three"),
        edm(3, edits=(TWO,)),
        *(multi("DEISMultistep", "deis_multistep", k, lower_order_final=False) for k in (1, 2, 3)),
        *(multi("UniPCMultistep", "unipc_multistep", k, **end) for k in (1, 2, 3)),
        *(sa(p, c) for p, c in ((2, 2), (3, 3), (3, 4))),
        plain("EulerDiscrete", 1, "euler_discrete"),
        plain("HeunDiscrete", 2, "heun_discrete"),
        plain("KDPM2Discrete", 2, "k_dpm_2_discrete"),
        *(plain(f"LMSDiscrete({k})", k, "lms_discrete", call={"order": k}) for k in (2, 3, 4)),
        plain("EulerAncestralDiscrete", 1, "euler_ancestral_discrete", kind=SDE),
        plain("EDMEuler", 1, "edm_euler", "edm"),
        plain("FlowMatchEulerDiscrete", 1, "flow_match_euler_discrete", "flow"),
        plain("FlowMatchHeunDiscrete", 2, "flow_match_heun_discrete", "flow"),
        plain("IPNDM", 4, "ipndm", "v", reason="equal"),
        labels("DDIM, leading", "DDIM", 1, "leading"),
        labels("DDIM, trailing", "DDIM", 1, "trailing", reason="neighbour"),
        labels("DDIM, trailing", "DDIM", 1, "trailing", edits=(NEXT,)),
        labels("DDIM, linspace", "DDIM", 1, "linspace", reason="neighbour"),
        labels("DDIM, linspace", "DDIM", 1, "linspace", edits=(NEXT,)),
        labels("PNDM, PLMS, leading", "PNDM", 4, "leading", reason="equal"),
    ]
    return cases


def k_cases() -> list[Case]:
    """The samplers of k-diffusion."""

    def sampler(name: str, declared: int, **more: Any) -> Case:
        options = {"sampler": f"sample_{name.split('(')[0]}", **more.pop("options", {})}
        return Case(name, declared, "k_diffusion.sampling", options, **more)

    ode = {"eta": 0.0}
    quiet = {"eta": 0.0, "noise_sampler": lambda s, t: 0.0}
    return [
        sampler("euler", 1),
        sampler("euler_ancestral(eta=0)", 1, options=ode),
        sampler("heun", 2),
        sampler("dpm_2", 2),
        sampler("dpm_2_ancestral(eta=0)", 2, options=ode),
        *(sampler(f"lms({k})", k, options={"order": k}) for k in (2, 3, 4)),
        sampler("dpmpp_2s_ancestral(eta=0)", 2, options=quiet),
        sampler("dpmpp_sde(eta=0)", 2, options=quiet),
        sampler("dpmpp_2m", 2),
        sampler("dpmpp_2m_sde(eta=0)", 2, options=quiet),
        sampler("dpmpp_2m_sde(eta=0, heun)", 2, options={**quiet, "solver_type": "heun"}),
        sampler("dpmpp_3m_sde(eta=0)", 3, options=quiet, reason="three_k"),
        sampler("dpmpp_3m_sde(eta=0)", 3, options=quiet, edits=(TWO_K,)),
    ]


def azula_cases() -> list[Case]:
    """The samplers of azula."""

    def sampler(name: str, declared: int, kind: str = "", **options: Any) -> Case:
        cls = f"{name.split('(')[0]}Sampler"
        return Case(name, declared, "azula.sample", {"cls": cls, **options}, kind)

    def reab(k: int, **more: Any) -> Case:
        return Case(f"REAB({k})", k, "azula.sample", {"cls": "REABSampler", "order": k}, **more)

    return [
        sampler("DDIM", 1),
        sampler("DDPM", 1, SDE),
        sampler("Euler", 1),
        sampler("Heun", 2),
        sampler("Ito(eta=0)", 1, eta=0.0),
        sampler("Ito(eta=1)", 1, SDE, eta=1.0),
        sampler("PC(corrections=0)", 1, corrections=0),
        *(
            sampler(f"{c}({k})", k, order=k)
            for c in ("zAB", "vAB", "zEAB", "xEAB")
            for k in (2, 3, 4)
        ),
        *(case for k in (2, 3, 4) for case in (reab(k, reason="level"), reab(k, edits=(LEVEL,)))),
    ]


def skrample_cases() -> list[Case]:
    """The samplers of skrample; a second word is the prediction that they work in, if not x₀."""
    where = "skrample.sampling."

    def structured(cls: str, k: int, chart: str = "", **more: Any) -> Case:
        name = f"{cls}({k}{', ' * bool(chart)}{chart.lower()})"
        options = {"cls": cls, "order": k} | ({"chart": chart} if chart else {})
        return Case(name, k + (cls == "UniPC"), f"{where}structured", options, **more)

    def rk(cls: str, name: str, declared: int, chart: str = "", **more: Any) -> Case:
        given: dict[str, Any] = (
            {"order": int(name)} if name.isdigit() else {"order": 1, "tableau": name}
        )
        options = {"cls": cls, **given} | ({"chart": chart} if chart else {})
        title = f"{cls}({name}{', ' * bool(chart)}{chart.lower()})"
        return Case(title, declared, f"{where}functional", options, **more)

    tableaux = (("RK3.Kutta", 3), ("RK4.Kutta", 4), ("RKE5.DormandPrince", 5), ("RKZ.Butcher6", 6))
    return [
        Case("Euler", 1, f"{where}structured", {"cls": "Euler"}),
        Case("SPC", None, f"{where}structured", {"cls": "SPC"}),
        structured("DPM", 2),
        structured("DPM", 3, reason="three_s"),
        structured("DPM", 3, edits=(TWO_S,)),
        structured("Adams", 2),
        *(structured("Adams", k, reason="equal") for k in (3, 4)),
        *(structured("UniP", k) for k in (2, 3, 4)),
        *(structured("UniPC", k) for k in (1, 2, 3)),
        *(structured(cls, 2, "Velocity", reason="velocity") for cls in ("DPM", "Adams", "UniP", "UniPC")),
        structured("UniP", 3, "Noise", reason="sign"),
        structured("UniP", 3, "Noise", edits=(SIGN,)),
        structured("UniPC", 2, "Noise", reason="sign"),
        structured("UniPC", 2, "Noise", edits=(SIGN,)),
        *(rk("DynasauRK", str(k), 2) for k in (2, 3, 4)),
        rk("RKUltra", "RK2.Mid", 2),
        rk("RKUltra", "RK2.Mid", 2, "Velocity", reason="velocity"),
        *(
            rk("RKUltra", name, k, **more)
            for name, k in tableaux
            for more in ({"reason": "nodes"}, {"edits": (NODES,)})
        ),
    ]  # fmt: skip


def other_cases() -> list[Case]:
    """Solvers of flow_matching, physicsnemo and smalldiffusion."""

    def flow(cls: str, method: str, declared: int, reason: str = "") -> Case:
        file = "ode" if cls[0] == "O" else "riemannian_ode"
        options = {"cls": f"{cls}Solver", "method": method}
        return Case(
            f"{cls}Solver({method})",
            declared,
            f"flow_matching.solver.{file}_solver",
            options,
            reason=reason,
        )

    def nemo(name: str, declared: int, file: str, **options: Any) -> Case:
        cls = name.partition("(")[0]
        return Case(
            name, declared, f"physicsnemo.diffusion.samplers.{file}", {"cls": cls, **options}
        )

    def deterministic(how: str, declared: int, **options: Any) -> Case:
        return nemo(
            f"deterministic_sampler({how})", declared, "legacy_deterministic_sampler", **options
        )

    def small(name: str, declared: int | None, kind: str = "", **options: float) -> Case:
        return Case(f"samples({name})", declared, "smalldiffusion.diffusion", options, kind)

    vp = {"schedule": "vp", "scaling": "vp"}
    methods = (("euler", 1), ("midpoint", 2), ("heun2", 2), ("heun3", 3), ("rk4", 4))
    return [
        *(flow("ODE", *m) for m in methods),
        *(flow("ODE", f"{m}_adams", 4, "equal_t") for m in ("explicit", "implicit")),
        *(flow("RiemannianODE", m, k) for m, k in methods if not m.startswith("heun")),
        nemo("EulerSolver", 1, "euler"),
        nemo("HeunSolver", 2, "heun"),
        nemo("HeunSolver(alpha=0.5)", 2, "heun", alpha=0.5),
        nemo("EDMStochasticEulerSolver(S_churn=0)", 1, "edm_stochastic_euler"),
        nemo("EDMStochasticHeunSolver(S_churn=0)", 2, "edm_stochastic_heun"),
        deterministic("euler", 1, solver="euler"),
        deterministic("heun", 2),
        deterministic("heun, alpha=0.5", 2, alpha=0.5),
        deterministic("heun, ve", 2, schedule="ve"),
        deterministic("heun, vp", 2, **vp),
        small("gam=1", 1, gam=1.0),
        small("gam=1, mu=0.5", 1, SDE, gam=1.0, mu=0.5),
        small("gam=1.5", None, gam=1.5),
        small("gam=2", None, gam=2.0),
    ]


def formula_cases() -> list[Case]:
    """STORK and RES4LYF, which are not on PyPI: formulas of peer_formulas.py."""

    def stork(s: int, k: int, **more: Any) -> Case:
        mended = {"own": False} if more.pop("mended", False) else {}
        options = {"peer": "STORK", "function": "stork2", "s": s, "derivatives": k, **mended}
        name = f"STORK-2(s={s}, derivative_order={k})"
        return Case(name + ", fixed" * bool(mended), 2, FORMULAS, options, **more)

    def res(name: str, reason: str = "", function: str = "res_3s", **options: float) -> Case:
        return Case(
            name, 3, FORMULAS, {"peer": "RES4LYF", "function": function, **options}, reason=reason
        )

    thirds = {"c2": 0.5, "c3": 2 / 3}
    return [
        stork(50, 1, reason="abscissae"),
        stork(50, 1, mended=True),
        stork(10, 1, reason="abscissae"),
        stork(10, 1, mended=True),
        res("res_3s(c2=1/2, c3=1)"),
        res("res_3s(c2=1/2, c3=0.8)", "cube", c2=0.5, c3=0.8),
        res("res_3s(c2=1/2, c3=0.8), fixed", c2=0.5, c3=0.8, power=2),
        res("res_3s(c2=1/2, c3=2/3)", "cube", **thirds),
        res("res_3s(c2=1/2, c3=2/3), fixed", **thirds, power=2),
        res("res_3s_non-monotonic(c2=1, c3=1/2)", "cube", c2=1.0, c3=0.5),
        res("res_3s_non-monotonic(c2=1, c3=1/2), fixed", c2=1.0, c3=0.5, power=2),
        res("res_3s_sunstar(c2=1/3)", "two_thirds", "two_thirds"),
        res("res_3s_sunstar(c2=1/2)", "", "two_thirds", c2=0.5),
    ]


FORMULAS = "benchmarks.peer_formulas"


def float_cases() -> list[Case]:
    """DEIS as shipped, its fix, and in float64; and another scheduler in float32."""
    options = {"cls": "DEISMultistepScheduler", "lower_order_final": False}
    three = {**options, "solver_order": 3}
    dpm = {
        "cls": "DPMSolverMultistepScheduler",
        "solver_order": 2,
        "final_sigmas_type": "sigma_min",
    }

    def deis(k: int, **more: Any) -> Case:
        return Case(
            f"DEISMultistep({k})", k, "deis_multistep", {**three, "solver_order": k}, **more
        )

    return [
        deis(3, double=False, reason="float32"),
        deis(3, double=False, edits=(WIDE,)),
        deis(3),
        *(deis(k, double=False) for k in (2, 1)),
        Case("DPMSolverMultistep(2, dpmsolver++)", 2, "dpmsolver_multistep", dpm, double=False),
    ]


def all_cases() -> list[Case]:
    """In the order of the page."""
    made = (diffusers_cases, k_cases, azula_cases, skrample_cases, other_cases, formula_cases)
    return [case for make in made for case in make()]
