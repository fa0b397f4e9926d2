"use strict";
/* Trajectories: x_t against t, or x̄ against σ, where DDIM's steps are straight lines along ε. */
((E) => {
  let fig;
  let morph = null;
  let target = 1;
  let spots = [];
  let animation = 0;

  function ease(u) {
    return u < 0.5 ? 4 * u * u * u : 1 - Math.pow(-2 * u + 2, 3) / 2;
  }
  function draw(s) {
    if (!fig)
      fig = new E.Figure(
        "trajectories-plot",
        (w) => (w < 520 ? 330 : 450),
        (w) => ({
          l: w < 520 ? 40 : 54,
          r: 30,
          t: 14,
          b: 46,
        }),
      );
    target = s.coords === "bar" ? 1 : 0;
    if (morph === null || E.still() || E.printing) morph = target;
    if (Math.abs(morph - target) > 1e-9 && !animation) return glide();
    paint(s);
  }
  function glide() {
    const from = morph,
      to = target,
      t0 = performance.now();
    animation = 1;
    (function tick(now) {
      if (to !== target) {
        animation = 0;
        return glide();
      }
      const u = Math.min(1, Math.max(0, now - t0) / 1100);
      morph = from + (to - from) * ease(u);
      if (u < 1) animation = requestAnimationFrame(tick);
      else {
        morph = to;
        animation = 0;
      }
      paint(E.state);
    })(t0);
  }

  function paint(s) {
    const c = fig.begin(),
      M = E.maps(fig, morph, s),
      p = E.problem(),
      d = p.d,
      A = E.run("solver", E.LINES, true),
      B = E.run("other", E.LINES, true);
    const lines = E.exactLines();
    const dense = E.dense();
    fig.clip();
    [0, 1].forEach((bar) => {
      const share = bar ? morph : 1 - morph;
      if (share < 0.02) return;
      c.globalAlpha = share;
      c.drawImage(E.shade(fig, s, !!bar), fig.l, fig.t, fig.r - fig.l, fig.b - fig.t);
    });
    c.restore();
    c.globalAlpha = 1;
    const word = d > 1 ? ", first coordinate" : "";
    if (target) {
      fig.axisX(M.xs, "noise level σ");
      fig.axisY(M.ys, `x̄ = x / α${word}`);
    } else {
      fig.axisX(M.xt, "time t of the schedule");
      fig.axisY(M.yt, `xₜ${word}`);
    }
    fig.clip();
    for (let i = 0; i < E.LINES; i++)
      E.line(
        c,
        lines.map((x, q) => M.at(dense[q], x[i * d])),
        E.css("exact"),
        1.4,
        0.75,
      );
    spots = [];
    [
      [B, "b", "square"],
      [A, "a", "circle"],
    ].forEach((one) => {
      if (!one[0]) return;
      for (let i = 0; i < E.LINES; i++) {
        const lit = i === s.sample;
        E.line(c, E.pathLine(M, one[0].path, i * d), E.css(one[1]), lit ? 2.2 : 1.1, lit ? 1 : 0.5);
        one[0].path.forEach((node, k) => {
          const at = M.at(node.sigma, node.x[i * d]);
          c.globalAlpha = lit ? 1 : 0.6;
          E.mark(c, one[2], at[0], at[1], lit ? 3.6 : 2.1, E.css(one[1]));
          c.globalAlpha = 1;
          if (one[1] === "a" && k) {
            const before = one[0].path[k - 1],
              mid = M.at((before.sigma + node.sigma) / 2, (before.x[i * d] + node.x[i * d]) / 2);
            spots.push([at[0], at[1], i, k], [mid[0], mid[1], i, k]);
          }
        });
      }
    });
    c.restore();
    fig.clip(fig.l - 6, fig.t, fig.r + 8, fig.b);
    if (A) highlight(c, M, s, A, p);
    c.restore();
    fig.end();
    E.say("trajectories-words", words(s, A, B, p));
  }

  /* the step under the cursor: along ε, and on to σ = 0, where the line meets the estimate x̂₀ */
  function highlight(c, M, s, A, p) {
    const k = Math.min(s.step, A.path.length - 1),
      d = p.d,
      i = s.sample,
      a = A.path[k - 1],
      b = A.path[k],
      low = Flow.data.sigma.min / 50;
    const one = a.x.slice(i * d, i * d + d),
      e = p.eps(one, a.sigma, new Float64Array(d))[0],
      x0 = one[0] - a.sigma * e;
    const sg = Array.from({ length: 61 }, (_, q) => a.sigma * Math.pow(low / a.sigma, q / 60));
    c.setLineDash([5, 5]);
    E.line(
      c,
      sg.map((v) => M.at(v, x0 + v * e)),
      E.css("ink"),
      1.3,
      0.75,
    );
    c.setLineDash([]);
    const line = E.stepLine(M, a.sigma, b.sigma, one[0], x0 + b.sigma * e, 30),
      tip = line[line.length - 1],
      near = line[line.length - 3],
      end = M.at(low, x0);
    E.line(c, line, E.css("ink"), 2.4);
    if (Math.hypot(tip[0] - line[0][0], tip[1] - line[0][1]) > 12)
      E.arrow(c, near[0], near[1], tip[0], tip[1], E.css("ink"), 2.2);
    E.mark(c, "circle", line[0][0], line[0][1], 4.4, E.css("panel"), E.css("ink"));
    E.mark(c, "diamond", end[0], end[1], 4.2, E.css("panel"), E.css("ink"));
    if (line[0][0] > fig.l - 4) {
      fig.text(Math.min(fig.r - 8, end[0] - 4), Math.max(fig.t + 12, end[1] - 9), "x̂₀", { anchor: "end", kind: "tag" });
      const mid = line[15];
      if (mid[0] > fig.l + 10) fig.text(mid[0] + 6, mid[1] - 9, "ε", { kind: "tag" });
    }
  }

  function words(s, A, B, p) {
    const name = E.method(s.solver).label,
      bar = s.coords === "bar";
    if (!A) return `${E.why(s.solver)}Grey: the exact flow.`;
    const kinds = E.count(A.path.length - 1, "step"),
      beside = B ? `; ${E.method(s.other).label}, ${B.plan.nfe} evaluations` : "",
      straight = "each step of DDIM is a straight line along ε",
      bent = "on this axis straight lines look bent: choose the linear one to see them straight";
    return (
      `${s.other ? E.why(s.other) : ""}${name}, ${kinds}, ${A.plan.nfe} evaluations of ε${beside}. ` +
      (bar
        ? `In x̄ against σ ${s.axis === "linear" ? straight : bent}. `
        : "In xₜ against t the same steps are curves. ") +
      "Grey: the exact flow, and behind it the density at each level."
    );
  }

  E.view("trajectories", [...E.RUN, "coords", "axis", "zoom", "sample", "step"], draw, "trajectories-plot");

  E.moving = () => !!animation;
  /* The start, the middle and the end of a step of a sample, in pixels. */
  E.lineOnScreen = (k, i) => {
    const M = E.maps(fig, morph, E.state),
      p = E.run("solver", E.LINES, true).path,
      d = E.problem().d;
    return E.stepLine(M, p[k - 1].sigma, p[k].sigma, p[k - 1].x[i * d], p[k].x[i * d], 2);
  };

  E.setupTrajectories = () => {
    const box = E.$("trajectories-plot");
    const pick = (event) => {
      const best = E.nearest(spots, box, event);
      if (best && (best[2] !== E.state.sample || best[3] !== E.state.step)) E.set({ sample: best[2], step: best[3] });
    };
    box.addEventListener("pointermove", pick);
    box.addEventListener("pointerdown", pick);
  };
})(Explorer);
