/* What the tests ask of the page. */
window.Probe = {
  visible: (selector) => [...document.querySelectorAll(selector)].filter((n) => n.checkVisibility()),
  /* figures on which nothing is drawn */
  blank: () => Probe.visible(".plot canvas").filter((c) => {
    const empty = Object.assign(document.createElement("canvas"), { width: c.width, height: c.height });
    return c.toDataURL() === empty.toDataURL();
  }).length,
  /* figures that do not say in words what they show */
  silent: () => Probe.visible("[role=img][aria-labelledby]").filter((f) => {
    const words = document.getElementById(f.getAttribute("aria-labelledby"));
    return words.textContent.trim().length < 40;
  }).map((f) => f.id),
  nameless: () => Probe.visible("button, select, input, [role=slider], [role=img], img").filter((n) => !(
    n.textContent.trim() || n.closest("label") || n.getAttribute("aria-label") || n.getAttribute("aria-labelledby") || n.alt
  )).map((n) => n.outerHTML.slice(0, 80)),
  numbered: () => Probe.visible("button, select, input, a[href], [role=slider]").map((n, i) => (n.dataset.no = i, String(i))),
  /* what stands out of the screen, but for formulas, which scroll by themselves */
  wide: () => Probe.visible("body *").filter((n) => !n.closest(".formula, .skip, .offscreen")).filter((n) => {
    const r = n.getBoundingClientRect();
    return r.right > innerWidth + 0.5 || r.left < -0.5;
  }).map((n) => `${n.tagName}.${n.getAttribute("class")} ${n.textContent.slice(0, 30)}`),
  /* how far the middle of a step lies from the line between its ends, in pixels */
  bent: (step, sample) => {
    const [a, b, c] = Explorer.lineOnScreen(step, sample), x = c[0] - a[0], y = c[1] - a[1];
    return Math.abs((b[0] - a[0]) * y - (b[1] - a[1]) * x) / Math.hypot(x, y);
  },
  /* where a step ends, from the middle of the figure */
  place: (step, sample) => {
    const p = Explorer.lineOnScreen(step, sample)[2], box = document.getElementById("trajectories-plot").getBoundingClientRect();
    return [Math.round(p[0] - box.width / 2), Math.round(p[1] - box.height / 2)];
  },
  /* the ends of plans, with a noise that Python makes too */
  replays: (scene, x, keys) => {
    const problem = Flow.problem(scene);
    const noise = (number, count, s, t, again) => new Float64Array(count).fill(Math.sin(s + 2 * t + again));
    return keys.map((key) => Array.from(Flow.replay(Flow.plan(...key), problem, Float64Array.from(x), noise).x));
  },
  /* every method on this scene and grid: figures that say nothing */
  tour: (scene, chosen) => Flow.data.methods.flatMap(({ key }) => {
    Explorer.set({ ...Explorer.DEFAULT, scene, solver: key, other: "heun", ...chosen }, true);
    Explorer.ask(true);
    Explorer.frame();
    return Probe.visible("figcaption").filter((f) => f.textContent.length < 30).map((f) => `${key} ${f.id}`);
  }),
  ends: (key) => Array.from(Explorer.replay(Explorer.plan(key), Explorer.start(17, true), 1).x),
  power: () => Explorer.run("solver", Explorer.CROWD).x.reduce((sum, v) => sum + v * v, 0) / Explorer.CROWD,
};
