"use strict";
/* A trained network's images: a row for each number of evaluations, and x̂₀ on the way. */
((E) => {
  const label = (key) => E.method(key).label;
  const closest = (list, n) => list.reduce((a, b) => (Math.abs(b - n) < Math.abs(a - n) ? b : a));
  const image = (src, words) => `<img class="pixels" alt="${words}" src="${src}" draggable="false">`;
  const row = (first, middle, last, kind) =>
    `<div class="sprite ${kind || ""}"><span>${first}</span>${middle}<span>${last || ""}</span></div>`;
  const title = (key, words) => {
    const chip = key === E.state.other && key !== E.state.solver ? "b" : "a";
    return `<h3><i class="chip ${chip}"></i>${label(key)}${words}</h3>`;
  };

  function byBudget(sprites, key, nfe) {
    const budgets = sprites.nfes.filter((n) => sprites.png[`${key}|${n}`]);
    const rows = budgets.map((n) => {
      const at = `${key}|${n}`;
      const picture = image(sprites.png[at], `${label(key)}, ${n} evaluations`);
      return row(n, picture, E.num(sprites.error[at], 2), n === nfe ? "on" : "");
    });
    const head = row("NFE", "<span>images at the end</span>", "RMS", "head"),
      exact = row("exact", image(sprites.exact, "the exact flow of the network"));
    return `<div class="sheet">${title(key, "")}${head}${rows.join("")}${exact}</div>`;
  }
  /* One picture holds all rows; each element shows its own. */
  function cut(sprites, found, i) {
    const k = found.sigmas.length,
      style = [
        `aspect-ratio:${sprites.count}/1`,
        `background-image:url(${found.png})`,
        `background-size:100% ${100 * k}%`,
        `background-position:0 ${k > 1 ? (100 * i) / (k - 1) : 0}%`,
      ];
    const words = `x̂₀ at σ = ${E.num(found.sigmas[i], 2)}`;
    return `<div class="pixels cut" role="img" aria-label="${words}" style="${style.join(";")}"></div>`;
  }
  function onTheWay(sprites, key, nfe) {
    const budgets = sprites.nfes.filter((n) => sprites.way[`${key}|${n}`]);
    if (!budgets.length) return "";
    const n = closest(budgets, nfe),
      found = sprites.way[`${key}|${n}`],
      rows = found.sigmas.map((sigma, i) => row(E.num(sigma, 2), cut(sprites, found, i)));
    const head = row("σ", "<span>estimate of the image</span>", "", "head"),
      end = row("end", image(sprites.png[`${key}|${n}`], "the images at the end"));
    return `<div class="sheet">${title(key, `, ${n} evaluations: x̂₀ on the way`)}${head}${rows.join("")}${end}</div>`;
  }

  function draw(s) {
    const sprites = Flow.data.sprites;
    E.$("digits").hidden = !sprites;
    if (!sprites) return;
    E.$("digits-plot").style.setProperty("--count", sprites.count);
    const has = (key) => sprites.solvers.includes(key),
      key = has(s.solver) ? s.solver : sprites.solvers[0];
    const nfe = closest(sprites.nfes, s.digits),
      error = sprites.error[`${key}|${nfe}`];
    E.slider("digits", 0, sprites.nfes.length - 1, sprites.nfes.indexOf(nfe), String(nfe));
    E.html(
      E.$("digits-plot"),
      byBudget(sprites, key, nfe) +
        (s.other && has(s.other) && s.other !== key ? byBudget(sprites, s.other, nfe) : onTheWay(sprites, key, nfe)),
    );
    const grid = Flow.data.grids.find((g) => g.key === sprites.grids[key]);
    const other = key === s.solver ? "" : `${label(s.solver)} was not run on the network, so this is ${label(key)}. `;
    const ends =
      error === undefined
        ? `has no plan with ${nfe} evaluations`
        : `with ${nfe} evaluations ends ${E.num(error, 2)} (RMS of the pixels, which go from −1 to 1) from the exact flow`;
    E.say(
      "digits-words",
      `${other}${label(key)}${grid ? ` on the grid “${grid.label}”` : ""} ${ends}. The same noise in every row.`,
    );
  }
  E.view("digits", ["solver", "other", "digits"], draw, "digits-plot");
})(Explorer);
