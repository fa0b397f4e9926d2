"use strict";
/* A trained network's images: a row for each number of evaluations, and x̂₀ on the way. */
((E) => {
  function label(key) {
    return E.method(key).label;
  }
  function row(first, src, words, last, kind) {
    return `<div class="sprite ${kind || ""}"><span>${first}</span>${src ? `<img class="pixels" alt="${words}" src="${src}" draggable="false">` : `<span>${words}</span>`}<span>${last}</span></div>`;
  }
  function title(key, words) {
    return `<h3><i class="chip ${key === E.state.other && key !== E.state.solver ? "b" : "a"}"></i>${label(key)}${words}</h3>`;
  }
  function byBudget(sprites, key, nfe) {
    return `<div class="sheet">${title(key, "")}${row("NFE", "", "images at the end", "RMS", "head")}${sprites.nfes
      .map((n) => {
        const at = `${key}|${n}`;
        return sprites.png[at]
          ? row(
              n,
              sprites.png[at],
              `${label(key)}, ${n} evaluations`,
              E.num(sprites.error[at], 2),
              n === nfe ? "on" : "",
            )
          : "";
      })
      .join("")}${row("exact", sprites.exact, "the exact flow of the network", "")}</div>`;
  }
  function onTheWay(sprites, key, nfe) {
    const budgets = sprites.nfes.filter((n) => sprites.way[`${key}|${n}`]);
    if (!budgets.length) return "";
    const n = budgets.reduce((a, b) => (Math.abs(b - nfe) < Math.abs(a - nfe) ? b : a)),
      found = sprites.way[`${key}|${n}`],
      k = found.sigmas.length;
    return `<div class="sheet">${title(key, `, ${n} evaluations: x̂₀ on the way`)}${row("σ", "", "estimate of the image", "", "head")}${found.sigmas.map((sigma, i) => `<div class="sprite"><span>${E.num(sigma, 2)}</span><div class="pixels cut" role="img" aria-label="x̂₀ at σ = ${E.num(sigma, 2)}" style="aspect-ratio:${sprites.count}/1;background-image:url(${found.png});background-size:100% ${100 * k}%;background-position:0 ${k > 1 ? (100 * i) / (k - 1) : 0}%"></div><span></span></div>`).join("")}${row("end", sprites.png[`${key}|${n}`], "the images at the end", "")}</div>`;
  }
  function draw(s) {
    const sprites = Flow.data.sprites;
    E.$("digits").hidden = !sprites;
    if (!sprites) return;
    const has = (key) => sprites.solvers.includes(key),
      key = has(s.solver) ? s.solver : sprites.solvers[0];
    const nfe = sprites.nfes.reduce((a, b) => (Math.abs(b - s.digits) < Math.abs(a - s.digits) ? b : a)),
      error = sprites.error[`${key}|${nfe}`];
    E.slider("digits", 0, sprites.nfes.length - 1, sprites.nfes.indexOf(nfe), String(nfe));
    E.html(
      E.$("digits-plot"),
      byBudget(sprites, key, nfe) +
        (s.other && has(s.other) && s.other !== key ? byBudget(sprites, s.other, nfe) : onTheWay(sprites, key, nfe)),
    );
    E.say(
      "digits-words",
      `${
        (key === s.solver ? "" : `${label(s.solver)} was not run on the network, so this is ${label(key)}. `) +
        (error === undefined
          ? `${label(key)} has no plan with ${nfe} evaluations. `
          : `${label(key)} with ${nfe} evaluations ends ${E.num(error, 2)} (RMS of the pixels, which go from −1 to 1) from the exact flow of the network. `)
      }The same noise in every row.`,
    );
  }
  E.view("digits", ["solver", "other", "digits"], draw, "digits-plot");
})(Explorer);
