"use strict";
/* The controls: every element with data-key is bound to that key of the state, both ways. */
((E) => {
  function options(select, list) {
    const groups = {};
    list.forEach((o) => {
      let home = select;
      if (o.family) {
        home = groups[o.family] = groups[o.family] || select.appendChild(E.el("optgroup", { label: o.family }));
      }
      home.append(E.el("option", { value: o.key, text: o.label || o.title }));
    });
  }
  E.slider = (id, min, max, value, words) => {
    const input = E.$(`in-${id}`),
      out = E.$(`out-${id}`);
    if (input.min !== String(min)) input.min = min;
    if (input.max !== String(max)) input.max = max;
    if (Number(input.value) !== value) input.value = value;
    if (input.getAttribute("aria-valuetext") !== words) input.setAttribute("aria-valuetext", words);
    if (out && out.textContent !== words) out.textContent = words;
    input.style.setProperty("--full", max > min ? `${((value - min) / (max - min)) * 100}%` : "0%");
  };

  E.setupControls = () => {
    const data = Flow.data;
    options(
      E.$("in-scene"),
      data.scenes.map((s) => ({
        key: s.name,
        label: s.title,
      })),
    );
    options(E.$("in-solver"), data.methods);
    E.$("in-other").append(E.el("option", { value: "", text: "nothing" }));
    options(E.$("in-other"), data.methods);
    options(E.$("in-grid"), data.grids);
    E.$("in-grid").append(E.el("option", { value: "dragged", text: "dragged by hand" }));
    options(E.$("in-schedule"), data.schedules);
    document.querySelectorAll("[data-key]").forEach((node) => {
      const key = node.dataset.key,
        numeric = typeof E.DEFAULT[key] === "number";
      node.addEventListener(node.type === "range" ? "input" : "change", () => {
        let value = numeric ? Number(node.value) : node.value;
        const patch = {};
        if (key === "n") {
          value = data.steps[value];
          if (E.state.grid === "dragged") patch.grid = E.DEFAULT.grid;
        }
        if (key === "grid" && value === "dragged") patch.levels = E.writeLevels(E.levels());
        if (key === "scale") value = value / 4;
        if (key === "digits") value = data.sprites.nfes[value];
        patch[key] = value;
        E.set(patch);
      });
    });
    document.querySelectorAll("[data-choose]").forEach((node) => {
      // a row of buttons of which one is on
      const at = node.dataset.choose.split("=");
      node.addEventListener("click", () => {
        const patch = {};
        patch[at[0]] = at[1];
        E.set(patch);
      });
    });
    document.querySelectorAll("[data-to]").forEach((a) => {
      // an example: its state, its sentence, its place
      a.addEventListener("click", (event) => {
        event.preventDefault();
        E.set(Object.assign(E.fromHash(a.getAttribute("href")), { theme: E.state.theme }));
        const title = E.$(a.dataset.to),
          words = E.$("try-say");
        words.hidden = false;
        words.textContent = a.dataset.say;
        title.after(words);
        title.scrollIntoView({ behavior: E.still() ? "auto" : "smooth", block: "start" });
      });
    });
    E.$("new-noise").addEventListener("click", () => {
      E.set({ seed: (E.state.seed % 999) + 1 });
    });
    E.$("reset").addEventListener("click", () => {
      E.set(Object.assign({}, E.DEFAULT, { theme: E.state.theme }));
    });
    E.$("theme").addEventListener("click", () => {
      E.set({ theme: E.dark() ? "light" : "dark" });
      E.paint();
    });
    E.$("copy").addEventListener("click", () => {
      E.writeHash();
      const done = (words) => {
        E.say("copied", words);
        setTimeout(() => {
          E.say("copied", "");
        }, 2500);
      };
      const plain = () => {
        // a page opened from a file may not use the clipboard: select the text instead
        const area = E.el("textarea", { "aria-hidden": "true", class: "offscreen" });
        area.value = location.href;
        document.body.append(area);
        area.select();
        const fine = document.execCommand("copy");
        area.remove();
        E.$("copy").focus();
        done(fine ? "Link copied" : "The link is in the address bar");
      };
      if (navigator.clipboard && window.isSecureContext)
        navigator.clipboard.writeText(location.href).then(() => {
          done("Link copied");
        }, plain);
      else plain();
    });
  };

  function draw(s) {
    ["scene", "solver", "other", "grid", "schedule", "axis"].forEach((k) => {
      if (E.$(`in-${k}`).value !== s[k]) E.$(`in-${k}`).value = s[k];
    });
    document.querySelectorAll("[data-choose]").forEach((node) => {
      const at = node.dataset.choose.split("=");
      node.setAttribute("aria-pressed", String(String(s[at[0]]) === at[1]));
    });
    const ns = Flow.data.steps,
      at = ns.indexOf(s.n),
      plan = E.plan(s.solver),
      steps = E.levels().length - 1;
    E.slider(
      "n",
      0,
      ns.length - 1,
      at < 0 ? 0 : at,
      E.count(steps, "step") + (plan ? `, ${E.count(plan.nfe, "evaluation")}` : ""),
    );
    E.slider("zoom", 0, 100, s.zoom, `σ ≤ ${E.num(E.zoomed(s), 2)}`);
    E.$("only-bar").hidden = s.coords !== "bar";
    const scene = E.scene(),
      guidance = E.$("guidance");
    guidance.hidden = !scene.labels;
    if (scene.labels) {
      const select = E.$("in-label");
      if (select.options.length !== scene.labels.length) {
        select.textContent = "";
        scene.labels.forEach((name, i) => {
          select.append(E.el("option", { value: String(i), text: `class ${i + 1}` }));
        });
      }
      select.value = String(Math.min(s.label, scene.labels.length - 1));
      E.slider("scale", 0, 32, Math.round(s.scale * 4), `w = ${E.num(s.scale)}`);
    }
    const m = E.method(s.solver),
      o = E.method(s.other);
    const about = (m) => {
      if (!m) return "";
      const own = m.ownGrid ? " It chooses its levels itself." : "";
      return `${E.pretty(m.formula || m.name)}${own} <b>Order&nbsp;${m.order}.</b>`;
    };
    E.html(E.$("about-solver"), about(m));
    E.html(E.$("about-other"), about(o));
    E.say("state-line", `${scene.title} · ${m.label}${o ? ` and ${o.label}` : ""} · ${E.count(steps, "step")}`);
    E.$("theme").textContent = E.dark() ? "Light" : "Dark";
  }
  E.view("controls", Object.keys(E.DEFAULT), draw);
})(Explorer);
