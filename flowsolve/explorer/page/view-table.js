"use strict";
/* The method as numbers: the weights of ε_1, ε_2, ... in every state it makes; a row lit by the step under the cursor. */
((E) => {
  let fig;
  function draw(s) {
    if (!fig)
      fig = new E.Figure("table-plot", height, (w) => ({
        l: w < 520 ? 52 : 96,
        r: 8,
        t: 30,
        b: 8,
      }));
    const plan = E.plan(s.solver),
      table = plan && plan.table;
    E.$("table-plot").hidden = !table;
    if (!table) {
      E.say(
        "table-words",
        plan
          ? `${E.method(s.solver).label} draws noise: its table has a column for every draw too, and is not shown.`
          : E.why(s.solver),
      );
      return;
    }
    const c = fig.begin();
    const n = plan.nfe;
    const rows = table.slice(1);
    const levels = plan.levels;
    const cell = (fig.r - fig.l) / n;
    const tall = (fig.b - fig.t) / rows.length;
    let k;
    let j;
    /* Weights fall with σ by orders, so each column is coloured by its own largest. */
    const size = Array.from({ length: n }, (_, j) => Math.max(1e-300, ...rows.map((row) => Math.abs(row[1 + j]))));
    const step = Math.min(s.step, levels.length - 1),
      from = plan.nodes[step - 1],
      to = plan.nodes[step];
    for (k = 0; k < rows.length; k++)
      for (j = 0; j < n; j++) {
        const v = rows[k][1 + j],
          x = fig.l + j * cell,
          y = fig.t + k * tall;
        if (!v) continue;
        c.fillStyle = E.rgba(E.css(v < 0 ? "a" : "b"), 0.1 + (0.62 * Math.abs(v)) / size[j]);
        c.fillRect(x + 0.5, y + 0.5, Math.max(0.7, cell - 1), Math.max(0.7, tall - 1));
        if (cell > 48 && tall > 15)
          fig.text(x + cell / 2, y + tall / 2 + 4, E.num(v, 3), { anchor: "middle", kind: "cell" });
      }
    c.strokeStyle = E.css("ink");
    c.lineWidth = 2;
    c.strokeRect(fig.l - 1, fig.t + from * tall, fig.r - fig.l + 2, (to - from) * tall);
    for (j = 0; j < n; j++)
      if (cell > 22 || j % Math.ceil(26 / cell) === 0)
        fig.text(fig.l + (j + 0.5) * cell, fig.t - 9, `ε${sub(j + 1)}`, { anchor: "middle" });
    for (k = 0; k < rows.length; k++) {
      const node = plan.nodes.indexOf(k + 1),
        sigma = k + 1 < n ? plan.stages[k + 1].sigma : levels[levels.length - 1];
      if (tall > 13 || k % Math.ceil(14 / tall) === 0)
        fig.text(
          fig.l - 8,
          fig.t + (k + 0.5) * tall + 4,
          `${fig.w < 520 ? "" : node >= 0 ? "x̄ at " : "inside, "}σ ${E.num(sigma, 2)}`,
          { anchor: "end", kind: node >= 0 ? "tick" : "tick soft" },
        );
    }
    fig.end();
    const last = rows[to - 1],
      say = [];
    for (j = 0; j < to; j++) if (last[1 + j]) say.push(`${E.num(last[1 + j], 3)} ε${sub(j + 1)}`);
    const start = `${Math.abs(last[0] - 1) < 1e-12 ? "" : `${E.num(last[0], 4)} `}x̄ of the start`,
      terms = say.length > 7 ? [...say.slice(0, 3), "…", ...say.slice(-2)] : say,
      sum = [start, ...terms].join(" + ").replace(/\+ −/g, "− ");
    E.say("table-words", `${E.method(s.solver).label}, step ${step}: x̄ at σ = ${E.num(levels[step], 3)} is ${sum}.`);
  }
  function height(w) {
    const n = E.plan(E.state.solver).nfe;
    return 38 + Math.min(w < 520 ? 300 : 380, n * (n > 20 ? 11 : 26));
  }
  const DOWN = "₀₁₂₃₄₅₆₇₈₉";
  function sub(k) {
    return String(k)
      .split("")
      .map((c) => DOWN[c])
      .join("");
  }
  E.view("table", ["solver", "n", "grid", "schedule", "levels", "step"], draw, "table-plot");
})(Explorer);
