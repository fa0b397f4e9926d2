"use strict";
/* How each method looks, and the list of methods beside the error figure. */
((E) => {
  const HUES = ["third", "fourth", "fifth", "sixth", "seventh", "eighth"];

  /* each family a colour, each method of it a shape; the two that are chosen are blue and vermilion everywhere */
  E.look = (key) => {
    const families = [],
      m = E.method(key);
    Flow.data.methods.forEach((o) => {
      if (!families.includes(o.family)) families.push(o.family);
    });
    const place = Flow.data.methods.filter((o) => o.family === m.family).indexOf(m),
      s = E.state;
    return {
      hue: key === s.solver ? "a" : key === s.other ? "b" : HUES[families.indexOf(m.family) % HUES.length],
      shape: E.SHAPES[(place + families.indexOf(m.family)) % E.SHAPES.length],
    };
  };

  /* A button for each method; `point` is told which the pointer is on. */
  E.legend = (s, under, point) => {
    const box = E.$("errors-legend"),
      seen = [s.solver, s.other, E.dark()].join();
    if (box.seen === seen) return;
    box.seen = seen;
    if (!box.children.length)
      Flow.data.methods.filter((m) => !m.stochastic).forEach((m) => box.append(entry(m, point)));
    box.querySelectorAll("button").forEach((b) => {
      const k = b.dataset.method,
        look = E.look(k),
        c = b.firstChild.getContext("2d");
      b.setAttribute("aria-pressed", String(k === s.solver || k === s.other));
      c.clearRect(0, 0, 32, 32);
      E.segment(c, 1, 16, 31, 16, E.css(look.hue), 3);
      E.mark(c, look.shape, 16, 16, 7, E.css(look.hue));
    });
  };
  function entry(m, point) {
    const sign = E.el("canvas", { width: 32, height: 32, "aria-hidden": "true" }),
      button = E.el("button", { type: "button", "data-method": m.key }, [sign, E.el("span", { text: m.label })]);
    button.addEventListener("click", () => E.set({ solver: m.key }));
    button.addEventListener("pointerenter", () => point(m.key));
    button.addEventListener("pointerleave", () => point(null));
    return E.el("li", {}, [button]);
  }
})(Explorer);
