"use strict";
/* A trained network's images: one row for each number of evaluations, and x̂₀ on the way. */
(function (E) {
  function image(src, words, many, size) {
    return E.el("img", { src: src, alt: words, class: "pixels", style: "aspect-ratio:" + many + "/1", loading: "eager", draggable: "false" });
  }
  function draw(s, changed) {
    var sprites = Flow.data.sprites, section = E.$("digits");
    section.hidden = !sprites;
    if (!sprites) return;
    E.drawDigits(s, sprites, image, changed);
  }
  E.drawDigits = function () {};
  E.view("digits", ["solver", "other", "n"], draw);
})(Explorer);
