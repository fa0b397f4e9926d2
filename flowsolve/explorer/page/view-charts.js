"use strict";
/* Euler's method in other coordinates of the same ODE: other steps, the same limit. */
((E) => {
  let left;
  let right;
  /* z(x̄, σ) and u(σ) of each chart, for data of scale 1, and the method that is Euler's in it */
  const CHARTS = {
    noise: {
      method: "euler",
      u: (s) => s,
      z: (x) => x,
      ulabel: "u = σ",
      zlabel: "z = x̄",
      says: "The slope is ε, and Euler in dσ is DDIM.",
    },
    data: {
      method: "euler",
      u: (s) => 1 / s,
      z: (x, s) => x / s,
      ulabel: "u = 1/σ",
      zlabel: "z = x̄/σ",
      says: "The slope here is the estimate x̂₀, and Euler is DDIM again: the same numbers.",
    },
    flow: {
      method: "euler",
      u: (s) => s / (1 + s),
      z: (x, s) => x / (1 + s),
      ulabel: "u = σ/(1+σ)",
      zlabel: "z = x̄/(1+σ)",
      says: "The path of flow matching; its velocity is ε − x̂₀, and Euler on it is DDIM.",
    },
    velocity: {
      method: "euler_velocity",
      u: Math.atan,
      z: (x, s) => x / Math.hypot(1, s),
      ulabel: "u = arctan σ",
      zlabel: "z = x̄/√(1+σ²)",
      says: "The slope is v, and Euler is another method: exact for data from N(0, 1), where DDIM is not.",
    },
    time: {
      method: "euler_in_t",
      ulabel: "u = t",
      zlabel: "z = xₜ",
      says: {
        linear:
          "Euler in dt holds the schedule’s own slope constant over a step, so its steps depend on the schedule; " +
          "those of DDIM do not.",
        cosine: "On the cosine schedule t = (2/π) arctan σ, so Euler in dt is Euler in the velocity chart.",
        flow: "On flow matching’s path t = σ/(1+σ), so Euler in dt is DDIM.",
      },
    },
  };
  const THREE = [
    ["euler", "a", "circle", "in dσ, 1/σ, σ/(1+σ): DDIM"],
    ["euler_velocity", "third", "up", "in d arctan σ"],
    ["euler_in_t", "fourth", "diamond", "in dt"],
  ];
  function chart(s) {
    const one = CHARTS[s.chart],
      clock = Flow.clock[s.schedule];
    if (s.chart !== "time") return one;
    return { ...one, says: one.says[s.schedule], u: clock.t, z: (x, sigma) => clock.alpha(sigma) * x };
  }
  function euler(key, s) {
    const plan = E.plan(key);
    return plan && E.replay(plan, E.start(E.LINES, true), s.seed).path;
  }

  function draw(s) {
    if (!left) {
      left = new E.Figure("charts-plot", (w) => (w < 420 ? 300 : 330), { l: 54, r: 14, t: 12, b: 46 });
      right = new E.Figure("charts-errors", (w) => (w < 420 ? 300 : 330), { l: 58, r: 14, t: 12, b: 46 });
    }
    const C = chart(s),
      c = left.begin(),
      p = E.problem(),
      d = p.d,
      top = Flow.data.sigma.max,
      low = Flow.data.sigma.min,
      path = euler(C.method, s),
      dense = E.dense(),
      lines = E.exactLines();
    let reach = 1e-9;
    const chosen = [0, 2, 5, 8, 10, 12, 14, 16].map((i) => Math.min(i, E.LINES - 1));
    chosen.push(s.sample);
    chosen.forEach((i) => {
      lines.forEach((x, q) => {
        reach = Math.max(reach, Math.abs(C.z(x[i * d], dense[q])));
      });
      if (path)
        path.forEach((n) => {
          const v = Math.abs(C.z(n.x[i * d], n.sigma));
          if (isFinite(v)) reach = Math.max(reach, Math.min(v, 3 * reach));
        });
    });
    const X = E.scale("linear", C.u(top), C.u(low), left.l, left.r),
      Y = E.scale("linear", -reach * 1.06, reach * 1.06, left.b, left.t);
    left.axisX(X, `${C.ulabel}  (noise at the left, data at the right)`);
    left.axisY(Y, C.zlabel + (d > 1 ? ", first coordinate" : ""));
    const style = THREE.find((m) => m[0] === C.method),
      hue = E.css(style[1]);
    left.clip();
    chosen.forEach((i) => {
      E.line(
        c,
        lines.map((x, q) => [X(C.u(dense[q])), Y(C.z(x[i * d], dense[q]))]),
        E.css("exact"),
        1.6,
        0.9,
      );
    });
    if (path)
      chosen.forEach((i) => {
        const lit = i === s.sample,
          pts = path.map((n) => [X(C.u(n.sigma)), Y(C.z(n.x[i * d], n.sigma))]);
        E.line(c, pts, hue, lit ? 2.2 : 1.2, lit ? 1 : 0.6);
        pts.forEach((q) => {
          E.mark(c, style[2], q[0], q[1], lit ? 3.8 : 2.5, hue);
        });
      });
    c.restore();
    left.end();
    E.html(E.$("charts-say"), `<b>${C.zlabel}, ${C.ulabel}.</b> ${C.says}`);
    drawErrors(s);
  }

  function drawErrors(s) {
    if (!right) return;
    const c = right.begin(),
      rows = E.errorRows().rows,
      finite = (key) => (rows[key] || []).filter((r) => isFinite(r.error)),
      all = THREE.flatMap(([key]) => finite(key).map((r) => r.error)),
      hi = Math.min(10, Math.max(0.1, ...all) * 1.6),
      lo = Math.min(0.01, ...all) / 1.6,
      X = E.scale("log", 1, 100, right.l, right.r);
    const Y = E.scale("log", lo, hi, right.b, right.t);
    right.axisX(X, "steps", { ticks: [1, 2, 5, 10, 20, 50, 100] });
    right.axisY(Y, "RMS error at the end", {
      format: E.tens,
      x: 12,
    });
    right.clip();
    THREE.forEach((m) => {
      const pts = finite(m[0]).map((r) => [X(r.n), Y(r.error), r.n]),
        lit = m[0] === CHARTS[s.chart].method;
      E.line(c, pts, E.css(m[1]), lit ? 2.4 : 1.4, lit ? 1 : 0.75);
      pts.forEach((q) => {
        // "in dt" is hollow, since it may lie on another
        const here = q[2] === s.n && s.grid !== "dragged",
          hollow = m[0] === "euler_in_t";
        E.mark(
          c,
          m[2],
          q[0],
          q[1],
          (here ? 5.5 : 2.8) + (hollow ? 1.8 : 0),
          hollow ? null : E.css(m[1]),
          hollow ? E.css(m[1]) : here ? E.css("ink") : null,
        );
      });
    });
    c.restore();
    const y = right.t + 16,
      wide = right.r - 172;
    THREE.forEach((m, i) => {
      E.mark(c, m[2], wide, y + i * 18 - 4, 4, E.css(m[1]));
      right.text(wide + 10, y + i * 18, m[3], { kind: "legend" });
    });
    right.end();
    const at = (key) => {
      const r = (rows[key] || []).find((r) => r.n === s.n);
      return r ? E.num(r.error, 2) : "not yet known";
    };
    const where = `${E.count(s.n, "step")}${s.grid === "dragged" ? " of the Karras grid" : ""}`,
      found = `${at("euler")} in dσ, ${at("euler_velocity")} in d arctan σ, ${at("euler_in_t")} in dt`;
    E.say(
      "charts-words",
      `Errors at ${where}: ${found}. All three fall as 1/n and tend to one answer: ` +
        "the coordinate changes the steps, and not the limit.",
    );
  }
  E.view(
    "charts",
    ["scene", "label", "scale", "seed", "n", "grid", "schedule", "levels", "chart", "sample", "errors"],
    draw,
    "charts-plot",
  );
})(Explorer);
