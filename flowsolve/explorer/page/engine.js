// The explorer's arithmetic, without what one sees: one global, Flow, to which the files engine-*.js add.
// States are Float64Arrays of n*d numbers, row by row; x is x̄ = x_t/α and sigma is σ = s/α.
"use strict";

const Flow = { data: { NAMES: [] } };

(() => {
  // The JSON of flowsolve/explorer/plans.py; it becomes Flow.data.
  function load(json) {
    if (json.version !== 1) throw new Error(`this page reads data of version 1, not ${json.version}`);
    Flow.data = { NAMES: json.scenes.map((scene) => scene.name), ...json };
  }

  // ---- random numbers: sfc32, and Box and Muller's normals ----------------------------------------------

  function uniforms(seed) {
    let a = 0x9e3779b9, b = seed >>> 0, c = Math.floor(seed / 2 ** 32) >>> 0, d = 1;
    const next = () => {
      const t = (a + b + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + t | 0;
      return t >>> 0;
    };
    for (let i = 0; i < 20; i++) next();
    return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6) + 0.5) / 2 ** 53; // in (0, 1)
  }

  function normals(count, seed) {
    const next = uniforms(seed), out = new Float64Array(count);
    for (let i = 0; i < count; i += 2) {
      const r = Math.sqrt(-2 * Math.log(next())), angle = 2 * Math.PI * next();
      out[i] = r * Math.cos(angle);
      if (i + 1 < count) out[i + 1] = r * Math.sin(angle);
    }
    return out;
  }

  // ---- errors and slopes --------------------------------------------------------------------------------

  function error(x, y) {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += (x[i] - y[i]) ** 2;
    return Math.sqrt(sum / x.length);
  }

  // The slope of the pair that ends at point i (of the first pair at i = 0): log(e/e')/log(n'/n).
  function slope(nfes, errors, i) {
    const b = Math.max(i, 1), a = b - 1;
    return Math.log(errors[a] / errors[b]) / Math.log(nfes[b] / nfes[a]);
  }

  // The order over the range where slopes are constant: `observed_order` of flowsolve/analysis/order.py.
  function order(steps, errors) {
    const clean = steps.map((n, i) => [n, errors[i]]).filter(([, e]) => e > 0 && e < Infinity);
    clean.sort((a, b) => a[0] - b[0]);
    while (clean.length > 1 && clean.at(-1)[1] >= clean.at(-2)[1]) clean.pop();
    if (clean.length < 2) return { order: NaN, steps: clean.map(([n]) => n), settled: false };
    const pairs = clean.slice(1).map((b, i) => slope([clean[i][0], b[0]], [clean[i][1], b[1]], 1));
    let agree = 1;
    while (agree < Math.min(3, pairs.length) && Math.abs(pairs.at(-1 - agree) - pairs.at(-1)) <= 0.15) agree++;
    const used = clean.slice(-1 - agree), xs = used.map(([n]) => Math.log(n)), ys = used.map(([, e]) => Math.log(e));
    const mean = (v) => v.reduce((a, b) => a + b, 0) / v.length, x = mean(xs), y = mean(ys);
    const top = xs.reduce((a, v, i) => a + (v - x) * (ys[i] - y), 0);
    const fit = -top / xs.reduce((a, v) => a + (v - x) ** 2, 0);
    return { order: fit, steps: used.map(([n]) => n), settled: agree > 1 };
  }

  Object.assign(Flow, { load, uniforms, normals, error, slope, order });
})();
