"use strict";
/* The start: read the data, read the address, and draw. */
((E) => {
  function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }
  function links() {
    const base = document.documentElement.dataset.docs;
    document.querySelectorAll("a[data-page]").forEach((a) => {
      if (base) a.href = base.replace(/\/?$/, "/") + a.dataset.page;
      else a.hidden = true;
      a.target = "_top"; // where the page stands in a frame of another
    });
  }
  function start(data) {
    Flow.load(data);
    E.setupControls();
    E.setupTrajectories();
    E.setupLevels();
    E.setupSamples();
    E.setupErrors();
    E.state = E.fromHash(location.hash);
    addEventListener("hashchange", (event) => {
      const next = E.fromHash(new URL(event.newURL).hash);
      if (E.toHash(next) !== E.toHash(E.state)) {
        E.set(next);
        E.paint();
      }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", E.paint);
    addEventListener("beforeprint", () => {
      E.printing = true;
      document.documentElement.dataset.theme = "light";
      E.colours = {};
      E.ask(true);
      E.frame();
      E.flush();
    });
    addEventListener("afterprint", () => {
      E.printing = false;
      E.paint();
    });
    const narrow = matchMedia("(max-width: 1000px)"),
      fold = () => {
        E.$("controls").open = !narrow.matches;
      };
    narrow.addEventListener("change", fold);
    fold();
    E.paint();
    document.documentElement.dataset.ready = "yes";
  }
  links();
  Promise.resolve(E.$("data").textContent.trim())
    .then(unpacked)
    .then(start)
    .catch((error) => {
      E.faults.push(error.message);
      E.$("broken").hidden = false;
      E.say("broken", `This page could not start: ${error.message}. It needs a browser of 2023 or later.`);
      console.error(error);
    });
})(Explorer);
