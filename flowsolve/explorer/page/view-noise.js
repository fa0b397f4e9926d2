"use strict";
/* η: one x_T, many noises. DDIM at η = 0 gives one answer; with noise on the way it gives a law. */
((E) => {
  let fig;
  const RUNS = 48;
  const runs = E.memo(6, (who, key, schedule, seed, sample, eta) => {
    const plan = Flow.eta(E.levels(), eta),
      p = E.problem(),
      d = p.d,
      one = E.start(E.LINES, true).slice(sample * d, sample * d + d),
      x = new Float64Array(RUNS * d);
    for (let i = 0; i < RUNS; i++) x.set(one, i * d);
    return E.replay(plan, x, seed + 77);
  });
  function draw(s) {
    if (!fig)
      fig = new E.Figure(
        "noise-plot",
        (w) => (w < 520 ? 300 : 340),
        (w) => ({
          l: w < 520 ? 40 : 54,
          r: w < 520 ? 44 : 90,
          t: 14,
          b: 46,
        }),
      );
    const eta = s.eta / 100,
      p = E.problem(),
      d = p.d,
      R = runs(E.who(), E.gridKey(), s.schedule, s.seed, s.sample, eta),
      c = fig.begin(),
      clock = Flow.clock[s.schedule],
      top = Flow.data.sigma.max;
    const a = clock.alpha(top) * Math.hypot(1, top),
      high = Math.max(E.scene().extent, 2.7 * a),
      X = E.scale("linear", clock.t(top), 0, fig.l, fig.r),
      Y = E.scale("linear", -high, high, fig.b, fig.t);
    E.slider("eta", 0, 100, s.eta, `η = ${E.num(eta)}`);
    fig.axisX(X, "time t of the schedule");
    fig.axisY(Y, `xₜ${d > 1 ? ", first coordinate" : ""}`);
    fig.clip();
    const at = (n, i) => [X(clock.t(n.sigma)), Y(clock.alpha(n.sigma) * n.x[i * d])];
    const dense = E.dense(),
      lines = E.exactLines();
    E.line(
      c,
      lines.map((x, q) => {
        const g = dense[q];
        return [X(clock.t(g)), Y(clock.alpha(g) * x[s.sample * d])];
      }),
      E.css("ink"),
      2.4,
      0.9,
    );
    for (let i = 0; i < RUNS; i++) {
      E.line(
        c,
        R.path.map((n) => at(n, i)),
        E.css("a"),
        1.1,
        0.4,
      );
      R.path.forEach((n) => {
        const q = at(n, i);
        c.globalAlpha = 0.5;
        E.mark(c, "circle", q[0], q[1], 1.7, E.css("a"));
        c.globalAlpha = 1;
      });
    }
    const first = at(R.path[0], 0);
    E.mark(c, "circle", first[0], first[1], 5, E.css("panel"), E.css("ink"));
    c.restore();

    const ends = Array.from(R.x.filter((_, k) => k % d === 0)).sort((a, b) => a - b);
    margin(c, ends, p, high, Y);
    fig.end();
    const spread = ends[RUNS - 1] - ends[0],
      above = ends.filter((v) => v > 0).length;
    const found =
      spread < 1e-9
        ? `At η = 0 no noise is drawn: all end at ${E.num(ends[0], 4)}.`
        : `At η = ${E.num(eta)} they end between ${E.num(ends[0])} and ${E.num(ends[RUNS - 1])}, ${above} of them above 0: ` +
          "x_T no longer says which sample it becomes.";
    E.say(
      "noise-words",
      `${RUNS} runs of ${E.count(R.path.length - 1, "step")} from one x_T (sample ${s.sample + 1}). ${found} ` +
        "The thick line is the exact flow from the same x_T.",
    );
  }
  /* At the right edge: where the runs end, over the density of the data. */
  function margin(c, ends, p, high, Y) {
    const wide = fig.w - fig.r - 8,
      left = fig.r + 2,
      bins = 44,
      tall = (fig.b - fig.t) / bins,
      counts = new Float64Array(bins),
      ys = Array.from({ length: 201 }, (_, i) => -high + (i / 200) * 2 * high),
      ps = ys.map((y) => E.marginal(p, y, Flow.data.sigma.min)),
      most = Math.max(...ps);
    c.beginPath();
    c.moveTo(left, Y(-high));
    ys.forEach((y, i) => c.lineTo(left + (wide * ps[i]) / most, Y(y)));
    c.lineTo(left, Y(high));
    c.closePath();
    c.fillStyle = E.rgba(E.css("exact"), 0.45);
    c.fill();
    ends.forEach((v) => {
      const k = Math.floor(((v + high) / (2 * high)) * bins);
      if (k >= 0 && k < bins) counts[k]++;
    });
    const full = Math.max(...counts);
    c.fillStyle = E.rgba(E.css("a"), 0.75);
    counts.forEach((n, k) => {
      if (n) c.fillRect(left, Y(-high + ((k + 1) / bins) * 2 * high) + 0.5, (wide * 0.9 * n) / full, tall - 1);
    });
    fig.text(left + wide / 2, fig.b + 16, "ends", { anchor: "middle" });
  }
  E.view(
    "noise",
    ["scene", "label", "scale", "seed", "n", "solver", "grid", "schedule", "levels", "sample", "eta"],
    draw,
    "noise-plot",
  );
})(Explorer);
