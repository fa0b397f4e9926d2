"use strict";
/* A figure: a canvas for marks, an SVG above it for words, scales with ticks, and the markers. */
(function (E) {
  E.Figure = function (id, height, margin) {
    var box = E.$(id), canvas = E.el("canvas", { "aria-hidden": "true" });
    box.append(canvas);
    box.insertAdjacentHTML("beforeend", '<svg aria-hidden="true" focusable="false"></svg>');
    this.box = box; this.canvas = canvas; this.svg = box.querySelector("svg"); this.c = canvas.getContext("2d");
    this.height = height; this.m = margin; this.words = [];
    var self = this, width = 0;
    new ResizeObserver(function () {
      if (Math.abs(box.clientWidth - width) > 0.5) { width = box.clientWidth; E.ask(true); }
    }).observe(box);
    this.self = self;
  };
  E.ratio = function () { return E.printing ? 3 : window.devicePixelRatio || 1; };
  E.Figure.prototype.begin = function () {
    var w = Math.max(200, this.box.clientWidth), h = typeof this.height === "function" ? this.height(w) : this.height;
    var r = E.ratio(), cw = Math.round(w * r), ch = Math.round(h * r);
    this.m0 = typeof this.m === "function" ? this.m(w) : this.m;
    if (this.canvas.width !== cw || this.canvas.height !== ch) {
      this.canvas.width = cw; this.canvas.height = ch;
      this.canvas.style.height = h + "px"; this.box.style.height = h + "px";
      this.svg.setAttribute("viewBox", "0 0 " + w + " " + h);
    }
    this.c.setTransform(r, 0, 0, r, 0, 0);
    this.c.clearRect(0, 0, w, h);
    this.c.lineJoin = "round"; this.c.lineCap = "round"; this.c.globalAlpha = 1;
    this.w = w; this.h = h; this.words = [];
    this.l = this.m0.l; this.t = this.m0.t; this.r = w - this.m0.r; this.b = h - this.m0.b;
    return this.c;
  };
  E.Figure.prototype.text = function (x, y, words, options) {
    var o = options || {};
    this.words.push('<text x="' + x.toFixed(1) + '" y="' + y.toFixed(1) + '" class="' + (o.kind || "tick") + '" text-anchor="' + (o.anchor || "start") + '"' +
      (o.turn ? ' transform="rotate(-90 ' + x.toFixed(1) + " " + y.toFixed(1) + ')"' : "") + (o.fill ? ' style="fill:' + o.fill + '"' : "") + ">" + words + "</text>");
  };
  E.Figure.prototype.end = function () { E.html(this.svg, this.words.join("")); };
  E.Figure.prototype.clip = function (x0, y0, x1, y1) {
    this.c.save(); this.c.beginPath();
    this.c.rect(x0 === undefined ? this.l : x0, y0 === undefined ? this.t : y0, (x1 === undefined ? this.r : x1) - (x0 === undefined ? this.l : x0), (y1 === undefined ? this.b : y1) - (y0 === undefined ? this.t : y0));
    this.c.clip();
  };

  /* ---- scales: f(value) -> pixel, f.inverse, f.ticks ---- */
  var WARP = {
    linear: [function (v) { return v; }, function (v) { return v; }],
    sqrt: [Math.sqrt, function (v) { return v * v; }],
    log: [Math.log10, function (v) { return Math.pow(10, v); }],
  };
  E.scale = function (kind, from, to, a, b) {
    var f = WARP[kind][0], g = WARP[kind][1], u0 = f(from), u1 = f(to);
    var scale = function (v) { return a + (f(v) - u0) / (u1 - u0) * (b - a); };
    scale.inverse = function (p) { return g(u0 + (p - a) / (b - a) * (u1 - u0)); };
    scale.ticks = function (n) { return kind === "linear" ? E.ticks(from, to, n) : E.logTicks(from, to, kind, n); };
    scale.from = from; scale.to = to;
    return scale;
  };
  E.ticks = function (a, b, n) {
    var lo = Math.min(a, b), hi = Math.max(a, b), raw = (hi - lo) / (n || 5), p = Math.pow(10, Math.floor(Math.log10(raw)));
    var step = p * [1, 2, 5, 10].find(function (m) { return m * p >= raw * 0.999; }), out = [];
    for (var k = Math.ceil(lo / step - 1e-9); k * step <= hi + 1e-9 * step; k++) out.push(Number((k * step).toPrecision(12)));
    return out;
  };
  E.logTicks = function (a, b, kind) {
    var lo = Math.min(a, b), hi = Math.max(a, b), out = [];
    if (kind === "sqrt") return [0, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 80].filter(function (v) { return v >= lo && v <= hi * 1.0001 && (v > hi / 100 || v === 0); });
    for (var k = Math.floor(Math.log10(lo)); k <= Math.ceil(Math.log10(hi)); k++) {
      var v = Math.pow(10, k);
      if (v >= lo * 0.999 && v <= hi * 1.001) out.push(v);
    }
    return out;
  };
  E.Figure.prototype.axisX = function (scale, label, o) {
    o = o || {};
    var c = this.c, self = this, y = this.b;
    (o.ticks || scale.ticks(this.w < 300 ? 4 : 6)).forEach(function (v) {
      var x = scale(v);
      if (x < self.l - 1 || x > self.r + 1) return;
      c.strokeStyle = E.css("grid"); c.lineWidth = 1; c.beginPath(); c.moveTo(x, self.t); c.lineTo(x, y); c.stroke();
      self.text(x, y + 16, (o.format || E.num)(v), { anchor: "middle" });
    });
    c.strokeStyle = E.css("axis"); c.beginPath(); c.moveTo(this.l, y + 0.5); c.lineTo(this.r, y + 0.5); c.stroke();
    this.text((this.l + this.r) / 2, y + 35, label, { anchor: "middle", kind: "axis" });
  };
  E.Figure.prototype.axisY = function (scale, label, o) {
    o = o || {};
    var c = this.c, self = this;
    (o.ticks || scale.ticks(5)).forEach(function (v) {
      var y = scale(v);
      if (y < self.t - 1 || y > self.b + 1) return;
      c.strokeStyle = E.css("grid"); c.lineWidth = 1; c.beginPath(); c.moveTo(self.l, y); c.lineTo(self.r, y); c.stroke();
      self.text(self.l - 8, y + 4, (o.format || E.num)(v), { anchor: "end" });
    });
    this.text(o.x || 14, (this.t + this.b) / 2, label, { anchor: "middle", kind: "axis", turn: true });
  };

  /* ---- markers, each of its own shape ---- */
  var SHAPES = {
    circle: function (c, r) { c.arc(0, 0, r, 0, 2 * Math.PI); },
    square: function (c, r) { c.rect(-r * 0.88, -r * 0.88, r * 1.76, r * 1.76); },
    up: function (c, r) { poly(c, r * 1.25, 3, -Math.PI / 2); },
    diamond: function (c, r) { poly(c, r * 1.25, 4, 0); },
    down: function (c, r) { poly(c, r * 1.25, 3, Math.PI / 2); },
    pentagon: function (c, r) { poly(c, r * 1.15, 5, -Math.PI / 2); },
    star: function (c, r) { for (var i = 0; i < 10; i++) { var q = (i % 2 ? 0.5 : 1.4) * r, a = -Math.PI / 2 + i * Math.PI / 5; c.lineTo(q * Math.cos(a), q * Math.sin(a)); } c.closePath(); },
    left: function (c, r) { poly(c, r * 1.25, 3, Math.PI); },
    hexagon: function (c, r) { poly(c, r * 1.1, 6, 0); },
    right: function (c, r) { poly(c, r * 1.25, 3, 0); },
  };
  function poly(c, r, n, turn) {
    for (var i = 0; i < n; i++) c.lineTo(r * Math.cos(turn + 2 * Math.PI * i / n), r * Math.sin(turn + 2 * Math.PI * i / n));
    c.closePath();
  }
  E.SHAPES = Object.keys(SHAPES);
  E.mark = function (c, shape, x, y, r, fill, edge) {
    c.save(); c.translate(x, y); c.beginPath(); SHAPES[shape](c, r);
    if (fill) { c.fillStyle = fill; c.fill(); }
    if (edge) { c.strokeStyle = edge; c.lineWidth = 1.3; c.stroke(); }
    c.restore();
  };
  E.line = function (c, points, colour, width, alpha) {
    c.save(); c.strokeStyle = colour; c.lineWidth = width; c.globalAlpha = alpha === undefined ? 1 : alpha;
    c.beginPath();
    for (var i = 0; i < points.length; i++) { if (i) c.lineTo(points[i][0], points[i][1]); else c.moveTo(points[i][0], points[i][1]); }
    c.stroke(); c.restore();
  };
  E.arrow = function (c, x0, y0, x1, y1, colour, width) {
    var a = Math.atan2(y1 - y0, x1 - x0), q = 4 + 2 * width;
    E.line(c, [[x0, y0], [x1 - q * 0.6 * Math.cos(a), y1 - q * 0.6 * Math.sin(a)]], colour, width);
    c.save(); c.fillStyle = colour; c.beginPath(); c.moveTo(x1, y1);
    c.lineTo(x1 - q * Math.cos(a - 0.42), y1 - q * Math.sin(a - 0.42)); c.lineTo(x1 - q * Math.cos(a + 0.42), y1 - q * Math.sin(a + 0.42));
    c.closePath(); c.fill(); c.restore();
  };
  E.rgba = function (hex, a) {
    var v = parseInt(hex.slice(1), 16);
    return "rgba(" + (v >> 16) + "," + (v >> 8 & 255) + "," + (v & 255) + "," + a + ")";
  };
})(Explorer);
