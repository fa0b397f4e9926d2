// Clocks, t(σ), σ(t), dσ/dt, and α of x_t = α x̄; one DDIM step, three ways.
"use strict";

(() => {
  const vp = (sigma) => 1 / Math.hypot(1, sigma);
  const LOW = 0.1, HIGH = 20; // β from 0.1 to 20, as in score-SDE
  const clock = {
    linear: {
      t(sigma) {
        const b = Math.log1p(sigma * sigma), d = HIGH - LOW;
        return 2 * b / (LOW + Math.sqrt(LOW * LOW + 2 * d * b));
      },
      sigma: (t) => Math.sqrt(Math.expm1(t * (LOW + (HIGH - LOW) * t / 2))),
      rate(t) {
        const sigma = this.sigma(t);
        return (LOW + (HIGH - LOW) * t) * (1 + sigma * sigma) / (2 * sigma);
      },
      alpha: vp,
    },
    cosine: {
      t: (sigma) => Math.atan(sigma) * 2 / Math.PI,
      sigma: (t) => Math.tan(t * Math.PI / 2),
      rate(t) { return Math.PI / 2 * (1 + this.sigma(t) ** 2); },
      alpha: vp,
    },
    flow: {
      t: (sigma) => sigma / (1 + sigma),
      sigma: (t) => t / (1 - t),
      rate: (t) => 1 / (1 - t) ** 2,
      alpha: (sigma) => 1 / (1 + sigma),
    },
  };

  // From x̄ and ε at s to t: α and the noise √(1-ᾱ) = ασ of both levels, and the same step as Eq. 12 of the DDIM
  // paper writes it, as Eq. 13 does, and as Euler's in x̄. Each ends with x (x_t) and xbar (x̄).
  function ddim(x, eps, s, t, schedule) {
    const { alpha } = clock[schedule], a = alpha(s), b = alpha(t), noiseS = a * s, noiseT = b * t;
    const over = (f) => Float64Array.from(x, (_, i) => f(i));
    const xs = over((i) => a * x[i]);
    const x0 = over((i) => (xs[i] - noiseS * eps[i]) / a);
    const first = over((i) => b * x0[i]), second = over((i) => noiseT * eps[i]);
    const x12 = over((i) => first[i] + second[i]);
    const scaled = over((i) => xs[i] / a), rise = noiseT / b - noiseS / a;
    const moved = over((i) => scaled[i] + rise * eps[i]);
    const stepped = over((i) => x[i] + (t - s) * eps[i]);
    return {
      alpha: [a, b], abar: [a * a, b * b], noise: [noiseS, noiseT], x: xs,
      eq12: { x0, first, second, x: x12, xbar: over((i) => x12[i] / b) },
      eq13: { scaled, rates: [noiseS / a, noiseT / b], rise, x: over((i) => b * moved[i]), xbar: moved },
      euler: { step: t - s, x: over((i) => b * stepped[i]), xbar: stepped },
    };
  }

  Object.assign(Flow, { clock, ddim });
})();
