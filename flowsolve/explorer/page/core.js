"use strict";
/* The state of the page, its address, the frames it draws, and small helpers for the DOM. */
var Explorer = (function () {
  var E = { views: [], timings: [], faults: [] };

  E.DEFAULT = {
    scene: "modes2", label: 0, scale: 2, seed: 1,
    solver: "euler", other: "", n: 4, grid: "uniform", schedule: "cosine", levels: "",
    coords: "t", axis: "linear", zoom: 30, sample: 4, step: 2,
    chart: "time", level: 84, eta: 60, digits: 10, theme: "",
  };
  E.state = Object.assign({}, E.DEFAULT);

  /* ---- the address: what differs from the default, in the order of DEFAULT ---- */
  E.toHash = function (state) {
    return Object.keys(E.DEFAULT)
      .filter(function (k) { return state[k] !== E.DEFAULT[k]; })
      .map(function (k) { return k + "=" + encodeURIComponent(state[k]); })
      .join("&");
  };
  E.fromHash = function (text) {
    var state = Object.assign({}, E.DEFAULT);
    text.replace(/^#/, "").split("&").forEach(function (part) {
      var at = part.indexOf("="), key = part.slice(0, at), value;
      if (at < 1 || !Object.prototype.hasOwnProperty.call(E.DEFAULT, key)) return;
      try { value = decodeURIComponent(part.slice(at + 1)); } catch (e) { return; }
      if (typeof E.DEFAULT[key] === "number") {
        if (value !== "" && isFinite(value)) state[key] = Number(value);
      } else state[key] = value;
    });
    return E.checked(state);
  };
  /* What a hand-written address may say wrongly becomes the nearest that exists. */
  E.checked = function (s) {
    var data = Flow.data, among = function (key, list, no) {
      var keys = list.map(function (o) { return o.key || o.name; });
      if (keys.indexOf(s[key]) < 0 && s[key] !== no) s[key] = keys.indexOf(E.DEFAULT[key]) < 0 ? keys[0] : E.DEFAULT[key];
    };
    var between = function (key, low, high, whole) {
      var v = s[key];
      s[key] = isFinite(v) ? Math.min(high, Math.max(low, whole ? Math.round(v) : v)) : E.DEFAULT[key];
    };
    between("label", 0, 99, true); between("scale", 0, 8); between("seed", 1, 999, true);
    between("sample", 0, E.LINES - 1, true); between("step", 1, 64, true);
    ["zoom", "level", "eta"].forEach(function (key) { between(key, 0, 100); });
    [["coords", "t bar"], ["axis", "linear sqrt log"], ["chart", "noise data flow velocity time"], ["theme", "light dark"]].forEach(function (one) {
      if (one[1].split(" ").indexOf(s[one[0]]) < 0) s[one[0]] = E.DEFAULT[one[0]];
    });
    among("scene", data.scenes);
    among("solver", data.methods);
    among("other", data.methods, "");
    among("schedule", data.schedules);
    among("grid", data.grids.concat({ key: "dragged" }));
    if (s.grid === "dragged" ? !E.readLevels(s.levels) : data.grids.find(function (g) { return g.key === s.grid; }).schedules.indexOf(s.schedule) < 0) s.grid = E.DEFAULT.grid;
    if (s.grid !== "dragged") s.levels = "";
    s.n = s.grid === "dragged" ? E.readLevels(s.levels).length - 1
      : data.steps.reduce(function (a, b) { return Math.abs(b - s.n) < Math.abs(a - s.n) ? b : a; });
    return s;
  };
  E.readLevels = function (text) {
    var v = (text || "").split(",").map(Number), top = Flow.data.sigma.max, low = Flow.data.sigma.min;
    var fine = v.length > 1 && v.length < 66 && v.every(function (x, i) { return x > 0 && (!i || x < v[i - 1]); });
    return fine && Math.abs(v[0] / top - 1) < 1e-9 && Math.abs(v[v.length - 1] / low - 1) < 1e-9 ? v : null;
  };

  /* ---- frames: set() merges, the next frame draws what depends on what changed ---- */
  var changed = {}, asked = 0, began = 0, later = 0, late = new Set(), pause = 0;
  E.set = function (patch, quiet) {
    var before = E.state;
    E.state = E.checked(Object.assign({}, before, patch));
    Object.keys(E.DEFAULT).forEach(function (k) { if (E.state[k] !== before[k]) changed[k] = true; });
    if (quiet) return;
    if (!began) began = performance.now();
    clearTimeout(later);
    later = setTimeout(function () { E.writeHash(); E.announce(); }, 250);
    E.ask();
  };
  E.writeHash = function () {
    var hash = E.toHash(E.state);
    history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
  };
  /* For screen readers: what the figure at hand now shows, once the hand rests. */
  E.announce = function () {
    E.flush();
    var panel = document.activeElement && document.activeElement.closest(".panel") || document.querySelector(".panel");
    E.say("announce", panel.querySelector("figcaption").textContent);
  };
  E.touch = function (key) { changed[key] = true; E.ask(); };
  E.ask = function (all) {
    if (all) changed["*"] = true;
    if (!asked) asked = requestAnimationFrame(E.frame);
  };
  E.frame = function () {
    var now = changed, t0 = began;
    asked = 0; changed = {}; began = 0;
    E.views.forEach(function (view) {
      if (!now["*"] && !view.on.some(function (k) { return now[k]; })) return;
      if (t0 && !E.seen(view)) late.add(view); else E.draw(view);
    });
    if (late.size) { clearTimeout(pause); pause = setTimeout(E.flush, 90); }
    if (t0) {
      requestAnimationFrame(function () {  // the frame before this call has been drawn
        E.timings.push({ what: Object.keys(now).join(" "), ms: performance.now() - t0 });
      });
    }
  };
  E.draw = function (view) {
    late.delete(view);
    try { view.draw(E.state); } catch (e) { E.faults.push(view.id + ": " + e.message); console.error(e); }
  };
  /* Figures out of sight wait until the hand rests: the frame that one sees comes first. */
  E.flush = function () { late.forEach(E.draw); };
  E.waiting = function () { return late.size + asked; };
  E.seen = function (view) {
    var r = view.box ? E.$(view.box).getBoundingClientRect() : null;
    return !r || (r.bottom > 0 && r.top < innerHeight);
  };
  E.view = function (id, on, draw, box) { E.views.push({ id: id, on: on, draw: draw, box: box }); };

  /* ---- what depends only on some keys of the state is computed once ---- */
  E.memo = function (size, f) {
    var keys = [], values = new Map();
    return function () {
      var key = Array.prototype.join.call(arguments, "|");
      if (!values.has(key)) {
        values.set(key, f.apply(null, arguments));
        keys.push(key);
        if (keys.length > size) values.delete(keys.shift());
      }
      return values.get(key);
    };
  };

  /* ---- the DOM ---- */
  E.$ = function (id) { return document.getElementById(id); };
  E.el = function (tag, attributes, children) {
    var node = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (k) {
      if (k === "text") node.textContent = attributes[k];
      else if (k === "html") node.innerHTML = attributes[k];
      else if (k.slice(0, 2) === "on") node.addEventListener(k.slice(2), attributes[k]);
      else if (attributes[k] !== null && attributes[k] !== undefined) node.setAttribute(k, attributes[k]);
    });
    (children || []).forEach(function (c) { node.append(c); });
    return node;
  };
  E.say = function (id, text) { var node = E.$(id); if (node.textContent !== text) node.textContent = text; };
  E.html = function (node, html) { if (node.lastHtml !== html) { node.innerHTML = html; node.lastHtml = html; } };

  /* ---- numbers as one writes them ---- */
  E.minus = function (text) { return text.replace(/-/g, "−"); };
  E.num = function (v, digits) {
    if (v === 0) return "0";
    var size = Math.abs(v), d = digits || 3;
    if (!isFinite(v)) return isNaN(v) ? "not a number" : "∞";
    if (size < 1e-3 || size >= 1e5) return E.power(v, 2);
    return E.minus(size >= 1000 ? v.toFixed(0) : String(Number(v.toPrecision(d))));
  };
  var UP = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  E.up = function (k) { return (k < 0 ? "⁻" : "") + String(Math.abs(k)).split("").map(function (c) { return UP[c]; }).join(""); };
  E.power = function (v, digits) {
    var parts = v.toExponential((digits || 2) - 1).split("e");
    return E.minus(parts[0]) + "·10" + E.up(Number(parts[1]));
  };
  E.pretty = function (formula) {  // x_t with its subscript
    return E.minus(formula.replace(/\.$/, "").replace(/&/g, "&amp;").replace(/</g, "&lt;")).replace(/_(\w)/g, "<sub>$1</sub>");
  };
  E.count = function (n, one) { return n + " " + one + (n === 1 ? "" : "s"); };

  E.still = function () { return matchMedia("(prefers-reduced-motion: reduce)").matches; };
  E.css = function (name) { return E.colours[name] || (E.colours[name] = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim()); };
  E.colours = {};
  E.dark = function () { return E.state.theme ? E.state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; };
  E.paint = function () {
    document.documentElement.dataset.theme = E.dark() ? "dark" : "light";
    E.colours = {};
    E.ask(true);
  };
  return E;
})();
