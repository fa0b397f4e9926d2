"""What is measured of the packages: their samplers, as they are and mended."""

from __future__ import annotations

from typing import Any

from benchmarks.peer_case import SDE, Case
from benchmarks.peer_cases_diffusers import diffusers_cases
from benchmarks.peer_reasons import LEVEL, NODES, SIGN, TWO_K, TWO_S


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


def all_cases() -> list[Case]:
    """In the order of the page."""
    made = (diffusers_cases, k_cases, azula_cases, skrample_cases, other_cases, formula_cases)
    return [case for make in made for case in make()]
