"use strict";
/* Where the steps are: the levels of each grid on one axis, and handles that take them elsewhere. */
(function (E) {
  var NS = "http://www.w3.org/2000/svg", svg, held = -1;
  function node(tag, attributes, parent, text) {
    var n = document.createElementNS(NS, tag);
    Object.keys(attributes).forEach(function (k) { n.setAttribute(k, attributes[k]); });
    if (text !== undefined) n.textContent = text;
    parent.append(n);
    return n;
  }
  E.writeLevels = function (levels) {
    return levels.map(function (v, i) { return i === 0 ? Flow.data.sigma.max : i === levels.length - 1 ? Flow.data.sigma.min : Number(v.toPrecision(5)); }).join(",");
  };
  function move(k, sigma) {
    var levels = E.levels().slice(), room = 1.01;
    levels[k] = Math.min(levels[k - 1] / room, Math.max(levels[k + 1] * room, sigma));
    E.set({ grid: "dragged", levels: E.writeLevels(levels) });
  }
  function draw(s) {
    var box = E.$("levels-plot"), w = Math.max(240, box.clientWidth), narrow = w < 560, l = narrow ? 16 : 128, r = w - 16;
    var top = Flow.data.sigma.max, low = Flow.data.sigma.min, X = E.scale("log", top, low, l, r), levels = E.levels(), grids = Flow.data.grids;
    var gap = narrow ? 38 : 27, head = 62, h = head + grids.length * gap + 42;
    if (!svg) { svg = node("svg", { role: "group", "aria-label": "Noise levels of the steps" }, box); listen(); }
    svg.setAttribute("viewBox", "0 0 " + w + " " + h); svg.setAttribute("height", h);
    var focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.k : undefined;
    svg.X = X;
    if (svg.count !== levels.length || svg.wide !== w || svg.seen !== s.schedule + s.n + s.solver) build();
    svg.count = levels.length; svg.wide = w; svg.seen = s.schedule + s.n + s.solver;
    svg.handles.forEach(function (g, k) {
      g.setAttribute("transform", "translate(" + X(levels[k]).toFixed(2) + " 30)");
      g.setAttribute("aria-valuenow", String(Number(levels[k].toPrecision(4))));
      g.setAttribute("aria-valuetext", "σ = " + E.num(levels[k], 4));
    });
    svg.rows.forEach(function (row) { row.setAttribute("class", "gridrow" + (row.dataset.grid === s.grid ? " on" : "")); });
    if (focus !== undefined && svg.handles[focus] && document.activeElement !== svg.handles[focus] && !document.activeElement.dataset.k) svg.handles[focus].focus();
    E.say("levels-words", E.count(levels.length - 1, "step") + (s.grid === "dragged" ? ", dragged by hand" : ", " + grids.find(function (g) { return g.key === s.grid; }).label) + ": σ = " + levels.map(function (v) { return E.num(v, 3); }).join(", ") + ".");

    function build() {
      svg.textContent = "";
      X.ticks().concat(narrow ? [] : [0.05, 0.2, 0.5, 2, 5, 20, 50]).filter(function (v) { return v <= top * 1.001 && v >= low * 0.999; }).forEach(function (v) {
        node("line", { x1: X(v), x2: X(v), y1: 14, y2: h - 38, class: "rule" }, svg);
        node("text", { x: X(v), y: h - 22, class: "tick", "text-anchor": "middle" }, svg, E.num(v));
      });
      node("text", { x: (l + r) / 2, y: h - 4, class: "axis", "text-anchor": "middle" }, svg, "noise level σ (logarithmic)");
      svg.rows = grids.map(function (g, i) {
        var y = head + 22 + i * gap, row = node("g", { "data-grid": g.key }, svg), plan = Flow.plan(s.solver, g.key, s.schedule, s.n) || Flow.plan("euler", g.key, s.schedule, s.n);
        node("rect", { x: 0, y: y - gap / 2 - (narrow ? 6 : 0), width: w, height: gap, class: "hit", rx: 6 }, row);
        node("text", { x: narrow ? l - 8 : l - 16, y: narrow ? y - 9 : y + 4, class: "rowname", "text-anchor": narrow ? "start" : "end" }, row, g.label + (plan || !narrow ? "" : ": for the linear β schedule only"));
        node("line", { x1: l, x2: r, y1: y, y2: y, class: "rail" }, row);
        if (!plan && !narrow) node("text", { x: (l + r) / 2, y: y - 7, class: "tick", "text-anchor": "middle" }, row, "for the linear β schedule only");
        if (plan) plan.levels.forEach(function (v) { node("circle", { cx: X(Math.max(low, v)), cy: y, r: 3.2 }, row); });
        return row;
      });
      if (!narrow) node("text", { x: l - 16, y: 34, class: "rowname strong", "text-anchor": "end" }, svg, "drag a level");
      node("line", { x1: l, x2: r, y1: 30, y2: 30, class: "rail strong" }, svg);
      svg.handles = levels.map(function (v, k) {
        var fixed = k === 0 || k === levels.length - 1;
        var g = node("g", fixed ? { class: "handle fixed" } : { class: "handle", role: "slider", tabindex: "0", "data-k": k, "aria-label": "Level " + k + " of " + (levels.length - 1), "aria-valuemin": low, "aria-valuemax": top, "aria-orientation": "horizontal" }, svg);
        node("circle", { r: 15, class: "hit" }, g);
        node("circle", { r: fixed ? 4 : 7, class: "knob" }, g);
        return g;
      });
    }
  }
  function listen() {
    var at = function (event) { var b = svg.getBoundingClientRect(); return svg.X.inverse(event.clientX - b.left); };
    svg.addEventListener("pointerdown", function (event) {
      var g = event.target.closest(".handle"), row = event.target.closest(".gridrow"), levels = E.levels(), x = event.clientX - svg.getBoundingClientRect().left;
      if (g) {  // of handles that lie on each other the nearest
        var far = function (k) { return Math.abs(svg.X(levels[k]) - x); }, best = 1;
        for (var k = 1; k + 1 < levels.length; k++) if (far(k) < far(best)) best = k;
        if (levels.length < 3 || far(best) > 16) return;
        held = best; svg.handles[best].focus(); svg.setPointerCapture(event.pointerId); event.preventDefault();
      }
      else if (row) E.set({ grid: row.dataset.grid });
    });
    svg.addEventListener("pointermove", function (event) { if (held >= 0) move(held, at(event)); });
    ["pointerup", "pointercancel"].forEach(function (what) { svg.addEventListener(what, function () { held = -1; }); });
    svg.addEventListener("keydown", function (event) {
      var g = event.target.closest(".handle"), k = g ? Number(g.dataset.k) : -1, by = event.shiftKey ? 1.25 : 1.04;
      if (k < 0) return;
      var turn = { ArrowRight: 1 / by, ArrowDown: 1 / by, ArrowLeft: by, ArrowUp: by, PageDown: 0.7, PageUp: 1 / 0.7 }[event.key];
      if (turn) { move(k, E.levels()[k] * turn); event.preventDefault(); }
    });
  }
  E.setupLevels = function () {
    E.$("add-level").addEventListener("click", function () {  // into the longest step, as seen on the axis
      var v = E.levels().slice(), at = 1;
      for (var k = 1; k < v.length; k++) if (v[k - 1] / v[k] > v[at - 1] / v[at]) at = k;
      v.splice(at, 0, Math.sqrt(v[at - 1] * v[at]));
      if (v.length < 66) E.set({ grid: "dragged", levels: E.writeLevels(v) });
    });
    E.$("drop-level").addEventListener("click", function () {  // the one that leaves the shortest step
      var v = E.levels().slice(), at = 1;
      for (var k = 1; k + 1 < v.length; k++) if (v[k - 1] / v[k + 1] < v[at - 1] / v[at + 1]) at = k;
      if (v.length > 2) { v.splice(at, 1); E.set({ grid: "dragged", levels: E.writeLevels(v) }); }
    });
  };
  E.view("levels", ["scene", "solver", "n", "grid", "schedule", "levels"], draw, "levels-plot");
})(Explorer);
