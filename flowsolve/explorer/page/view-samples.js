"use strict";
/* The samples at a level σ: their histogram over the exact density, or the ε-field with the samples in it. */
(function (E) {
  var figs, playing = 0;
  E.levelSigma = function (s) { var top = Flow.data.sigma.max, low = Flow.data.sigma.min, q = 1 / 5; return s.level >= 100 ? low : Math.pow(Math.pow(top, q) + s.level / 100 * (Math.pow(low, q) - Math.pow(top, q)), 1 / q); };

  function draw(s) {
    if (!figs) {
      figs = [new E.Figure("samples-a", tall, margin), new E.Figure("samples-b", tall, margin)];
    }
    var p = E.problem(), sigma = E.levelSigma(s), A = E.run("solver", E.CROWD), B = E.run("other", E.CROWD);
    E.slider("level", 0, 100, s.level, "σ = " + E.num(sigma, 3));
    E.$("samples-b").hidden = p.d === 1;
    E.$("samples-plots").className = p.d === 1 ? "plots" : "plots two";
    E.say("samples-words", p.d === 1 ? line(s, p, sigma, A, B) : plane(s, p, sigma, A, B));
  }
  function tall(w) { return E.problem().d === 1 ? (w < 520 ? 330 : 380) : w + 10 - (w < 400 ? 0 : 8); }
  function margin(w) { return { l: w < 400 ? 44 : 54, r: 12, t: E.problem().d === 1 ? 14 : 30, b: 46 }; }
  function ended(s) {
    var rows = E.errorRows().rows, say = function (key) {
      var r = s.grid !== "dragged" && (rows[key] || []).find(function (r) { return r.n === s.n; });
      return r ? E.method(key).label + " ends " + E.num(r.error, 2) + " (RMS) from the exact flow. " : "";
    };
    return say(s.solver) + (s.other && s.other !== s.solver ? say(s.other) : "");
  }

  /* 1-D: density, histograms, and ε below them */
  function line(s, p, sigma, A, B) {
    var f = figs[0], c = f.begin(), unit = Math.sqrt(1 + sigma * sigma), reach = E.scene().extent * 1.2, split = f.t + (f.b - f.t) * 0.66, bins = 45;
    var X = E.scale("linear", -reach, reach, f.l, f.r), xs = [], ps = [], most = 0, i;
    for (i = 0; i <= 400; i++) { var x = -reach + i / 400 * 2 * reach; xs.push(x); ps.push(unit * E.marginal(p, x * unit, sigma)); }
    most = Math.max.apply(null, ps);
    var hist = [A, B].map(function (R) {
      if (!R) return null;
      var counts = new Float64Array(bins), x = E.at(R.path, sigma);
      x.forEach(function (v) { var k = Math.floor((v / unit + reach) / (2 * reach) * bins); if (k >= 0 && k < bins) counts[k] += bins / (2 * reach) / x.length; });
      return counts;
    });
    hist.forEach(function (h) { if (h) most = Math.max(most, Math.min(1.6 * most, Math.max.apply(null, h))); });
    var Y = E.scale("linear", 0, most * 1.06, split, f.t), es = xs.map(function (x) { return x * unit; }), eps = p.eps(Float64Array.from(es), sigma, new Float64Array(es.length));
    var high = Math.max(1, Math.min(8, Math.max.apply(null, eps.map(Math.abs)))), Z = E.scale("linear", -high * 1.1, high * 1.1, f.b, split + 22), b = f.b;
    f.axisX(X, "xₜ = x̄ / √(1+σ²)");
    f.b = split; f.axisY(Y, "density", { ticks: E.ticks(0, most, 3) }); f.b = b;
    var t = f.t; f.t = split + 22; f.axisY(Z, "ε(x̄, σ)", { ticks: E.ticks(-high, high, 4) }); f.t = t;
    f.clip();
    c.beginPath(); c.moveTo(X(-reach), Y(0)); xs.forEach(function (x, i) { c.lineTo(X(x), Y(ps[i])); }); c.lineTo(X(reach), Y(0)); c.closePath();
    c.fillStyle = E.rgba(E.css("exact"), 0.35); c.fill();
    E.line(c, xs.map(function (x, i) { return [X(x), Y(ps[i])]; }), E.css("exact"), 1.5);
    [[hist[1], "b"], [hist[0], "a"]].forEach(function (h) {
      if (!h[0]) return;
      var pts = [];
      h[0].forEach(function (v, k) { pts.push([X(-reach + k / bins * 2 * reach), Y(v)], [X(-reach + (k + 1) / bins * 2 * reach), Y(v)]); });
      E.line(c, pts, E.css(h[1]), 1.8);
    });
    E.line(c, [[f.l, split], [f.r, split]], E.css("axis"), 1);
    E.line(c, [[f.l, Z(0)], [f.r, Z(0)]], E.css("grid"), 1);
    E.line(c, xs.map(function (x, i) { return [X(x), Z(eps[i])]; }), E.css("third"), 2);
    c.restore(); f.end();
    if (!A) return E.why(s.solver);
    var off = 0, chance = 0;
    hist[0].forEach(function (v, k) {
      var width = 2 * reach / bins, mass = 0;
      for (var j = 0; j < 8; j++) mass += unit * E.marginal(p, (-reach + (k + (j + 0.5) / 8) * width) * unit, sigma) * width / 8;
      off += Math.abs(v * width - mass) / 2; chance += Math.sqrt(2 * mass * (1 - Math.min(1, mass)) / (Math.PI * E.CROWD)) / 2;
    });
    return "At σ = " + E.num(sigma) + " the histogram of " + E.CROWD + " samples of " + E.method(s.solver).label + " differs from the exact density (grey) by " + (100 * off).toFixed(1) + " % of its area; that of as many exact samples would by about " + (100 * chance).toFixed(1) + " %. Green: ε at this level. " + ended(s);
  }

  /* 2-D: density and field, samples in it */
  var heat = E.memo(40, function (who, sigma, colour, reach) {
    var n = 72, canvas = E.el("canvas"), c, image, p = E.problem(), v = new Float64Array(n * n), most = 0, unit = Math.sqrt(1 + sigma * sigma), rgb = parseInt(colour.slice(1), 16), q = [0, 0];
    canvas.width = canvas.height = n; c = canvas.getContext("2d"); image = c.createImageData(n, n);
    for (var k = 0; k < n * n; k++) {
      q[0] = (-reach + (k % n + 0.5) / n * 2 * reach) * unit; q[1] = (reach - (Math.floor(k / n) + 0.5) / n * 2 * reach) * unit;
      v[k] = p.density(q, sigma); most = Math.max(most, v[k]);
    }
    for (k = 0; k < n * n; k++) { image.data[4 * k] = rgb >> 16; image.data[4 * k + 1] = rgb >> 8 & 255; image.data[4 * k + 2] = rgb & 255; image.data[4 * k + 3] = 150 * Math.pow(v[k] / most, 0.6); }
    c.putImageData(image, 0, 0);
    return canvas;
  });
  function plane(s, p, sigma, A, B) {
    var unit = Math.sqrt(1 + sigma * sigma), reach = E.scene().extent * 1.2;
    [[A, "a", "circle", E.method(s.solver).label], s.other ? [B, "b", "square", E.method(s.other).label] : [null, "exact", "circle", "the exact flow"]].forEach(function (one, side) {
      var f = figs[side], c = f.begin(), X = E.scale("linear", -reach, reach, f.l, f.r), Y = E.scale("linear", -reach, reach, f.b, f.t), x;
      f.clip(); c.imageSmoothingEnabled = true;
      c.drawImage(heat(E.who(), sigma, E.css("exact"), reach), f.l, f.t, f.r - f.l, f.b - f.t);
      c.restore();
      f.axisX(X, "xₜ, first coordinate"); f.axisY(Y, "second coordinate");
      f.clip();
      if (one[0]) x = E.at(one[0].path, sigma);
      else if (one[1] === "exact") {
        var dense = E.dense(), at = 0, lines = E.exactCrowd();
        dense.forEach(function (v, i) { if (Math.abs(Math.log(v / sigma)) < Math.abs(Math.log(dense[at] / sigma))) at = i; });
        x = lines[at];
      }
      if (one[0]) trails(c, one[0].path, sigma, x, X, Y, E.css(one[1]));
      if (x) for (var i = 0; i < Math.min(x.length, 1600); i += 2) {
        c.globalAlpha = 0.55;
        E.mark(c, one[2], X(x[i] / unit), Y(x[i + 1] / unit), 1.7, E.css(one[1] === "exact" ? "muted" : one[1]));
      }
      c.globalAlpha = 1;
      arrows(c, f, p, sigma, unit, reach, X, Y);
      c.restore();
      f.text(f.l, f.t - 11, one[3], { kind: "tag", fill: E.css(one[1] === "exact" ? "muted" : one[1]) });
      f.end();
    });
    return E.why(s.solver) + (s.other ? E.why(s.other) : "") + "At σ = " + E.num(sigma) + ": arrows along −ε(x̄, σ), the way in which every sample moves as σ falls, over the density of x̄ (grey). " + ended(s);
  }
  /* where some of them came from, node by node */
  function trails(c, path, sigma, x, X, Y, colour) {
    for (var i = 0; i < 36; i += 2) {
      var points = path.filter(function (n) { return n.sigma > sigma; }).map(function (n) { var u = Math.sqrt(1 + n.sigma * n.sigma); return [X(n.x[i] / u), Y(n.x[i + 1] / u)]; });
      points.push([X(x[i] / Math.sqrt(1 + sigma * sigma)), Y(x[i + 1] / Math.sqrt(1 + sigma * sigma))]);
      E.line(c, points, colour, 1, 0.6);
    }
  }
  function arrows(c, f, p, sigma, unit, reach, X, Y) {
    var n = 11, points = new Float64Array(2 * n * n), k, e;
    for (k = 0; k < n * n; k++) { points[2 * k] = (-reach + (k % n + 0.5) / n * 2 * reach) * unit; points[2 * k + 1] = (-reach + (Math.floor(k / n) + 0.5) / n * 2 * reach) * unit; }
    e = Flow.field(p, sigma, points);
    var size = (f.r - f.l) / n * 0.36;
    for (k = 0; k < n * n; k++) {
      var x = X(points[2 * k] / unit), y = Y(points[2 * k + 1] / unit), q = Math.hypot(e[2 * k], e[2 * k + 1]), g = size * Math.min(1.25, q) / Math.max(q, 1e-9);
      if (q > 0.03) E.arrow(c, x + g * e[2 * k], y - g * e[2 * k + 1], x - g * e[2 * k], y + g * e[2 * k + 1], E.css("third"), 1);
    }
  }
  var crowd = E.memo(2, function () {
    var dense = E.dense(), x = E.start(400);
    return [x].concat(Flow.exact(E.problem(), x, dense[0], dense.slice(1)));
  });
  E.exactCrowd = function () { return crowd(E.who(), E.state.seed); };

  E.setupSamples = function () {
    var button = E.$("play");
    function stop() { cancelAnimationFrame(playing); playing = 0; button.textContent = "Play"; }
    button.addEventListener("click", function () {
      if (playing) return stop();
      if (E.still()) return E.set({ level: E.state.level >= 100 ? 0 : Math.min(100, E.state.level + 10) });
      var from = E.state.level >= 100 ? 0 : E.state.level, t0 = performance.now();
      button.textContent = "Pause";
      playing = requestAnimationFrame(function tick(now) {
        var level = Math.min(100, from + Math.max(0, now - t0) / 60);
        E.set({ level: Math.round(level * 2) / 2 });
        if (level < 100) playing = requestAnimationFrame(tick); else stop();
      });
    });
  };
  E.view("samples", ["scene", "label", "scale", "seed", "solver", "other", "n", "grid", "schedule", "levels", "level", "errors"], draw, "samples-plots");
})(Explorer);
