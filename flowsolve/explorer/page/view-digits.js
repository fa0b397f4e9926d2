"use strict";
/* A trained network's images: a row for each number of evaluations, and x̂₀ on the way to the one that is chosen. */
(function (E) {
  function strip(src, words, count) {
    return '<img class="pixels" alt="' + words + '" src="' + src + '" style="aspect-ratio:' + count + '/1" draggable="false">';
  }
  function known(key, sprites) { return sprites.solvers.indexOf(key) >= 0 ? key : null; }
  function draw(s) {
    var sprites = Flow.data.sprites, section = E.$("digits");
    section.hidden = !sprites;
    if (!sprites) return;
    var key = known(s.solver, sprites) || sprites.solvers[0], other = known(s.other, sprites), nfes = sprites.nfes.filter(function (n) { return sprites.png[key + "|" + n]; });
    var nfe = nfes.reduce(function (a, b) { return Math.abs(b - s.digits) < Math.abs(a - s.digits) ? b : a; }), name = E.method(key).label;
    E.slider("digits", 0, nfes.length - 1, nfes.indexOf(nfe), nfe + " evaluations");
    function rows(key, hue) {
      var html = '<h3><i class="chip ' + hue + '"></i>' + E.method(key).label + "</h3>";
      nfes.forEach(function (n) {
        var at = key + "|" + n, src = sprites.png[at];
        if (!src) return;
        html += '<div class="sprite' + (n === nfe ? " on" : "") + '"><span>' + n + "</span>" + strip(src, E.method(key).label + ", " + n + " evaluations", sprites.count) + "<span>" + (sprites.error && sprites.error[at] !== undefined ? E.num(sprites.error[at], 2) : "") + "</span></div>";
      });
      return html + '<div class="sprite last"><span>exact</span>' + strip(sprites.exact, "the exact flow of the network", sprites.count) + "<span></span></div>";
    }
    function way(key, hue) {
      var found = sprites.way[key + "|" + nfe];
      if (!found) return "";
      var html = '<h3><i class="chip ' + hue + '"></i>x̂₀ on the way, ' + E.method(key).label + '</h3><div class="way">', n = found.sigmas.length;
      html += '<div class="levels">' + found.sigmas.map(function (v) { return "<span>σ " + E.num(v, 2) + "</span>"; }).join("") + "</div>";
      return html + '<img class="pixels" alt="The estimate of the image after each of ' + n + ' steps" src="' + found.png + '" style="aspect-ratio:' + sprites.count + "/" + n + '" draggable="false"></div>';
    }
    E.html(E.$("digits-plot"), '<div class="sheet"><p class="head"><span>NFE</span><span>images</span><span>RMS error</span></p>' + rows(key, "a") + '</div><div class="sheet">' + (other ? '<p class="head"><span>NFE</span><span>images</span><span>RMS error</span></p>' + rows(other, "b") : way(key, "a")) + "</div>");
    E.say("digits-words", (key === s.solver ? "" : E.method(s.solver).label + " was not run on the network; these are " + name + "’s. ") + name + " with " + nfe + " evaluations" +
      (sprites.error && sprites.error[key + "|" + nfe] !== undefined ? " ends " + E.num(sprites.error[key + "|" + nfe], 2) + " (RMS per pixel) from the exact flow of the network." : "."));
  }
  E.view("digits", ["solver", "other", "digits"], draw, "digits-plot");
})(Explorer);
