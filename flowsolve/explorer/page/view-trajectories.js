"use strict";
/* Trajectories: x_t against t, or x̄ against σ, where DDIM's steps are straight lines along ε. */
(function (E) {
  var fig, morph = null, target = 1, spots = [], animation = 0;

  function ease(u) { return u < 0.5 ? 4 * u * u * u : 1 - Math.pow(-2 * u + 2, 3) / 2; }
  E.zoomed = function (s) { var top = Flow.data.sigma.max; return top * Math.pow(0.6 / top, 1 - s.zoom / 100); };

  /* (σ, x̄) -> pixels in both coordinates, and between them while the switch moves */
  function maps(s) {
    var clock = Flow.clock[s.schedule], top = Flow.data.sigma.max, low = Flow.data.sigma.min, Z = E.zoomed(s), extent = E.scene().extent;
    var xt = E.scale("linear", clock.t(top), 0, fig.l, fig.r);
    var from = s.axis === "log" ? low : 0, xs = E.scale(s.axis, Z, from, fig.l, fig.r);
    var tall = Math.max(extent, 2.15 * clock.alpha(top) * Math.sqrt(1 + top * top)), yt = E.scale("linear", -tall, tall, fig.b, fig.t);
    var half = extent * 1.02 + 2.15 * Z, ys = E.scale("linear", -half, half, fig.b, fig.t);
    return {
      xt: xt, xs: xs, yt: yt, ys: ys, Z: Z, clock: clock,
      at: function (sigma, x) {
        var m = morph, al = clock.alpha(sigma);
        return [(1 - m) * xt(clock.t(sigma)) + m * xs(Math.max(sigma, from)), (1 - m) * yt(al * x) + m * ys(x)];
      },
      back: function (px, py, bar) {  // pixel -> [σ, x̄] in one of the coordinates
        var sigma = bar ? xs.inverse(px) : clock.sigma(Math.max(1e-6, xt.inverse(px)));
        return [sigma, bar ? ys.inverse(py) : yt.inverse(py) / clock.alpha(sigma)];
      },
    };
  }

  /* the density at every level, as a picture behind the paths */
  var shade = E.memo(6, function (who, schedule, bar, Z, axis, colour, w, h) {
    var M = maps(E.state), p = E.problem(), nx = 150, ny = 110, canvas = E.el("canvas"), c, image;
    canvas.width = nx; canvas.height = ny; c = canvas.getContext("2d"); image = c.createImageData(nx, ny);
    var rgb = parseInt(colour.slice(1), 16);
    for (var i = 0; i < nx; i++) {
      var column = [], most = 0;
      for (var j = 0; j < ny; j++) {
        var q = M.back(fig.l + (i + 0.5) / nx * (fig.r - fig.l), fig.t + (j + 0.5) / ny * (fig.b - fig.t), bar), v = E.marginal(p, q[1], q[0]);
        column.push(v); most = Math.max(most, v);
      }
      for (j = 0; j < ny; j++) {
        var at = 4 * (j * nx + i);
        image.data[at] = rgb >> 16; image.data[at + 1] = rgb >> 8 & 255; image.data[at + 2] = rgb & 255;
        image.data[at + 3] = 255 * 0.26 * Math.pow(column[j] / most, 0.8);
      }
    }
    c.putImageData(image, 0, 0);
    return canvas;
  });

  function step(M, a, b, x0, x1, pieces) {
    var points = [];
    for (var q = 0; q <= pieces; q++) {
      var u = Math.pow(q / pieces, 1), sg = a + u * (b - a);
      points.push(M.at(sg, x0 + (sg - a) / (b - a) * (x1 - x0)));
    }
    return points;
  }
  function path(M, run, i, d) {
    var out = [], p = run.path;
    for (var k = 0; k + 1 < p.length; k++) out = out.concat(step(M, p[k].sigma, p[k + 1].sigma, p[k].x[i * d], p[k + 1].x[i * d], 14));
    return out;
  }

  function draw(s) {
    if (!fig) fig = new E.Figure("trajectories-plot", function (w) { return w < 520 ? 330 : 450; }, function (w) { return { l: w < 520 ? 40 : 54, r: 30, t: 14, b: 46 }; });
    target = s.coords === "bar" ? 1 : 0;
    if (morph === null || E.still() || E.printing) morph = target;
    if (Math.abs(morph - target) > 1e-9 && !animation) return glide();
    paint(s);
  }
  function glide() {
    var from = morph, to = target, t0 = performance.now();
    animation = 1;
    (function tick(now) {
      if (to !== target) { animation = 0; return glide(); }
      var u = Math.min(1, Math.max(0, now - t0) / 1100);
      morph = from + (to - from) * ease(u);
      if (u < 1) animation = requestAnimationFrame(tick); else { morph = to; animation = 0; }
      paint(E.state);
    })(t0);
  }

  function paint(s) {
    var c = fig.begin(), M = maps(s), p = E.problem(), d = p.d, A = E.run("solver", E.LINES, true), B = E.run("other", E.LINES, true);
    var lines = E.exactLines(), dense = E.dense(), i, k;
    fig.clip();
    [0, 1].forEach(function (bar) {
      var share = bar ? morph : 1 - morph;
      if (share < 0.02) return;
      c.globalAlpha = share; c.imageSmoothingEnabled = true;
      c.drawImage(shade(E.who(), s.schedule, !!bar, bar ? M.Z : 0, bar ? s.axis : "", E.css("exact"), fig.w, fig.h), fig.l, fig.t, fig.r - fig.l, fig.b - fig.t);
    });
    c.restore();
    c.globalAlpha = 1;
    var word = d > 1 ? ", first coordinate" : "";
    if (target) { fig.axisX(M.xs, "noise level σ"); fig.axisY(M.ys, "x̄ = x / α" + word); }
    else { fig.axisX(M.xt, "time t of the schedule"); fig.axisY(M.yt, "xₜ" + word); }
    fig.clip();
    for (i = 0; i < E.LINES; i++) E.line(c, lines.map(function (x, q) { return M.at(dense[q], x[i * d]); }), E.css("exact"), 1.4, 0.75);
    spots = [];
    [[B, "b", "square"], [A, "a", "circle"]].forEach(function (one) {
      if (!one[0]) return;
      for (var i = 0; i < E.LINES; i++) {
        var lit = i === s.sample;
        E.line(c, path(M, one[0], i, d), E.css(one[1]), lit ? 2.2 : 1.1, lit ? 1 : 0.5);
        one[0].path.forEach(function (node, k) {
          var at = M.at(node.sigma, node.x[i * d]);
          c.globalAlpha = lit ? 1 : 0.6;
          E.mark(c, one[2], at[0], at[1], lit ? 3.6 : 2.1, E.css(one[1]));
          c.globalAlpha = 1;
          if (one[1] === "a" && k) {
            var before = one[0].path[k - 1], mid = M.at((before.sigma + node.sigma) / 2, (before.x[i * d] + node.x[i * d]) / 2);
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
    var k = Math.min(s.step, A.path.length - 1), d = p.d, i = s.sample, a = A.path[k - 1], b = A.path[k], low = Flow.data.sigma.min / 50;
    var one = a.x.slice(i * d, i * d + d), e = p.eps(one, a.sigma, new Float64Array(d))[0], x0 = one[0] - a.sigma * e;
    var sg = [], q;
    for (q = 0; q <= 60; q++) sg.push(a.sigma * Math.pow(low / a.sigma, q / 60));
    c.setLineDash([5, 5]);
    E.line(c, sg.map(function (v) { return M.at(v, x0 + v * e); }), E.css("ink"), 1.3, 0.75);
    c.setLineDash([]);
    var line = step(M, a.sigma, b.sigma, one[0], x0 + b.sigma * e, 30), tip = line[line.length - 1], near = line[line.length - 3], end = M.at(low, x0);
    E.line(c, line, E.css("ink"), 2.4);
    if (Math.hypot(tip[0] - line[0][0], tip[1] - line[0][1]) > 12) E.arrow(c, near[0], near[1], tip[0], tip[1], E.css("ink"), 2.2);
    E.mark(c, "circle", line[0][0], line[0][1], 4.4, E.css("panel"), E.css("ink"));
    E.mark(c, "diamond", end[0], end[1], 4.2, E.css("panel"), E.css("ink"));
    if (line[0][0] > fig.l - 4) {
      fig.text(Math.min(fig.r - 8, end[0] - 4), Math.max(fig.t + 12, end[1] - 9), "x̂₀", { anchor: "end", kind: "tag" });
      var mid = line[15];
      if (mid[0] > fig.l + 10) fig.text(mid[0] + 6, mid[1] - 9, "ε", { kind: "tag" });
    }
  }

  function words(s, A, B, p) {
    var name = E.method(s.solver).label, bar = s.coords === "bar";
    if (!A) return E.why(s.solver) + "Grey: the exact flow.";
    var text = (s.other ? E.why(s.other) : "") + name + ", " + E.count(A.path.length - 1, "step") + ", " + A.plan.nfe + " evaluations of ε" + (B ? "; " + E.method(s.other).label + ", " + B.plan.nfe + " evaluations" : "") + ". ";
    text += bar ? "In x̄ against σ " + (s.axis === "linear" ? "each step of DDIM is a straight line along ε" : "on this axis straight lines look bent: choose the linear one to see them straight") + ". "
      : "In xₜ against t the same steps are curves. ";
    return text + "Grey: the exact flow, and behind it the density at each level.";
  }

  E.view("trajectories", ["scene", "label", "scale", "seed", "solver", "other", "n", "grid", "schedule", "levels", "coords", "axis", "zoom", "sample", "step"], draw, "trajectories-plot");

  E.moving = function () { return !!animation; };
  /* The start, the middle and the end of a step of a sample, in pixels. */
  E.lineOnScreen = function (k, i) {
    var M = maps(E.state), p = E.run("solver", E.LINES, true).path, d = E.problem().d;
    return step(M, p[k - 1].sigma, p[k].sigma, p[k - 1].x[i * d], p[k].x[i * d], 2);
  };

  E.setupTrajectories = function () {
    var box = E.$("trajectories-plot");
    function pick(event) {
      var r = box.getBoundingClientRect(), x = event.clientX - r.left, y = event.clientY - r.top, best = null, least = 900;
      spots.forEach(function (q) { var far = (q[0] - x) * (q[0] - x) + (q[1] - y) * (q[1] - y); if (far < least) { least = far; best = q; } });
      if (best && (best[2] !== E.state.sample || best[3] !== E.state.step)) E.set({ sample: best[2], step: best[3] });
    }
    box.addEventListener("pointermove", pick);
    box.addEventListener("pointerdown", pick);
  };
})(Explorer);
