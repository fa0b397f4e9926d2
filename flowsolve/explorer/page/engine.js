// The explorer's arithmetic: mixtures in closed form, methods replayed from their recurrences, the exact flow.
// States are Float64Arrays of n*d numbers, row by row; x is x̄ = x_t/α and sigma is σ = s/α. No DOM.
"use strict";

const Flow = (() => {
  let data = null;

  function load(json) {
    if (json.version !== 1) throw new Error(`this page reads data of version 1, not ${json.version}`);
    data = json;
    plans.clear();
    api.data.NAMES = json.scenes.map((scene) => scene.name);
    Object.assign(api.data, json);
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

  // ---- mixtures Σ w N(m, s²) ----------------------------------------------------------------------------

  // At (x, σ): Σ r (m + s² (x - m)/v) for x₀, Σ r σ (x - m)/v for ε, v = s² + σ², r the posterior weights.
  function mixture(components, d) {
    const K = components.length, means = components.flatMap((c) => c.m), r = new Float64Array(K);
    const v = new Float64Array(K), base = new Float64Array(K);
    const at = (sigma) => components.forEach(({ w, s }, k) => {
      v[k] = s * s + sigma * sigma;
      base[k] = Math.log(w) - d / 2 * Math.log(v[k]);
    });
    const logs = (x, row) => { // the logarithms of r, up to a constant; the largest is returned
      let top = -Infinity;
      for (let k = 0; k < K; k++) {
        let square = 0;
        for (let i = 0; i < d; i++) square += (x[row + i] - means[k * d + i]) ** 2;
        r[k] = base[k] - square / (2 * v[k]);
        if (r[k] > top) top = r[k];
      }
      return top;
    };
    const answer = (x, sigma, out, data) => {
      at(sigma);
      const slopes = components.map(({ s }, k) => (data ? s * s : sigma) / v[k]);
      for (let row = 0; row < x.length; row += d) {
        const top = logs(x, row);
        let total = 0;
        for (let k = 0; k < K; k++) total += r[k] = Math.exp(r[k] - top);
        for (let i = 0; i < d; i++) {
          let sum = 0;
          for (let k = 0; k < K; k++) {
            const m = means[k * d + i], part = (x[row + i] - m) * slopes[k];
            sum += r[k] * (data ? m + part : part);
          }
          out[row + i] = sum / total;
        }
      }
      return out;
    };
    return {
      eps: (x, sigma, out = new Float64Array(x.length)) => answer(x, sigma, out, false),
      x0: (x, sigma, out = new Float64Array(x.length)) => answer(x, sigma, out, true),
      density(point, sigma) {
        at(sigma);
        const top = logs(typeof point === "number" ? [point] : point, 0);
        return Math.exp(top - d / 2 * Math.log(2 * Math.PI)) * r.reduce((a, l) => a + Math.exp(l - top), 0);
      },
    };
  }

  // label: a class of a scene that has classes; ε = ε_all + scale (ε_label - ε_all). Its density is the label's.
  function problem(name, { label = null, scale = 1 } = {}) {
    const { d, components: all, title } = data.scenes.find((scene) => scene.name === name);
    let components = all;
    if (label !== null) {
      const own = all.filter((c) => c.label === label), total = own.reduce((a, c) => a + c.w, 0);
      components = own.map((c) => ({ ...c, w: c.w / total }));
    }
    const one = mixture(components, d), every = mixture(all, d);
    const guided = (which) => (x, sigma, out = new Float64Array(x.length)) => {
      one[which](x, sigma, out);
      if (label !== null && scale !== 1) {
        const base = every[which](x, sigma);
        for (let i = 0; i < out.length; i++) out[i] = base[i] + scale * (out[i] - base[i]);
      }
      return out;
    };
    const sample = (n, seed) => {
      const next = uniforms(seed + 0.5 * 2 ** 32), z = normals(n * d, seed);
      for (let row = 0; row < n; row++) {
        let u = next(), k = 0;
        while (k < components.length - 1 && (u -= components[k].w) > 0) k++;
        for (let i = row * d; i < (row + 1) * d; i++) z[i] = components[k].m[i % d] + components[k].s * z[i];
      }
      return z;
    };
    return { name, title, d, label, scale, components, density: one.density, eps: guided("eps"), x0: guided("x0"), sample };
  }

  const density1 = (problem, sigma, xs) => Float64Array.from(xs, (x) => problem.density(x, sigma));
  const field = (problem, sigma, points) => problem.eps(Float64Array.from(points), sigma);

  // ---- clocks: t(σ), σ(t), dσ/dt, and α of x_t = α x̄ ---------------------------------------------------

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

  // ---- plans: the recurrence x_{k+1} = scale x_k + Σ c_j v_j of a method on its levels ------------------

  const plans = new Map();

  function plan(method, grid, schedule, n) {
    const key = [`${method}|${grid}|${schedule}`, `${method}|${grid}`, method].find((k) => data.plans[k]?.[n]);
    if (!key || (key === method && data.levels[method] === undefined)) return null;
    const name = `${key}#${n}`;
    if (!plans.has(name)) {
      const levels = [method, `${grid}|${schedule}`, grid].map((k) => data.levels[k]?.[n]).find((l) => l);
      plans.set(name, unpacked(levels, data.plans[key][n]));
    }
    return plans.get(name);
  }

  function unpacked(levels, [nodes, start, stages]) {
    const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
    return finished({
      levels, nodes,
      start: { scale: start[0], weights: pairs(start[1]), draws: start[2] },
      stages: stages.map(([sigma, number, data, a, b, scale, weights, draws]) => (
        { sigma, number, data: !!data, mix: [a, b], scale, weights: pairs(weights), draws })),
    });
  }

  function finished(plan) {
    plan.nfe = plan.stages.length;
    const last = new Map(); // the last stage that uses each answer
    plan.stages.forEach(({ number, weights }, k) => {
      last.set(number, k);
      for (const [j] of weights) if (last.has(j)) last.set(j, k);
    });
    plan.ends = plan.stages.map(() => []);
    last.forEach((k, j) => plan.ends[k].push(j));
    let rows;
    Object.defineProperty(plan, "table", { get: () => (rows === undefined ? (rows = table(plan)) : rows) });
    return plan;
  }

  // The weights on x̄_T, ε_1, ε_2, ... of the state of each evaluation, then of the answer; null with noise.
  function table(plan) {
    if ([plan.start, ...plan.stages].some((stage) => stage.draws.length)) return null;
    const size = 1 + plan.nfe, rows = [], state = new Float64Array(size);
    state[0] = 1;
    const symbols = { // the answer to evaluation k is the basis vector k
      eps: (x, sigma, out) => { out.fill(0); out[1 + rows.length] = 1; return out; },
      x0: (x, sigma, out) => { out.set(x); out[1 + rows.length] -= sigma; return out; },
    };
    const end = run(plan, symbols, state, null, (before) => rows.push(before));
    return [...rows, end];
  }

  // x at the end; states: of every evaluation, with its ε; path: at every level, where a method that corrects a
  // node afterwards (UniPC) has the state that it evaluated there.
  // seed   of the noise, or a function (number, count, s, t, again) that gives the noise `number` itself
  // light  x alone, without the states
  function replay(plan, problem, x, seed = 0, { light = false } = {}) {
    const draw = typeof seed === "function" ? seed : (number, count) => normals(count, seed + number * 2 ** 21);
    if (light) return { x: run(plan, problem, x, draw, null) };
    const states = [], nodes = new Set(plan.nodes);
    const end = run(plan, problem, x, draw, (state, sigma, eps) =>
      states.push({ sigma, x: state, eps, node: nodes.has(states.length) }));
    const path = plan.levels.map((sigma, i) => ({ sigma, x: i === 0 ? x : states[plan.nodes[i]]?.x ?? end }));
    return { x: end, states, path };
  }

  // each(x, σ, ε) is called with every evaluation and may keep both; where it is null, memory is used again.
  function run(plan, problem, x, draw, each) {
    const size = x.length, known = [], free = [], given = x;
    const fresh = () => (each ? null : free.pop()) ?? new Float64Array(size);
    const combined = ({ scale, weights, draws }) => {
      for (const [number, s, t, again] of draws) known[number] = draw(number, size, s, t, again);
      const out = fresh();
      for (let i = 0; i < size; i++) out[i] = scale * x[i];
      for (const [j, c] of weights) {
        const v = known[j];
        for (let i = 0; i < size; i++) out[i] += c * v[i];
      }
      if (x !== given) free.push(x);
      return out;
    };
    x = combined(plan.start);
    plan.stages.forEach((stage, k) => {
      const { sigma, data, number, mix: [a, b] } = stage;
      const answer = (data ? problem.x0 : problem.eps)(x, sigma, fresh());
      if (each) each(x, sigma, data ? answer.map((x0, i) => (x[i] - x0) / sigma) : answer);
      const plain = a === 0 && b === 1, value = known[number] = plain || !each ? answer : fresh();
      if (!plain) for (let i = 0; i < size; i++) value[i] = a * x[i] + b * answer[i];
      x = combined(stage);
      for (const j of plan.ends[k]) free.push(known[j]);
    });
    return x;
  }

  // ---- the same recurrences for any levels, of the methods that have a short formula --------------------

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
      const { t: time, rate } = clock[schedule], slope = clock[schedule].rate(time(s)), dt = time(t) - time(s);
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
    return finished({ levels: [...levels], nodes, start: { scale: 1, weights: [], draws: [] }, stages });
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
    return finished({ levels: [...levels], nodes, start, stages });
  }

  // ---- the exact flow -----------------------------------------------------------------------------------

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

  // ---- one DDIM step, three ways ------------------------------------------------------------------------

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

  const api = {
    data: { NAMES: [] }, load, problem, density1, field, normals, clock, plan, recurrence, eta, replay, exact, error, slope,
    order, ddim,
  };
  return api;
})();

if (typeof module !== "undefined") module.exports = Flow;
