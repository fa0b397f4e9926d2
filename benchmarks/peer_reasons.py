"""Why a sampler of another package has not the order that it declares: the line at fault, mended, in words."""

from __future__ import annotations

from benchmarks.peer_code import Edit

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
