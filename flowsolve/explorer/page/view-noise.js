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
    E.$("noise").hidden = !Flow.eta;
    if (!Flow.eta) return;
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
      R = runs(E.who(), E.gridKey(), s.schedule, p.d === 1 ? s.seed : s.seed, s.sample, eta),
      c = fig.begin(),
      clock = Flow.clock[s.schedule],
      top = Flow.data.sigma.max,
      low = Flow.data.sigma.min;
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
    for (var i = 0; i < RUNS; i++) {
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

    /* at the right edge: where they end, and the density of the data */
    const wide = fig.w - fig.r - 8;

    let most = 0;
    const ps = [];
    const bins = 44;
    const counts = new Float64Array(bins);
    const ends = [];
    for (i = 0; i <= 200; i++) {
      var v = E.marginal(p, -high + (i / 200) * 2 * high, low);
      ps.push(v);
      most = Math.max(most, v);
    }
    c.beginPath();
    c.moveTo(fig.r + 2, Y(-high));
    ps.forEach((v, i) => {
      c.lineTo(fig.r + 2 + (wide * v) / most, Y(-high + (i / 200) * 2 * high));
    });
    c.lineTo(fig.r + 2, Y(high));
    c.closePath();
    c.fillStyle = E.rgba(E.css("exact"), 0.45);
    c.fill();
    for (i = 0; i < RUNS; i++) {
      v = R.x[i * d];
      ends.push(v);
      const k = Math.floor(((v + high) / (2 * high)) * bins);
      if (k >= 0 && k < bins) counts[k]++;
    }
    const tall = (fig.b - fig.t) / bins,
      full = Math.max.apply(null, counts);
    counts.forEach((n, k) => {
      if (n) {
        c.fillStyle = E.rgba(E.css("a"), 0.75);
        c.fillRect(fig.r + 2, Y(-high + ((k + 1) / bins) * 2 * high) + 0.5, (wide * 0.9 * n) / full, tall - 1);
      }
    });
    fig.text(fig.r + 2 + wide / 2, fig.b + 16, "ends", { anchor: "middle" });
    fig.end();
    ends.sort((a, b) => a - b);
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
  E.view(
    "noise",
    ["scene", "label", "scale", "seed", "n", "solver", "grid", "schedule", "levels", "sample", "eta"],
    draw,
    "noise-plot",
  );
})(Explorer);
