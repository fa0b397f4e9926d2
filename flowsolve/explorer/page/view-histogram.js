"use strict";
/* One dimension: histograms of the samples over the exact density at σ, and ε below them. */
((E) => {
  E.histogram = (f, s, sigma, A, B) => {
    const c = f.begin(),
      p = E.problem(),
      unit = Math.sqrt(1 + sigma * sigma),
      reach = E.scene().extent * 1.2,
      split = f.t + (f.b - f.t) * 0.66,
      bins = 45;
    const X = E.scale("linear", -reach, reach, f.l, f.r);
    const xs = Array.from({ length: 401 }, (_, i) => -reach + (i / 400) * 2 * reach);
    const ps = xs.map((x) => unit * E.marginal(p, x * unit, sigma));
    const hist = [A, B].map((R) => {
      if (!R) return null;
      const counts = new Float64Array(bins),
        x = E.at(R.path, sigma);
      x.forEach((v) => {
        const k = Math.floor(((v / unit + reach) / (2 * reach)) * bins);
        if (k >= 0 && k < bins) counts[k] += bins / (2 * reach) / x.length;
      });
      return counts;
    });
    const peak = Math.max(...ps),
      most = Math.max(peak, ...hist.map((h) => (h ? Math.min(1.6 * peak, Math.max(...h)) : 0)));
    const Y = E.scale("linear", 0, most * 1.06, split, f.t),
      es = xs.map((x) => x * unit),
      eps = p.eps(Float64Array.from(es), sigma, new Float64Array(es.length));
    const high = Math.max(1, Math.min(8, Math.max(...eps.map(Math.abs)))),
      Z = E.scale("linear", -high * 1.1, high * 1.1, f.b, split + 22),
      b = f.b;
    f.axisX(X, "xₜ = x̄ / √(1+σ²)");
    f.b = split;
    f.axisY(Y, "density", { ticks: E.ticks(0, most, 3) });
    f.b = b;
    const t = f.t;
    f.t = split + 22;
    f.axisY(Z, "ε(x̄, σ)", { ticks: E.ticks(-high, high, 4) });
    f.t = t;
    f.clip();
    c.beginPath();
    c.moveTo(X(-reach), Y(0));
    xs.forEach((x, i) => {
      c.lineTo(X(x), Y(ps[i]));
    });
    c.lineTo(X(reach), Y(0));
    c.closePath();
    c.fillStyle = E.rgba(E.css("exact"), 0.35);
    c.fill();
    E.line(
      c,
      xs.map((x, i) => [X(x), Y(ps[i])]),
      E.css("exact"),
      1.5,
    );
    [
      [hist[1], "b"],
      [hist[0], "a"],
    ].forEach((h) => {
      if (!h[0]) return;
      const pts = [];
      h[0].forEach((v, k) => {
        pts.push([X(-reach + (k / bins) * 2 * reach), Y(v)], [X(-reach + ((k + 1) / bins) * 2 * reach), Y(v)]);
      });
      E.line(c, pts, E.css(h[1]), 1.8);
    });
    E.segment(c, f.l, split, f.r, split, E.css("axis"), 1);
    E.segment(c, f.l, Z(0), f.r, Z(0), E.css("grid"), 1);
    E.line(
      c,
      xs.map((x, i) => [X(x), Z(eps[i])]),
      E.css("third"),
      2,
    );
    c.restore();
    f.end();
    if (!A) return E.why(s.solver);
    const share = distance(hist[0], p, sigma, reach, bins);
    return (
      `At σ = ${E.num(sigma)} the histogram of ${E.CROWD} samples of ${E.method(s.solver).label} differs from the exact ` +
      `density (grey) by ${(100 * share.found).toFixed(1)} % of its area; that of as many exact samples would by about ` +
      `${(100 * share.chance).toFixed(1)} %. Green: ε at this level. `
    );
  };

  /* Half the area between a histogram and the density, and what it is on average for exact samples. */
  function distance(counts, p, sigma, reach, bins) {
    const width = (2 * reach) / bins,
      unit = Math.sqrt(1 + sigma * sigma),
      share = { found: 0, chance: 0 };
    counts.forEach((v, k) => {
      let mass = 0;
      for (let j = 0; j < 8; j++)
        mass += (unit * E.marginal(p, (-reach + (k + (j + 0.5) / 8) * width) * unit, sigma) * width) / 8;
      share.found += Math.abs(v * width - mass) / 2;
      share.chance += Math.sqrt((2 * mass * (1 - Math.min(1, mass))) / (Math.PI * E.CROWD)) / 2;
    });
    return share;
  }
})(Explorer);
