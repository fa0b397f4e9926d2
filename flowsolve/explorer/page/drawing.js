"use strict";
/* Scales with their ticks, and marks on a canvas. */
((E) => {
  /* ---- scales: f(value) -> pixel, f.inverse, f.ticks ---- */
  const WARP = {
    linear: [(v) => v, (v) => v],
    sqrt: [Math.sqrt, (v) => v * v],
    log: [Math.log10, (v) => Math.pow(10, v)],
  };
  E.scale = (kind, from, to, a, b) => {
    const f = WARP[kind][0],
      g = WARP[kind][1],
      u0 = f(from),
      u1 = f(to);
    const scale = (v) => a + ((f(v) - u0) / (u1 - u0)) * (b - a);
    scale.inverse = (p) => g(u0 + ((p - a) / (b - a)) * (u1 - u0));
    scale.ticks = (n) => (kind === "linear" ? E.ticks(from, to, n) : E.logTicks(from, to, kind, n));
    scale.from = from;
    scale.to = to;
    return scale;
  };
  E.ticks = (a, b, n) => {
    const lo = Math.min(a, b),
      hi = Math.max(a, b),
      raw = (hi - lo) / (n || 5),
      p = Math.pow(10, Math.floor(Math.log10(raw)));
    const step = p * [1, 2, 5, 10].find((m) => m * p >= raw * 0.999),
      out = [];
    for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + 1e-9 * step; k++)
      out.push(Number((k * step).toPrecision(12)));
    return out;
  };
  E.logTicks = (a, b, kind) => {
    const lo = Math.min(a, b),
      hi = Math.max(a, b),
      out = [];
    if (kind === "sqrt")
      return [0, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 80].filter(
        (v) => v >= lo && v <= hi * 1.0001 && (v > hi / 100 || v === 0),
      );
    for (let k = Math.floor(Math.log10(lo)); k <= Math.ceil(Math.log10(hi)); k++) {
      const v = Math.pow(10, k);
      if (v >= lo * 0.999 && v <= hi * 1.001) out.push(v);
    }
    return out;
  };

  /* ---- markers, each of its own shape ---- */
  const polygon = (size, corners, turn) => (c, r) => {
    for (let i = 0; i < corners; i++) {
      const angle = turn + (2 * Math.PI * i) / corners;
      c.lineTo(size * r * Math.cos(angle), size * r * Math.sin(angle));
    }
    c.closePath();
  };
  const SHAPES = {
    circle: (c, r) => c.arc(0, 0, r, 0, 2 * Math.PI),
    square: (c, r) => c.rect(-0.88 * r, -0.88 * r, 1.76 * r, 1.76 * r),
    up: polygon(1.25, 3, -Math.PI / 2),
    diamond: polygon(1.25, 4, 0),
    down: polygon(1.25, 3, Math.PI / 2),
    pentagon: polygon(1.15, 5, -Math.PI / 2),
    star(c, r) {
      for (let i = 0; i < 10; i++) {
        const q = (i % 2 ? 0.5 : 1.4) * r,
          angle = -Math.PI / 2 + (i * Math.PI) / 5;
        c.lineTo(q * Math.cos(angle), q * Math.sin(angle));
      }
      c.closePath();
    },
    left: polygon(1.25, 3, Math.PI),
    hexagon: polygon(1.1, 6, 0),
    right: polygon(1.25, 3, 0),
  };
  E.SHAPES = Object.keys(SHAPES);
  E.mark = (c, shape, x, y, r, fill, edge) => {
    c.save();
    c.translate(x, y);
    c.beginPath();
    SHAPES[shape](c, r);
    if (fill) {
      c.fillStyle = fill;
      c.fill();
    }
    if (edge) {
      c.strokeStyle = edge;
      c.lineWidth = 1.3;
      c.stroke();
    }
    c.restore();
  };
  E.line = (c, points, colour, width, alpha) => {
    c.save();
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.globalAlpha = alpha === undefined ? 1 : alpha;
    c.beginPath();
    for (let i = 0; i < points.length; i++) {
      if (i) c.lineTo(points[i][0], points[i][1]);
      else c.moveTo(points[i][0], points[i][1]);
    }
    c.stroke();
    c.restore();
  };
  E.segment = (c, x0, y0, x1, y1, colour, width) => {
    c.save();
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.beginPath();
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.stroke();
    c.restore();
  };
  E.arrow = (c, x0, y0, x1, y1, colour, width) => {
    const a = Math.atan2(y1 - y0, x1 - x0),
      q = 4 + 2 * width;
    E.segment(c, x0, y0, x1 - q * 0.6 * Math.cos(a), y1 - q * 0.6 * Math.sin(a), colour, width);
    c.save();
    c.fillStyle = colour;
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x1 - q * Math.cos(a - 0.42), y1 - q * Math.sin(a - 0.42));
    c.lineTo(x1 - q * Math.cos(a + 0.42), y1 - q * Math.sin(a + 0.42));
    c.closePath();
    c.fill();
    c.restore();
  };
  E.rgba = (hex, a) => {
    const v = parseInt(hex.slice(1), 16);
    return `rgba(${v >> 16},${(v >> 8) & 255},${v & 255},${a})`;
  };

  /* A picture of columns x rows cells in one colour, as opaque as opacity(column, row) says, 0 to 255. */
  E.picture = (columns, rows, colour, opacity) => {
    const canvas = E.el("canvas", { width: columns, height: rows }),
      c = canvas.getContext("2d"),
      image = c.createImageData(columns, rows),
      v = parseInt(colour.slice(1), 16);
    for (let i = 0; i < columns; i++)
      for (let j = 0; j < rows; j++)
        image.data.set([v >> 16, (v >> 8) & 255, v & 255, opacity(i, j)], 4 * (j * columns + i));
    c.putImageData(image, 0, 0);
    return canvas;
  };

  /* Of spots [x, y, ...] in a figure the one within 30 pixels of the pointer that is nearest to it, or null. */
  E.nearest = (spots, box, event) => {
    const r = box.getBoundingClientRect(),
      far = (q) => Math.hypot(q[0] - event.clientX + r.left, q[1] - event.clientY + r.top);
    const best = spots.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    return best && far(best) < 30 ? best : null;
  };
})(Explorer);
