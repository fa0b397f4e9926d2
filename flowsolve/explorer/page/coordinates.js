"use strict";
/* The two coordinates of the trajectories on the screen: x_t against t, x̄ against σ, and all that lies between. */
((E) => {
  E.zoomed = (s) => {
    const top = Flow.data.sigma.max;
    return top * Math.pow(0.6 / top, 1 - s.zoom / 100);
  };

  /* (σ, x̄) -> pixels in both coordinates, and between them while the switch moves */
  E.maps = (fig, morph, s) => {
    const clock = Flow.clock[s.schedule],
      top = Flow.data.sigma.max,
      low = Flow.data.sigma.min,
      Z = E.zoomed(s),
      extent = E.scene().extent;
    const xt = E.scale("linear", clock.t(top), 0, fig.l, fig.r);
    const from = s.axis === "log" ? low : 0,
      xs = E.scale(s.axis, Z, from, fig.l, fig.r);
    const tall = Math.max(extent, 2.15 * clock.alpha(top) * Math.sqrt(1 + top * top)),
      yt = E.scale("linear", -tall, tall, fig.b, fig.t);
    const half = extent * 1.02 + 2.15 * Z,
      ys = E.scale("linear", -half, half, fig.b, fig.t);
    return {
      xt,
      xs,
      yt,
      ys,
      Z,
      clock,
      at(sigma, x) {
        const al = clock.alpha(sigma),
          blend = (a, b) => (1 - morph) * a + morph * b;
        return [blend(xt(clock.t(sigma)), xs(Math.max(sigma, from))), blend(yt(al * x), ys(x))];
      },
      // pixel -> [σ, x̄] in one of the coordinates
      back(px, py, bar) {
        const sigma = bar ? xs.inverse(px) : clock.sigma(Math.max(1e-6, xt.inverse(px)));
        return [sigma, bar ? ys.inverse(py) : yt.inverse(py) / clock.alpha(sigma)];
      },
    };
  };

  /* The density at every level, each column by its largest, as a picture behind the paths. */
  const shade = E.memo(6, (who, schedule, bar, Z, axis, colour, l, r, t, b) => {
    const M = E.maps({ l, r, t, b }, 0, E.state),
      p = E.problem(),
      nx = 150,
      ny = 110;
    const columns = Array.from({ length: nx }, (_, i) => {
      const x = l + ((i + 0.5) / nx) * (r - l);
      const column = Array.from({ length: ny }, (_, j) => {
        const [sigma, at] = M.back(x, t + ((j + 0.5) / ny) * (b - t), bar);
        return E.marginal(p, at, sigma);
      });
      const most = Math.max(...column);
      return column.map((v) => v / most);
    });
    return E.picture(nx, ny, colour, (i, j) => 66 * Math.pow(columns[i][j], 0.8));
  });
  E.shade = (fig, s, bar) =>
    shade(
      E.who(),
      s.schedule,
      bar,
      bar ? E.zoomed(s) : 0,
      bar ? s.axis : "",
      E.css("exact"),
      fig.l,
      fig.r,
      fig.t,
      fig.b,
    );

  /* The step from (a, x0) to (b, x1), straight in x̄ and σ, as points on the screen. */
  E.stepLine = (M, a, b, x0, x1, pieces) =>
    Array.from({ length: pieces + 1 }, (_, q) => M.at(a + (q / pieces) * (b - a), x0 + (q / pieces) * (x1 - x0)));
  E.pathLine = (M, path, i) =>
    path.slice(1).flatMap((node, k) => E.stepLine(M, path[k].sigma, node.sigma, path[k].x[i], node.x[i], 14));
})(Explorer);
