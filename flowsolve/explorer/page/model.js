"use strict";
/* What is computed from the state: problems, noise, plans, runs, exact paths. Each once, until its keys change. */
((E) => {
  E.LINES = 17; // trajectories drawn
  E.CROWD = 2000; // samples in histograms and scatters
  E.JUDGED = 200; // samples of the error figure

  const problem = E.memo(8, (scene, label, scale) => Flow.problem(scene, label === null ? {} : { label, scale }));
  const scene = E.memo(8, (name) => {
    const s = Flow.data.scenes.find((s) => s.name === name);
    const labels = [];
    let extent = 0;
    s.components.forEach((c) => {
      if (c.label !== null && !labels.includes(c.label)) labels.push(c.label);
      c.m.forEach((m) => {
        extent = Math.max(extent, Math.abs(m) + 3 * c.s);
      });
    });
    return { name, title: s.title, labels: labels.length ? labels : null, extent, d: s.d };
  });
  E.scene = () => scene(E.state.scene);
  E.method = (key) => Flow.data.methods.find((m) => m.key === key);
  E.guided = () => !!E.scene().labels;
  E.problem = () => {
    const s = E.state;
    return E.guided()
      ? problem(s.scene, Math.min(s.label, E.scene().labels.length - 1), s.scale)
      : problem(s.scene, null, 0);
  };
  E.who = () => (E.guided() ? [E.state.scene, E.state.label, E.state.scale].join() : E.state.scene);

  /* x̄ at σ_max. In one dimension the trajectories drawn start at quantiles, so that they spread evenly. */
  const start = E.memo(6, (who, count, seed, even) => {
    const p = E.problem();
    const top = Flow.data.sigma.max;
    const z = Flow.normals(count * p.d, seed + 1000);
    let x;
    if (even && p.d === 1) {
      let mean = 0,
        second = 0;
      p.components.forEach((c) => {
        mean += c.w * c.m[0];
        second += c.w * (c.s * c.s + c.m[0] * c.m[0]);
      });
      const spread = Math.sqrt(second - mean * mean + top * top);
      return Float64Array.from({ length: count }, (_, i) => mean + spread * E.quantile((i + 0.5) / count));
    }
    x = Float64Array.from(p.sample(count, seed));
    for (let i = 0; i < x.length; i++) x[i] += top * z[i];
    return x;
  });
  E.start = (count, even) => start(E.who(), count, E.state.seed, !!even);
  /* Quantile of the standard normal by Acklam's rational approximations, to 1e-9: they place lines. */
  E.quantile = (p) => {
    const a = [
      -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
      2.506628277459239,
    ];
    const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
    const c = [
      -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
      2.938163982698783,
    ];
    const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
    let q;
    let r;
    if (p < 0.02425 || p > 0.97575) {
      q = Math.sqrt(-2 * Math.log(Math.min(p, 1 - p)));
      r =
        (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
        ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
      return p < 0.5 ? r : -r;
    }
    q = p - 0.5;
    r = q * q;
    return (
      ((((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q) /
      (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1)
    );
  };

  /* ---- plans: of the data, or made for dragged levels ---- */
  E.plan = (key, n) => {
    const s = E.state;
    if (s.grid === "dragged" && n === undefined) {
      return E.method(key).free ? Flow.recurrence(key, E.readLevels(s.levels), s.schedule) : null;
    }
    return Flow.plan(key, s.grid === "dragged" ? "karras" : s.grid, s.schedule, n === undefined ? s.n : n);
  };
  /* Why a method has no plan for what is chosen; "" if it has one. */
  E.why = (key) => {
    const m = E.method(key),
      s = E.state;
    if (E.plan(key)) return "";
    if (s.grid === "dragged")
      return `${m.label} is exported for the named grids only: choose one, or drag levels with a method such as DDIM. `;
    return `${m.label} would take more than the 64 evaluations that this page holds: choose fewer steps. `;
  };
  E.levels = () => {
    const s = E.state;
    return s.grid === "dragged" ? E.readLevels(s.levels) : (E.plan(s.solver) || E.plan("euler")).levels;
  };
  E.gridKey = () => {
    const s = E.state;
    return s.grid === "dragged" ? `dragged ${s.levels}` : `${s.grid} ${s.n}`;
  };
  const run = E.memo(10, (who, key, grid, schedule, seed, count, even) => {
    const plan = E.plan(key);
    return plan && E.replay(plan, E.start(count, even), seed);
  });
  E.replay = (plan, x, seed) => ({ plan, ...Flow.replay(plan, E.problem(), x, seed) }); // x, states, path
  E.run = (which, count, even) => {
    const key = E.state[which];
    return key ? run(E.who(), key, E.gridKey(), E.state.schedule, E.state.seed, count, !!even) : null;
  };

  /* ---- the exact flow ---- */
  E.dense = () => {
    if (!E.dense.levels) {
      const top = Flow.data.sigma.max,
        low = Flow.data.sigma.min,
        n = 110;
      E.dense.levels = Array.from({ length: n + 1 }, (_, i) =>
        i === n ? low : Math.pow(Math.pow(top, 0.25) + (i / n) * (Math.pow(low, 0.25) - Math.pow(top, 0.25)), 4),
      );
    }
    return E.dense.levels;
  };
  const exact = E.memo(4, (who, count, seed, even) => {
    const levels = E.dense();
    return [E.start(count, even)].concat(Flow.exact(E.problem(), E.start(count, even), levels[0], levels.slice(1)));
  });
  E.exactLines = () => exact(E.who(), E.LINES, E.problem().d === 1 ? 0 : E.state.seed, true);
  /* The state of a run at any σ: between its nodes on the straight line in x̄ and σ, which for DDIM is its own step. */
  E.at = (path, sigma) => {
    for (var k = 0; k + 2 < path.length && path[k + 1].sigma > sigma; k++);
    const a = path[k],
      b = path[k + 1],
      q = Math.min(1, Math.max(0, (a.sigma - sigma) / (a.sigma - b.sigma)));
    return a.x.map((v, i) => v + q * (b.x[i] - v));
  };

  /* The density of the first coordinate at σ. */
  E.marginal = (p, x, sigma) => {
    let total = 0;
    for (let k = 0; k < p.components.length; k++) {
      const c = p.components[k],
        v = c.s * c.s + sigma * sigma,
        z = x - c.m[0];
      total += (c.w * Math.exp((-z * z) / (2 * v))) / Math.sqrt(2 * Math.PI * v);
    }
    return total;
  };
})(Explorer);
