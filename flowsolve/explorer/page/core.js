"use strict";
/* The state of the page, the frames it draws, and what is computed once. */
const Explorer = (() => {
  const E = { views: [], timings: [], faults: [] };

  E.DEFAULT = {
    scene: "modes2",
    label: 0,
    scale: 2,
    seed: 1,
    solver: "euler",
    other: "",
    n: 4,
    grid: "uniform",
    schedule: "cosine",
    levels: "",
    coords: "t",
    axis: "linear",
    zoom: 30,
    sample: 4,
    step: 2,
    chart: "time",
    level: 84,
    eta: 60,
    digits: 10,
    theme: "",
  };
  E.state = { ...E.DEFAULT };
  E.RUN = ["scene", "label", "scale", "seed", "solver", "other", "n", "grid", "schedule", "levels"]; // what a run depends on

  /* ---- frames: set() merges, the next frame draws what depends on what changed ---- */
  let changed = {};
  let asked = 0;
  let began = 0;
  let later = 0;
  let pause = 0;
  let rest = 0;
  const late = new Set(); // views out of sight that wait for a pause
  const behind = new Set(); // and those that wait for the background
  E.set = (patch, quiet) => {
    const before = E.state;
    E.state = E.checked({ ...before, ...patch });
    Object.keys(E.DEFAULT).forEach((k) => {
      if (E.state[k] !== before[k]) changed[k] = true;
    });
    if (quiet) return;
    if (!began) began = performance.now();
    clearTimeout(later);
    later = setTimeout(() => {
      E.writeHash();
      E.announce();
    }, 250);
    E.ask();
  };
  /* For screen readers: what the figure at hand now shows, once the hand rests. */
  E.announce = () => {
    E.flush();
    const panel =
      (document.activeElement && document.activeElement.closest(".panel")) || document.querySelector(".panel");
    E.say("announce", panel.querySelector("figcaption").textContent);
  };
  /* Something has been computed in the background: figures in sight are drawn again, the others when it rests. */
  E.touch = (kind) => {
    E.views
      .filter((view) => view.on.includes(kind))
      .forEach((view) => (E.seen(view) ? E.draw(view) : behind.add(view)));
    clearTimeout(rest);
    rest = setTimeout(E.flush, 200);
  };
  E.ask = (all) => {
    if (all) changed["*"] = true;
    if (!asked) asked = requestAnimationFrame(E.frame);
  };
  E.frame = () => {
    const now = changed,
      t0 = began;
    asked = 0;
    changed = {};
    began = 0;
    E.views.forEach((view) => {
      if (!now["*"] && !view.on.some((k) => now[k])) return;
      if (!now["*"] && !E.seen(view)) late.add(view);
      else E.draw(view);
    });
    if (late.size) {
      clearTimeout(pause);
      pause = setTimeout(E.flush, 90);
    }
    if (t0) {
      // when this is called, the frame has been drawn
      requestAnimationFrame(() => E.timings.push({ what: Object.keys(now).join(" "), ms: performance.now() - t0 }));
    }
  };
  E.draw = (view) => {
    late.delete(view);
    behind.delete(view);
    try {
      view.draw(E.state);
    } catch (e) {
      E.faults.push(`${view.id}: ${e.message}`);
      console.error(e);
    }
  };
  /* Figures out of sight wait until the hand rests: the frame that one sees comes first. */
  E.flush = () => [...late, ...behind].forEach(E.draw);
  E.waiting = () => late.size + asked;
  E.seen = (view) => {
    const r = view.box ? E.$(view.box).getBoundingClientRect() : null;
    return !r || (r.bottom > 0 && r.top < innerHeight);
  };
  E.view = (id, on, draw, box) => {
    E.views.push({ id, on, draw, box });
  };

  /* ---- what depends only on some keys of the state is computed once ---- */
  E.memo = (size, f) => {
    const keys = [],
      values = new Map();
    return (...args) => {
      const key = args.join("|");
      if (!values.has(key)) {
        values.set(key, f(...args));
        keys.push(key);
        if (keys.length > size) values.delete(keys.shift());
      }
      return values.get(key);
    };
  };

  return E;
})();
