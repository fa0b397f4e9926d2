"use strict";
/* The samples at a level σ: their histogram over the exact density, or the ε-field with the samples in it. */
((E) => {
  let figs;
  let playing = 0;
  E.levelSigma = (s) => {
    const top = Flow.data.sigma.max,
      low = Flow.data.sigma.min,
      q = 1 / 5;
    return s.level >= 100
      ? low
      : Math.pow(Math.pow(top, q) + (s.level / 100) * (Math.pow(low, q) - Math.pow(top, q)), 1 / q);
  };

  function draw(s) {
    if (!figs) {
      figs = [new E.Figure("samples-a", tall, margin), new E.Figure("samples-b", tall, margin)];
    }
    const p = E.problem(),
      sigma = E.levelSigma(s),
      A = E.run("solver", E.CROWD),
      B = E.run("other", E.CROWD);
    E.slider("level", 0, 100, s.level, `σ = ${E.num(sigma, 3)}`);
    E.$("samples-b").hidden = p.d === 1;
    E.$("samples-plots").className = p.d === 1 ? "plots" : "plots two";
    E.say(
      "samples-words",
      (p.d === 1 ? E.histogram(figs[0], s, sigma, A, B) : E.fields(figs, s, sigma, A, B)) + ended(s),
    );
  }
  function tall(w) {
    return E.problem().d === 1 ? (w < 520 ? 330 : 380) : w + 10 - (w < 400 ? 0 : 8);
  }
  function margin(w) {
    return { l: w < 400 ? 44 : 54, r: 12, t: E.problem().d === 1 ? 14 : 30, b: 46 };
  }
  function ended(s) {
    const rows = E.errorRows().rows,
      say = (key) => {
        const r = s.grid !== "dragged" && (rows[key] || []).find((r) => r.n === s.n);
        return r ? `${E.method(key).label} ends ${E.num(r.error, 2)} (RMS) from the exact flow. ` : "";
      };
    return say(s.solver) + (s.other && s.other !== s.solver ? say(s.other) : "");
  }

  E.setupSamples = () => {
    const button = E.$("play");
    function stop() {
      cancelAnimationFrame(playing);
      playing = 0;
      button.textContent = "Play";
    }
    button.addEventListener("click", () => {
      if (playing) return stop();
      if (E.still()) return E.set({ level: E.state.level >= 100 ? 0 : Math.min(100, E.state.level + 10) });
      const from = E.state.level >= 100 ? 0 : E.state.level,
        t0 = performance.now();
      button.textContent = "Pause";
      playing = requestAnimationFrame(function tick(now) {
        const level = Math.min(100, from + Math.max(0, now - t0) / 60);
        E.set({ level: Math.round(level * 2) / 2 });
        if (level < 100) playing = requestAnimationFrame(tick);
        else stop();
      });
    });
  };
  E.view("samples", [...E.RUN, "level", "errors", "crowd"], draw, "samples-plots");
})(Explorer);
