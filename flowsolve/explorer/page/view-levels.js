"use strict";
/* Where the steps are: the levels of each grid on one axis, and handles that take them elsewhere. */
((E) => {
  const NS = "http://www.w3.org/2000/svg";
  let svg;
  let held = -1;
  function node(tag, attributes, parent, text) {
    const n = document.createElementNS(NS, tag);
    Object.keys(attributes).forEach((k) => {
      n.setAttribute(k, attributes[k]);
    });
    if (text !== undefined) n.textContent = text;
    parent.append(n);
    return n;
  }
  E.writeLevels = (levels) =>
    levels
      .map((v, i) =>
        i === 0 ? Flow.data.sigma.max : i === levels.length - 1 ? Flow.data.sigma.min : Number(v.toPrecision(5)),
      )
      .join(",");
  function move(k, sigma) {
    const levels = E.levels().slice(),
      room = 1.01;
    levels[k] = Math.min(levels[k - 1] / room, Math.max(levels[k + 1] * room, sigma));
    E.set({ grid: "dragged", levels: E.writeLevels(levels) });
  }
  function draw(s) {
    const box = E.$("levels-plot"),
      w = Math.max(240, box.clientWidth),
      narrow = w < 560,
      l = narrow ? 16 : 128,
      r = w - 16;
    const top = Flow.data.sigma.max,
      low = Flow.data.sigma.min,
      X = E.scale("log", top, low, l, r),
      levels = E.levels(),
      grids = Flow.data.grids;
    const gap = narrow ? 38 : 27,
      head = 62,
      h = head + grids.length * gap + 42;
    if (!svg) {
      svg = node("svg", { role: "group", "aria-label": "Noise levels of the steps" }, box);
      listen();
    }
    svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    svg.setAttribute("height", h);
    const focus =
      document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.k : undefined;
    svg.X = X;
    if (svg.count !== levels.length || svg.wide !== w || svg.seen !== s.schedule + s.n + s.solver) build();
    svg.count = levels.length;
    svg.wide = w;
    svg.seen = s.schedule + s.n + s.solver;
    svg.handles.forEach((g, k) => {
      g.setAttribute("transform", `translate(${X(levels[k]).toFixed(2)} 30)`);
      g.setAttribute("aria-valuenow", String(Number(levels[k].toPrecision(4))));
      g.setAttribute("aria-valuetext", `σ = ${E.num(levels[k], 4)}`);
    });
    svg.rows.forEach((row) => {
      row.setAttribute("class", `gridrow${row.dataset.grid === s.grid ? " on" : ""}`);
    });
    if (
      focus !== undefined &&
      svg.handles[focus] &&
      document.activeElement !== svg.handles[focus] &&
      !document.activeElement.dataset.k
    )
      svg.handles[focus].focus();
    const how = s.grid === "dragged" ? "dragged by hand" : grids.find((g) => g.key === s.grid).label,
      all = levels.map((v) => E.num(v, 3)).join(", ");
    E.say("levels-words", `${E.count(levels.length - 1, "step")}, ${how}: σ = ${all}.`);

    function build() {
      svg.textContent = "";
      X.ticks()
        .concat(narrow ? [] : [0.05, 0.2, 0.5, 2, 5, 20, 50])
        .filter((v) => v <= top * 1.001 && v >= low * 0.999)
        .forEach((v) => {
          node("line", { x1: X(v), x2: X(v), y1: 14, y2: h - 38, class: "rule" }, svg);
          node("text", { x: X(v), y: h - 22, class: "tick", "text-anchor": "middle" }, svg, E.num(v));
        });
      node(
        "text",
        { x: (l + r) / 2, y: h - 4, class: "axis", "text-anchor": "middle" },
        svg,
        "noise level σ (logarithmic)",
      );
      svg.rows = grids.map((g, i) => {
        const y = head + 22 + i * gap,
          row = node("g", { "data-grid": g.key }, svg),
          plan = Flow.plan(s.solver, g.key, s.schedule, s.n) || Flow.plan("euler", g.key, s.schedule, s.n);
        node("rect", { x: 0, y: y - gap / 2 - (narrow ? 6 : 0), width: w, height: gap, class: "hit", rx: 6 }, row);
        node(
          "text",
          {
            x: narrow ? l - 8 : l - 16,
            y: narrow ? y - 9 : y + 4,
            class: "rowname",
            "text-anchor": narrow ? "start" : "end",
          },
          row,
          g.label + (plan || !narrow ? "" : ": for the linear β schedule only"),
        );
        node("line", { x1: l, x2: r, y1: y, y2: y, class: "rail" }, row);
        if (!plan && !narrow)
          node(
            "text",
            { x: (l + r) / 2, y: y - 7, class: "tick", "text-anchor": "middle" },
            row,
            "for the linear β schedule only",
          );
        if (plan)
          plan.levels.forEach((v) => {
            node("circle", { cx: X(Math.max(low, v)), cy: y, r: 3.2 }, row);
          });
        return row;
      });
      if (!narrow)
        node("text", { x: l - 16, y: 34, class: "rowname strong", "text-anchor": "end" }, svg, "drag a level");
      node("line", { x1: l, x2: r, y1: 30, y2: 30, class: "rail strong" }, svg);
      svg.handles = levels.map((v, k) => {
        const fixed = k === 0 || k === levels.length - 1;
        const g = node(
          "g",
          fixed
            ? { class: "handle fixed" }
            : {
                class: "handle",
                role: "slider",
                tabindex: "0",
                "data-k": k,
                "aria-label": `Level ${k} of ${levels.length - 1}`,
                "aria-valuemin": low,
                "aria-valuemax": top,
                "aria-orientation": "horizontal",
              },
          svg,
        );
        node("circle", { r: 15, class: "hit" }, g);
        node("circle", { r: fixed ? 4 : 7, class: "knob" }, g);
        return g;
      });
    }
  }
  function listen() {
    const at = (event) => {
      const b = svg.getBoundingClientRect();
      return svg.X.inverse(event.clientX - b.left);
    };
    svg.addEventListener("pointerdown", (event) => {
      const g = event.target.closest(".handle"),
        row = event.target.closest(".gridrow"),
        levels = E.levels(),
        x = event.clientX - svg.getBoundingClientRect().left;
      if (g) {
        // of handles that lie on each other the nearest
        const far = (k) => Math.abs(svg.X(levels[k]) - x);

        let best = 1;
        for (let k = 1; k + 1 < levels.length; k++) if (far(k) < far(best)) best = k;
        if (levels.length < 3 || far(best) > 16) return;
        held = best;
        svg.handles[best].focus();
        svg.setPointerCapture(event.pointerId);
        event.preventDefault();
      } else if (row) E.set({ grid: row.dataset.grid });
    });
    svg.addEventListener("pointermove", (event) => {
      if (held >= 0) move(held, at(event));
    });
    ["pointerup", "pointercancel"].forEach((what) => {
      svg.addEventListener(what, () => {
        held = -1;
      });
    });
    svg.addEventListener("keydown", (event) => {
      const g = event.target.closest(".handle"),
        k = g ? Number(g.dataset.k) : -1,
        by = event.shiftKey ? 1.25 : 1.04;
      if (k < 0) return;
      const turn = {
        ArrowRight: 1 / by,
        ArrowDown: 1 / by,
        ArrowLeft: by,
        ArrowUp: by,
        PageDown: 0.7,
        PageUp: 1 / 0.7,
      }[event.key];
      if (turn) {
        move(k, E.levels()[k] * turn);
        event.preventDefault();
      }
    });
  }
  E.setupLevels = () => {
    E.$("add-level").addEventListener("click", () => {
      // into the longest step, as seen on the axis
      const v = E.levels().slice();

      let at = 1;
      for (let k = 1; k < v.length; k++) if (v[k - 1] / v[k] > v[at - 1] / v[at]) at = k;
      v.splice(at, 0, Math.sqrt(v[at - 1] * v[at]));
      if (v.length < 66) E.set({ grid: "dragged", levels: E.writeLevels(v) });
    });
    E.$("drop-level").addEventListener("click", () => {
      // the one that leaves the shortest step
      const v = E.levels().slice();

      let at = 1;
      for (let k = 1; k + 1 < v.length; k++) if (v[k - 1] / v[k + 1] < v[at - 1] / v[at + 1]) at = k;
      if (v.length > 2) {
        v.splice(at, 1);
        E.set({ grid: "dragged", levels: E.writeLevels(v) });
      }
    });
  };
  E.view("levels", ["scene", "solver", "n", "grid", "schedule", "levels"], draw, "levels-plot");
})(Explorer);
