"use strict";
/* Error against evaluations of every method, computed here; the slope at the cursor; a click chooses. */
((E) => {
  let fig;
  let under = null;
  let spots = [];
  function shown(rows, key) {
    return (rows[key] || []).filter((r) => isFinite(r.error) && r.error > 1e-15);
  }

  function draw(s) {
    if (!fig)
      fig = new E.Figure(
        "errors-plot",
        (w) => (w < 520 ? 340 : 430),
        (w) => ({
          l: w < 520 ? 46 : 60,
          r: 14,
          t: 14,
          b: 46,
        }),
      );
    const job = E.errorRows();
    const rows = job.rows;
    const c = fig.begin();
    const keys = Flow.data.methods.map((m) => m.key).filter((k) => !E.method(k).stochastic),
      errors = keys.flatMap((k) => shown(rows, k).map((r) => r.error)).filter((e) => e < 4),
      lo = Math.max(1e-11, Math.min(1, ...errors) / 1.5),
      hi = Math.min(4, Math.max(1e-3, ...errors) * 1.4);
    const X = E.scale("log", 0.92, 70, fig.l, fig.r),
      Y = E.scale("log", lo, hi, fig.b, fig.t);
    fig.axisX(X, "evaluations of ε (NFE)", { ticks: [1, 2, 5, 10, 20, 50] });
    fig.axisY(Y, `RMS error at σ = ${E.num(Flow.data.sigma.min)}`, {
      format: E.tens,
      x: 12,
    });
    fig.clip(fig.l - 8, fig.t - 8, fig.r + 8, fig.b + 8);
    spots = [];
    const order = keys
      .filter((k) => k !== s.solver && k !== s.other)
      .concat([s.other, s.solver].filter((k) => keys.includes(k)));
    order.forEach((k) => {
      const look = E.look(k),
        lit = k === s.solver || k === s.other || (under && under.key === k),
        colour = E.css(look.hue);
      const pts = shown(rows, k).map((r) => [X(r.nfe), Y(r.error), r]);
      E.line(c, pts, colour, lit ? 2.4 : 1.2, lit ? 1 : 0.5);
      pts.forEach((q) => {
        const chosen = (k === s.solver || k === s.other) && q[2].n === s.n && s.grid !== "dragged";
        c.globalAlpha = lit ? 1 : 0.65;
        E.mark(c, look.shape, q[0], q[1], chosen ? 6 : lit ? 3.6 : 2.6, colour, chosen ? E.css("ink") : null);
        c.globalAlpha = 1;
        spots.push([q[0], q[1], k, q[2]]);
      });
    });
    c.restore();
    guides(c, X, Y);
    if (under) cursor(c, X, Y, rows);
    fig.end();
    E.say("errors-words", words(s, rows, job));
    E.legend(s, under, (key) => {
      under = key && { key, n: E.state.n };
      draw(E.state);
    });
  }
  /* what slopes −1, −2 and −4 look like on these axes */
  function guides(c, X, Y) {
    const x0 = X(1.15),
      y0 = fig.b - (fig.b - fig.t) * 0.36,
      long = (X(10) - X(1)) * (fig.w < 520 ? 0.6 : 0.36),
      up = (Y(0.1) - Y(1)) / (X(10) - X(1));
    [1, 2, 4].forEach((p) => {
      const q = Math.hypot(1, p * up),
        dx = long / q,
        dy = (long * p * up) / q;
      E.segment(c, x0, y0, x0 + dx, y0 + dy, E.css("axis"), 1.2);
      fig.text(x0 + dx + 4, y0 + dy + 5, `−${p}`, {});
    });
    fig.text(x0 - 4, y0 - 9, "slopes", {});
  }
  function at(rows, key, n) {
    const list = shown(rows, key),
      i = list.findIndex((r) => r.n === n);
    if (i < 0) return null;
    const column = (key) => list.map((r) => r[key]);
    return { row: list[i], slope: list.length > 1 ? Flow.slope(column("nfe"), column("error"), i) : NaN };
  }
  E.slopeAt = at;
  function cursor(c, X, Y, rows) {
    const found = at(rows, under.key, under.n);
    if (!found) return;
    const x = X(found.row.nfe),
      y = Y(found.row.error),
      right = x > (fig.l + fig.r) / 2;
    E.mark(c, "circle", x, y, 8, null, E.css("ink"));
    fig.text(x + (right ? -12 : 12), Math.max(fig.t + 12, y - 12), E.method(under.key).label, {
      anchor: right ? "end" : "start",
      kind: "tag",
    });
    fig.text(
      x + (right ? -12 : 12),
      Math.max(fig.t + 27, y + 3),
      E.power(found.row.error) + (isFinite(found.slope) ? `, slope ${E.minus((-found.slope).toFixed(2))}` : ""),
      { anchor: right ? "end" : "start", kind: "legend" },
    );
  }
  function words(s, rows, job) {
    if (s.grid === "dragged" && !under)
      return "Levels dragged by hand are one grid, so there is no line through them: these are the Karras grids.";
    const pick = under || { key: s.solver, n: s.n },
      m = E.method(pick.key),
      found = at(rows, pick.key, pick.n);
    if (m.stochastic)
      return `${m.label} draws noise: its samples follow a law, and have no error against the exact flow.`;
    if (!found) return E.why(pick.key) || "The errors of all methods are being computed.";
    const slope = `; the slope here is ${E.minus((-found.slope).toFixed(2))}, and with many steps it tends to −${m.order}`;
    return (
      `${m.label}: ${E.count(found.row.nfe, "evaluation")}, error ${E.num(found.row.error, 2)}` +
      (isFinite(found.slope) ? `${slope} (order ${m.order}).` : ".") +
      (job.done ? ` Errors of ${E.JUDGED} samples against the exact flow.` : " Still computing the others…")
    );
  }
  /* Where the point of a method with n steps is drawn, from the middle of the figure. */
  E.pointOf = (key, n) => {
    E.flush();
    const q = spots.find((q) => q[2] === key && q[3].n === n);
    return [Math.round(q[0] - fig.w / 2), Math.round(q[1] - fig.h / 2)];
  };
  E.setupErrors = () => {
    const box = E.$("errors-plot");
    const nearest = (event) => {
      const best = E.nearest(spots, box, event);
      return best && { key: best[2], n: best[3].n };
    };
    box.addEventListener("pointermove", (event) => {
      const found = nearest(event);
      if ((found && found.key + found.n) !== (under && under.key + under.n)) {
        under = found;
        box.style.cursor = under ? "pointer" : "";
        draw(E.state);
      }
    });
    box.addEventListener("pointerleave", () => {
      under = null;
      draw(E.state);
    });
    box.addEventListener("click", (event) => {
      const found = nearest(event);
      if (found)
        E.set({ solver: found.key, n: found.n, grid: E.state.grid === "dragged" ? E.DEFAULT.grid : E.state.grid });
    });
  };
  E.view("errors", [...E.RUN, "errors"], draw, "errors-plot");
})(Explorer);
