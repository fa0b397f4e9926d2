// Plans: the recurrence x_{k+1} = scale x_k + Σ c_j v_j of a method on its levels, and how it is replayed.
"use strict";

(() => {
  let from = null, made; // the plans of Flow.data that were asked for

  function plan(method, grid, schedule, n) {
    const { plans, levels } = Flow.data;
    if (from !== plans) [from, made] = [plans, new Map()];
    const key = [`${method}|${grid}|${schedule}`, `${method}|${grid}`, method].find((k) => plans[k]?.[n]);
    if (!key) return null;
    const name = `${key}#${n}`;
    if (!made.has(name)) {
      const own = [method, `${grid}|${schedule}`, grid].find((k) => levels[k]?.[n]);
      made.set(name, unpacked(levels[own][n], plans[key][n]));
    }
    return made.get(name);
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
    const draw = typeof seed === "function" ? seed : (number, count) => Flow.normals(count, seed + number * 2 ** 21);
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

  Object.assign(Flow, { plan, finished, replay });
})();
