// The same recurrences for any levels, of the methods that have a short formula.
"use strict";

(() => {
  const asked = (sigma, number, weights, scale = 1, data = false, mix = [0, 1]) => (
    { sigma, number, data, mix, scale, weights, draws: [] });

  // One step of Euler in a chart: z = x̄/r, dz/du = F, F = a x̄ + b (ε, or x₀ above σ = 1).
  const bounded = (r, u, fromEps, fromX0) => (s, t, k) => [asked(
    s, k, [[k, r(t) * (u(t) - u(s))]], r(t) / r(s), s > 1, s > 1 ? fromX0(s) : fromEps(s))];

  const middle = (m) => (s, t, k) => [
    asked(s, k, [[k, m(s, t) - s]]), asked(m(s, t), k + 1, [[k, s - m(s, t)], [k + 1, t - s]])];

  // The stages of the step from s to t, whose first evaluation has the number k.
  const STEP = {
    euler: (s, t, k) => [asked(s, k, [[k, t - s]])],
    euler_data: (s, t, k) => [asked(s, k, [[k, 1 - t / s]], t / s, true)],
    euler_velocity: bounded(
      (v) => Math.hypot(1, v), Math.atan, (v) => [-v / Math.hypot(1, v), Math.hypot(1, v)],
      (v) => [1 / Math.hypot(1, v) / v, -Math.hypot(1, v) / v]),
    euler_flow: bounded(
      (v) => 1 + v, (v) => v / (1 + v), (v) => [-1, 1 + v], (v) => [1 / v, -1 / v - 1]),
    euler_in_t(s, t, k, schedule) {
      if (schedule === "flow") return STEP.euler_flow(s, t, k);
      const { t: time, rate } = Flow.clock[schedule], slope = Flow.clock[schedule].rate(time(s)), dt = time(t) - time(s);
      const scale = Math.sqrt((1 + t * t) / (1 + s * s));
      return [asked(s, k, [[k, scale * dt * slope]], scale * (1 - dt * s * slope / (1 + s * s)))];
    },
    euler_variance: (s, t, k) => [asked(s, k, [[k, (t - s) * (t + s) / (2 * s)]])],
    heun: (s, t, k) => [
      asked(s, k, [[k, t - s]]), asked(t, k + 1, [[k, (s - t) / 2], [k + 1, (t - s) / 2]])],
    midpoint: middle((s, t) => (s + t) / 2),
    dpm2: middle((s, t) => Math.sqrt(s * t)),
    rk4(s, t, k) {
      const h = t - s, m = (s + t) / 2;
      return [
        asked(s, k, [[k, h / 2]]),
        asked(m, k + 1, [[k, -h / 2], [k + 1, h / 2]]),
        asked(m, k + 2, [[k + 1, -h / 2], [k + 2, h]]),
        asked(t, k + 3, [[k, h / 6], [k + 1, h / 3], [k + 2, -2 * h / 3], [k + 3, h / 6]]),
      ];
    },
    dpmpp_2m(s, t, k, _, before) {
      if (k > 1) {
        const half = Math.log(s / t) / (2 * Math.log(before[0] / s)), whole = 1 - t / s;
        if (within([1 + half, -half], whole)) {
          return [asked(s, k, [[k, whole * (1 + half)], [k - 1, -whole * half]], t / s, true)];
        }
      }
      return STEP.euler_data(s, t, k);
    },
    lms(s, t, k, _, before) {
      let weights = [t - s];
      for (let points = Math.min(3, k); points > 1; points--) {
        weights = adams(t - s, before.slice(0, points - 1).map((n) => n - s));
        if (within(weights, 1 - t / s)) break;
        weights = [t - s];
      }
      return [asked(s, k, weights.map((w, j) => [k - j, w]))];
    },
  };

  // The integrals from 0 to h of the Lagrange polynomials on 0, a and b (or 0 and a).
  function adams(h, [a, b]) {
    if (b === undefined) return [h - h * h / (2 * a), h * h / (2 * a)];
    const one = h * h * (h / 3 - b / 2) / (a * (a - b)), two = h * h * (h / 3 - a / 2) / (b * (b - a));
    return [h - one - two, one, two];
  }

  // Whether a step of this reach may take so many points: `guarded` of flowsolve/solver/weights.py.
  function within(weights, reach) {
    const sum = weights.reduce((a, w) => a + w, 0), total = weights.reduce((a, w) => a + Math.abs(w), 0);
    return total <= Math.max(2.1 ** Math.min(weights.length - 1, 2), 2.1 / reach) * Math.abs(sum);
  }

  function recurrence(method, levels, schedule = "linear") {
    if (!Object.hasOwn(STEP, method)) return null;
    const nodes = [0], stages = [];
    for (let i = 0; i + 1 < levels.length; i++) {
      const before = levels.slice(0, i).reverse();
      stages.push(...STEP[method](levels[i], levels[i + 1], stages.length + 1, schedule, before));
      nodes.push(stages.length);
    }
    return Flow.finished({ levels: [...levels], nodes, start: { scale: 1, weights: [], draws: [] }, stages });
  }

  // DDIM with η on any levels: x_t = x_s + (d - s) ε + v z, v = η t √(s² - t²)/s, d² + v² = t².
  function eta(levels, eta) {
    const nodes = levels.map((_, i) => i), start = { scale: 1, weights: [], draws: [] };
    const stages = levels.slice(1).map((t, i) => {
      const s = levels[i], k = 1 + i * (eta > 0 ? 2 : 1);
      const d = Math.hypot(t * Math.sqrt((1 - eta) * (1 + eta)), eta * t * t / s);
      const stage = asked(s, k, [[k, d - s]]);
      if (eta > 0) {
        stage.weights.push([k + 1, eta * t * Math.sqrt((s - t) * (s + t)) / s]);
        stage.draws.push([k + 1, s, t, 0]);
      }
      return stage;
    });
    return Flow.finished({ levels: [...levels], nodes, start, stages });
  }

  Object.assign(Flow, { recurrence, eta });
})();
