// The exact flow: by quantiles in one dimension, else by extrapolation to 1e-10.
"use strict";

(() => {
  // The states at each of sigmas, which fall (or rise), of the solutions through x at sigmaFrom.
  function exact(problem, x, sigmaFrom, sigmas) {
    const guided = problem.label !== null && problem.scale !== 1;
    if (problem.d > 1 || guided) return integrated(problem, x, sigmaFrom, sigmas);
    const out = sigmas.map(() => new Float64Array(x.length));
    x.forEach((one, row) => quantiles(problem, one, sigmaFrom, sigmas).forEach((y, i) => { out[i][row] = y; }));
    return out;
  }

  // log Φ(z): by its series, and far out on the left by the continued fraction of Mills.
  function logPhi(z) {
    if (z < -3) {
      let tail = 0;
      for (let k = 60; k > 0; k--) tail = k / (tail - z);
      return -z * z / 2 - Math.log((tail - z) * Math.sqrt(2 * Math.PI));
    }
    if (z > 8) return -Math.exp(-z * z / 2) / (z * Math.sqrt(2 * Math.PI));
    let term = z, sum = z;
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) sum += term *= z * z / k;
    return Math.log(0.5 + sum * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI));
  }

  // One dimension: F_t(y) = F_s(x), F the distribution function, by Newton's method in the log of the smaller tail.
  function quantiles({ components, density }, x, sigmaFrom, sigmas) {
    const logTail = (y, sigma, side) => {
      let sum = 0, top = -Infinity;
      for (const { w, m, s } of components) {
        const log = Math.log(w) + logPhi(side * (y - m) / Math.hypot(s, sigma));
        if (log > top) [sum, top] = [sum * Math.exp(top - log), log];
        sum += Math.exp(log - top);
      }
      return top + Math.log(sum);
    };
    const side = logTail(x, sigmaFrom, 1) > logTail(x, sigmaFrom, -1) ? -1 : 1;
    const target = logTail(x, sigmaFrom, side);
    const mean = components.reduce((a, { w, m }) => a + w * m, 0);
    const square = components.reduce((a, { w, m, s }) => a + w * (s * s + (m - mean) ** 2), 0);
    let y = x, from = sigmaFrom;
    return sigmas.map((sigma) => {
      y = mean + (y - mean) * Math.sqrt((square + sigma * sigma) / (square + from * from)); // exact for one Gaussian
      from = sigma;
      let low = -Infinity, high = Infinity, step = Infinity;
      for (let i = 0; i < 99 && Math.abs(step) > 1e-13 * (1 + Math.abs(y)); i++) {
        const at = logTail(y, sigma, side), off = side * (at - target);
        if (off > 0) high = y; else low = y;
        let next = y - off * Math.exp(at) / density(y, sigma);
        if (!(next > low && next < high)) {
          next = Number.isFinite(low + high) ? (low + high) / 2 : y - Math.sign(off) * (1 + Math.abs(y));
        }
        step = next - y;
        y = next;
      }
      return y;
    });
  }

  // Gragg's midpoint rule in log σ, extrapolated to order 2 COLUMNS; its steps end at each of sigmas.
  const COLUMNS = 5;

  function integrated(problem, x, sigmaFrom, sigmas, tolerance = 1e-10) {
    const size = x.length, rows = Array.from({ length: COLUMNS }, () => new Float64Array(size));
    const slope = (at, tau, out) => {
      const sigma = Math.exp(tau);
      problem.eps(at, sigma, out);
      for (let i = 0; i < size; i++) out[i] *= sigma;
    };
    let y = Float64Array.from(x), tau = Math.log(sigmaFrom), length = 0.2;
    const first = new Float64Array(size), f = new Float64Array(size);
    slope(y, tau, first);

    const attempt = (step) => { // y at tau + step in the last of rows; its error in units of the tolerance
      let error = 0;
      for (let j = 0; j < COLUMNS; j++) {
        const n = 2 * (j + 1), h = step / n;
        let a = Float64Array.from(y), b = y.map((v, i) => v + h * first[i]);
        for (let m = 1; m < n; m++) {
          slope(b, tau + m * h, f);
          for (let i = 0; i < size; i++) a[i] += 2 * h * f[i];
          [a, b] = [b, a];
        }
        slope(b, tau + step, f);
        let next = a.map((v, i) => (v + b[i] + h * f[i]) / 2); // T_j0, then T_j1, ... from the row before
        for (let l = 0; l < j; l++) {
          const ratio = (j + 1) / (j - l), before = rows[l];
          rows[l] = next;
          next = next.map((v, i) => v + (v - before[i]) / (ratio * ratio - 1));
          if (j === COLUMNS - 1 && l === j - 1) {
            for (let i = 0; i < size; i++) {
              error = Math.max(error, Math.abs(next[i] - rows[l][i]) / (tolerance * (1 + Math.abs(next[i]))));
            }
          }
        }
        rows[j] = next;
      }
      return error;
    };

    return sigmas.map((sigma) => {
      const end = Math.log(sigma), way = Math.sign(end - tau);
      while ((end - tau) * way > 0) {
        const last = length >= Math.abs(end - tau), step = last ? end - tau : length * way;
        const error = attempt(step);
        const fitting = Math.abs(step) * Math.min(3, Math.max(0.2, 0.9 * error ** (-1 / (2 * COLUMNS - 1))));
        if (error > 1 || !last || fitting > length) length = fitting;
        if (error > 1) continue;
        [y, tau] = [rows[COLUMNS - 1], last ? end : tau + step];
        slope(y, tau, first);
      }
      return Float64Array.from(y);
    });
  }

  Object.assign(Flow, { exact });
})();
