"use strict";
/* What takes longer than a frame, in slices of 12 ms, so that the page never waits: errors, and many exact samples. */
((E) => {
  const known = {}; // by kind, results and the work that is left, by key
  const current = {}; // by kind, what is shown now: only that goes on
  let timer = 0;
  /* The result of work(result), a generator that fills it in; views that depend on `kind` are drawn as it grows. */
  function slowly(kind, key, work) {
    const all = (known[kind] = known[kind] || new Map());
    if (!all.has(key)) {
      const result = { done: false, rows: {} };
      all.set(key, { result, work: work(result) });
      if (all.size > 8) all.delete(all.keys().next().value);
    }
    current[kind] = all.get(key);
    if (!current[kind].result.done && !timer) timer = setTimeout(slice, 30);
    return current[kind].result;
  }
  function slice() {
    timer = 0;
    const until = performance.now() + 12;
    Object.keys(current).forEach((kind) => {
      const { result, work } = current[kind];
      if (result.done) return;
      while (!result.done && performance.now() < until) result.done = work.next().done;
      E.touch(kind);
      if (!result.done && !timer) timer = setTimeout(slice, 0);
    });
  }

  /* The exact flow of many samples, a few at a time: states at each of the levels below the first. */
  function* exactly(problem, x, levels) {
    const states = levels.slice(1).map(() => new Float64Array(x.length)),
      piece = 5 * problem.d;
    for (let at = 0; at < x.length; at += piece) {
      const found = Flow.exact(problem, x.subarray(at, at + piece), levels[0], levels.slice(1));
      found.forEach((y, k) => states[k].set(y, at));
      yield;
    }
    return states;
  }

  /* RMS errors {n, nfe, error} of every method that has plans on the chosen grid, by method. */
  E.errorRows = () => {
    const s = E.state,
      key = [E.who(), s.grid === "dragged" ? "karras" : s.grid, s.schedule, s.seed].join("|");
    return slowly("errors", key, function* (result) {
      const problem = E.problem(),
        x = E.start(E.JUDGED),
        { max, min } = Flow.data.sigma,
        [right] = yield* exactly(problem, x, [max, min]);
      for (const n of Flow.data.steps)
        for (const { key } of Flow.data.methods) {
          const plan = E.plan(key, n);
          if (!plan) continue;
          const error = Flow.error(Flow.replay(plan, problem, x, s.seed, { light: true }).x, right);
          (result.rows[key] = result.rows[key] || []).push({ n, nfe: plan.nfe, error });
          yield;
        }
    });
  };

  /* Samples of the exact flow as a path, at a third of the levels of E.dense(). */
  E.exactCrowd = () =>
    slowly("crowd", `${E.who()}|${E.state.seed}`, function* (result) {
      const levels = E.dense().filter((_, i, all) => i % 3 === 0 || i === all.length - 1),
        x = E.start(300),
        states = [x, ...(yield* exactly(E.problem(), x, levels))];
      result.path = levels.map((sigma, k) => ({ sigma, x: states[k] }));
    });
})(Explorer);
