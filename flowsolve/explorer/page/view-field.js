"use strict";
/* Two dimensions: the density at σ, the field of ε, and the samples in it. */
((E) => {
  const heat = E.memo(40, (who, sigma, colour, reach) => {
    const n = 72,
      p = E.problem(),
      unit = Math.sqrt(1 + sigma * sigma),
      at = (k) => (-reach + ((k + 0.5) / n) * 2 * reach) * unit,
      v = Float64Array.from({ length: n * n }, (_, k) => p.density([at(k % n), -at(Math.floor(k / n))], sigma)),
      most = v.reduce((a, b) => Math.max(a, b));
    return E.picture(n, n, colour, (i, j) => 150 * Math.pow(v[j * n + i] / most, 0.6));
  });
  E.fields = (figs, s, sigma, A, B) => {
    const p = E.problem(),
      unit = Math.sqrt(1 + sigma * sigma),
      reach = E.scene().extent * 1.2;
    [
      [A, "a", "circle", E.method(s.solver).label],
      s.other ? [B, "b", "square", E.method(s.other).label] : [exact(), "exact", "circle", "the exact flow"],
    ].forEach((one, side) => {
      const f = figs[side];
      const c = f.begin();
      const X = E.scale("linear", -reach, reach, f.l, f.r);
      const Y = E.scale("linear", -reach, reach, f.b, f.t);
      f.clip();
      c.imageSmoothingEnabled = true;
      c.drawImage(heat(E.who(), sigma, E.css("exact"), reach), f.l, f.t, f.r - f.l, f.b - f.t);
      c.restore();
      f.axisX(X, "xₜ, first coordinate");
      f.axisY(Y, "second coordinate");
      f.clip();
      const x = one[0] ? E.at(one[0].path, sigma) : [];
      if (one[0] && one[1] !== "exact") trails(c, one[0].path, sigma, x, X, Y, E.css(one[1]));
      for (let i = 0; i < Math.min(x.length, 1600); i += 2) {
        c.globalAlpha = 0.55;
        E.mark(c, one[2], X(x[i] / unit), Y(x[i + 1] / unit), 1.7, E.css(one[1] === "exact" ? "muted" : one[1]));
      }
      c.globalAlpha = 1;
      arrows(c, f, p, sigma, unit, reach, X, Y);
      c.restore();
      f.text(f.l, f.t - 11, one[3], { kind: "tag", fill: E.css(one[1] === "exact" ? "muted" : one[1]) });
      f.end();
    });
    return (
      `${E.why(s.solver)}${s.other ? E.why(s.other) : ""}At σ = ${E.num(sigma)}: arrows along −ε(x̄, σ), the way in which ` +
      "every sample moves as σ falls, over the density of x̄ (grey). "
    );
  };
  /* where some of them came from, node by node */
  function trails(c, path, sigma, x, X, Y, colour) {
    for (let i = 0; i < 36; i += 2) {
      const points = path
        .filter((n) => n.sigma > sigma)
        .map((n) => {
          const u = Math.sqrt(1 + n.sigma * n.sigma);
          return [X(n.x[i] / u), Y(n.x[i + 1] / u)];
        });
      points.push([X(x[i] / Math.sqrt(1 + sigma * sigma)), Y(x[i + 1] / Math.sqrt(1 + sigma * sigma))]);
      E.line(c, points, colour, 1, 0.6);
    }
  }
  function arrows(c, f, p, sigma, unit, reach, X, Y) {
    const n = 11;
    const points = new Float64Array(2 * n * n);
    const at = (k) => (-reach + ((k + 0.5) / n) * 2 * reach) * unit;
    for (let k = 0; k < n * n; k++) points.set([at(k % n), at(Math.floor(k / n))], 2 * k);
    const e = Flow.field(p, sigma, points);
    const size = ((f.r - f.l) / n) * 0.36;
    for (let k = 0; k < n * n; k++) {
      const x = X(points[2 * k] / unit),
        y = Y(points[2 * k + 1] / unit),
        q = Math.hypot(e[2 * k], e[2 * k + 1]),
        g = (size * Math.min(1.25, q)) / Math.max(q, 1e-9);
      if (q > 0.03)
        E.arrow(c, x + g * e[2 * k], y - g * e[2 * k + 1], x - g * e[2 * k], y + g * e[2 * k + 1], E.css("third"), 1);
    }
  }
  /* The exact flow where it has been computed: it takes longer than a frame. */
  function exact() {
    const found = E.exactCrowd();
    return found.path ? found : null;
  }
})(Explorer);
