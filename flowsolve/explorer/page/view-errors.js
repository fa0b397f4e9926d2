"use strict";
/* Error against evaluations of every method, computed here; the slope at the cursor; a click chooses. */
(function (E) {
  var fig, under = null, spots = [], HUES = ["third", "fourth", "fifth", "sixth", "seventh", "eighth"];

  /* each family a colour, each method of it a shape; the two that are chosen are blue and vermilion everywhere */
  E.look = function (key) {
    var families = [], m = E.method(key);
    Flow.data.methods.forEach(function (o) { if (families.indexOf(o.family) < 0) families.push(o.family); });
    var place = Flow.data.methods.filter(function (o) { return o.family === m.family; }).indexOf(m), s = E.state;
    return {
      hue: key === s.solver ? "a" : key === s.other ? "b" : HUES[families.indexOf(m.family) % HUES.length],
      shape: E.SHAPES[(place + families.indexOf(m.family)) % E.SHAPES.length],
    };
  };
  function shown(rows, key) {
    return (rows[key] || []).filter(function (r) { return isFinite(r.error) && r.error > 1e-15; });
  }

  E.drawErrors = function (s) {
    if (!fig) fig = new E.Figure("errors-plot", function (w) { return w < 520 ? 340 : 430; }, function (w) { return { l: w < 520 ? 46 : 60, r: 14, t: 14, b: 46 }; });
    var job = E.errorRows(), rows = job.rows, c = fig.begin(), lo = 1, hi = 1e-3;
    var keys = Flow.data.methods.map(function (m) { return m.key; }).filter(function (k) { return !E.method(k).stochastic; });
    keys.forEach(function (k) { shown(rows, k).forEach(function (r) { if (r.error < 4) { lo = Math.min(lo, r.error); hi = Math.max(hi, r.error); } }); });
    lo = Math.max(lo / 1.5, 1e-11); hi = Math.min(4, hi * 1.4);
    var X = E.scale("log", 0.92, 70, fig.l, fig.r), Y = E.scale("log", lo, hi, fig.b, fig.t);
    fig.axisX(X, "evaluations of ε (NFE)", { ticks: [1, 2, 5, 10, 20, 50] });
    fig.axisY(Y, "RMS error at σ = " + E.num(Flow.data.sigma.min), { format: function (v) { return "10" + E.up(Math.round(Math.log10(v))); }, x: 12 });
    fig.clip(fig.l - 8, fig.t - 8, fig.r + 8, fig.b + 8);
    spots = [];
    var order = keys.filter(function (k) { return k !== s.solver && k !== s.other; }).concat([s.other, s.solver].filter(function (k) { return keys.indexOf(k) >= 0; }));
    order.forEach(function (k) {
      var look = E.look(k), lit = k === s.solver || k === s.other || (under && under.key === k), colour = E.css(look.hue);
      var pts = shown(rows, k).map(function (r) { return [X(r.nfe), Y(r.error), r]; });
      E.line(c, pts, colour, lit ? 2.4 : 1.2, lit ? 1 : 0.5);
      pts.forEach(function (q) {
        var chosen = (k === s.solver || k === s.other) && q[2].n === s.n && s.grid !== "dragged";
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
    legend(s, rows);
    if (E.drawChartErrors) E.drawChartErrors(s);
  };
  /* what slopes −1, −2 and −4 look like on these axes */
  function guides(c, X, Y) {
    var x0 = X(1.15), y0 = fig.b - (fig.b - fig.t) * 0.36, long = (X(10) - X(1)) * (fig.w < 520 ? 0.6 : 0.36), up = (Y(0.1) - Y(1)) / (X(10) - X(1));
    [1, 2, 4].forEach(function (p) {
      var q = Math.hypot(1, p * up), dx = long / q, dy = long * p * up / q;
      E.line(c, [[x0, y0], [x0 + dx, y0 + dy]], E.css("axis"), 1.2);
      fig.text(x0 + dx + 4, y0 + dy + 5, "−" + p, {});
    });
    fig.text(x0 - 4, y0 - 9, "slopes", {});
  }
  function at(rows, key, n) {
    var list = shown(rows, key), i = list.findIndex(function (r) { return r.n === n; });
    if (i < 0) return null;
    return { row: list[i], slope: list.length > 1 ? Flow.slope(list.map(function (r) { return r.nfe; }), list.map(function (r) { return r.error; }), i) : NaN };
  }
  E.slopeAt = at;
  function cursor(c, X, Y, rows) {
    var found = at(rows, under.key, under.n);
    if (!found) return;
    var x = X(found.row.nfe), y = Y(found.row.error), right = x > (fig.l + fig.r) / 2;
    E.mark(c, "circle", x, y, 8, null, E.css("ink"));
    fig.text(x + (right ? -12 : 12), Math.max(fig.t + 12, y - 12), E.method(under.key).label, { anchor: right ? "end" : "start", kind: "tag" });
    fig.text(x + (right ? -12 : 12), Math.max(fig.t + 27, y + 3), E.power(found.row.error) + (isFinite(found.slope) ? ", slope " + E.minus((-found.slope).toFixed(2)) : ""), { anchor: right ? "end" : "start", kind: "legend" });
  }
  function words(s, rows, job) {
    if (s.grid === "dragged" && !under) return "Levels dragged by hand are one grid, so there is no line through them: these are the Karras grids.";
    var pick = under || { key: s.solver, n: s.n }, found = at(rows, pick.key, pick.n);
    if (!found) return E.method(pick.key).stochastic ? E.method(pick.key).label + " draws noise: its samples follow a law, and have no error against the exact flow." : E.why(pick.key) || "The errors of all methods are being computed.";
    return E.method(pick.key).label + ": " + E.count(found.row.nfe, "evaluation") + ", error " + E.num(found.row.error, 2) +
      (isFinite(found.slope) ? "; the slope here is " + E.minus((-found.slope).toFixed(2)) + ", and with many steps it tends to −" + E.method(pick.key).order + " (order " + E.method(pick.key).order + ")" : "") + "." +
      (job.done ? " Errors of " + E.JUDGED + " samples against the exact flow." : " Still computing the others…");
  }
  function legend(s) {
    var box = E.$("errors-legend"), seen = [s.solver, s.other, E.dark(), under && under.key].join();
    if (box.seen === seen) return;
    box.seen = seen;
    if (!box.children.length) Flow.data.methods.forEach(function (m) {
      if (m.stochastic) return;
      box.append(E.el("li", {}, [E.el("button", {
        type: "button", "data-method": m.key,
        onclick: function () { E.set({ solver: m.key }); },
        onpointerenter: function () { under = { key: m.key, n: E.state.n }; E.drawErrors(E.state); },
        onpointerleave: function () { under = null; E.drawErrors(E.state); },
      }, [E.el("canvas", { width: 32, height: 32, "aria-hidden": "true" }), E.el("span", { text: m.label })])]));
    });
    box.querySelectorAll("button").forEach(function (b) {
      var k = b.dataset.method, look = E.look(k), c = b.firstChild.getContext("2d");
      b.setAttribute("aria-pressed", String(k === s.solver || k === s.other));
      c.clearRect(0, 0, 32, 32);
      E.line(c, [[1, 16], [31, 16]], E.css(look.hue), 3);
      E.mark(c, look.shape, 16, 16, 7, E.css(look.hue));
    });
  }
  /* Where the point of a method with n steps is drawn, from the middle of the figure. */
  E.pointOf = function (key, n) {
    var q = spots.find(function (q) { return q[2] === key && q[3].n === n; });
    return [Math.round(q[0] - fig.w / 2), Math.round(q[1] - fig.h / 2)];
  };
  E.setupErrors = function () {
    var box = E.$("errors-plot");
    function nearest(event) {
      var r = box.getBoundingClientRect(), x = event.clientX - r.left, y = event.clientY - r.top, best = null, least = 900;
      spots.forEach(function (q) { var far = (q[0] - x) * (q[0] - x) + (q[1] - y) * (q[1] - y); if (far < least) { least = far; best = q; } });
      return best && { key: best[2], n: best[3].n };
    }
    box.addEventListener("pointermove", function (event) {
      var found = nearest(event);
      if ((found && found.key + found.n) !== (under && under.key + under.n)) { under = found; box.style.cursor = under ? "pointer" : ""; E.drawErrors(E.state); }
    });
    box.addEventListener("pointerleave", function () { under = null; E.drawErrors(E.state); });
    box.addEventListener("click", function (event) {
      var found = nearest(event);
      if (found) E.set({ solver: found.key, n: found.n, grid: E.state.grid === "dragged" ? E.DEFAULT.grid : E.state.grid });
    });
  };
  E.view("errors", ["scene", "label", "scale", "seed", "solver", "other", "n", "grid", "schedule"], E.drawErrors, "errors-plot");
})(Explorer);
