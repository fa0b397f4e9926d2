"use strict";
/* A figure: a canvas for marks, an SVG above it for words, and its axes. */
((E) => {
  E.Figure = function (id, height, margin) {
    const box = E.$(id),
      canvas = E.el("canvas", { "aria-hidden": "true" });
    box.append(canvas);
    box.insertAdjacentHTML("beforeend", '<svg aria-hidden="true" focusable="false"></svg>');
    this.box = box;
    this.canvas = canvas;
    this.svg = box.querySelector("svg");
    this.c = canvas.getContext("2d");
    this.height = height;
    this.m = margin;
    this.words = [];
    let width = 0;
    new ResizeObserver(() => {
      if (Math.abs(box.clientWidth - width) > 0.5) {
        width = box.clientWidth;
        E.ask(true);
      }
    }).observe(box);
  };
  E.ratio = () => (E.printing ? 3 : window.devicePixelRatio || 1);
  E.Figure.prototype.begin = function () {
    const w = Math.max(200, this.box.clientWidth),
      h = typeof this.height === "function" ? this.height(w) : this.height;
    const r = E.ratio(),
      cw = Math.round(w * r),
      ch = Math.round(h * r);
    this.m0 = typeof this.m === "function" ? this.m(w) : this.m;
    if (this.canvas.width !== cw || this.canvas.height !== ch) {
      this.canvas.width = cw;
      this.canvas.height = ch;
      this.canvas.style.height = `${h}px`;
      this.box.style.height = `${h}px`;
      this.svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    }
    this.c.setTransform(r, 0, 0, r, 0, 0);
    this.c.clearRect(0, 0, w, h);
    this.c.lineJoin = "round";
    this.c.lineCap = "round";
    this.c.globalAlpha = 1;
    this.w = w;
    this.h = h;
    this.words = [];
    this.l = this.m0.l;
    this.t = this.m0.t;
    this.r = w - this.m0.r;
    this.b = h - this.m0.b;
    return this.c;
  };
  E.Figure.prototype.text = function (x, y, words, o = {}) {
    const at = `x="${x.toFixed(1)}" y="${y.toFixed(1)}"`,
      turn = o.turn ? ` transform="rotate(-90 ${x.toFixed(1)} ${y.toFixed(1)})"` : "",
      fill = o.fill ? ` style="fill:${o.fill}"` : "";
    this.words.push(
      `<text ${at} class="${o.kind || "tick"}" text-anchor="${o.anchor || "start"}"${turn}${fill}>${words}</text>`,
    );
  };
  E.Figure.prototype.end = function () {
    E.html(this.svg, this.words.join(""));
  };
  E.Figure.prototype.clip = function (x0 = this.l, y0 = this.t, x1 = this.r, y1 = this.b) {
    this.c.save();
    this.c.beginPath();
    this.c.rect(x0, y0, x1 - x0, y1 - y0);
    this.c.clip();
  };

  E.Figure.prototype.axisX = function (scale, label, o = {}) {
    const c = this.c,
      y = this.b;
    (o.ticks || scale.ticks(this.w < 300 ? 4 : 6)).forEach((v) => {
      const x = scale(v);
      if (x < this.l - 1 || x > this.r + 1) return;
      E.segment(c, x, this.t, x, y, E.css("grid"), 1);
      this.text(x, y + 16, (o.format || E.num)(v), { anchor: "middle" });
    });
    E.segment(c, this.l, y + 0.5, this.r, y + 0.5, E.css("axis"), 1);
    this.text((this.l + this.r) / 2, y + 35, label, { anchor: "middle", kind: "axis" });
  };
  E.Figure.prototype.axisY = function (scale, label, o = {}) {
    const c = this.c;
    (o.ticks || scale.ticks(5)).forEach((v) => {
      const y = scale(v);
      if (y < this.t - 1 || y > this.b + 1) return;
      E.segment(c, this.l, y, this.r, y, E.css("grid"), 1);
      this.text(this.l - 8, y + 4, (o.format || E.num)(v), { anchor: "end" });
    });
    this.text(o.x || 14, (this.t + this.b) / 2, label, { anchor: "middle", kind: "axis", turn: true });
  };
})(Explorer);
