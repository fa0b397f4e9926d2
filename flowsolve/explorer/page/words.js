"use strict";
/* Small helpers: elements, numbers as one writes them, colours of the theme. */
((E) => {
  E.$ = (id) => document.getElementById(id);
  E.el = (tag, attributes, children) => {
    const node = document.createElement(tag);
    Object.keys(attributes || {}).forEach((k) => {
      if (k === "text") node.textContent = attributes[k];
      else node.setAttribute(k, attributes[k]);
    });
    (children || []).forEach((c) => {
      node.append(c);
    });
    return node;
  };
  E.say = (id, text) => {
    const node = E.$(id);
    if (node.textContent !== text) node.textContent = text;
  };
  E.html = (node, html) => {
    if (node.lastHtml !== html) {
      node.innerHTML = html;
      node.lastHtml = html;
    }
  };

  /* ---- numbers as one writes them ---- */
  E.minus = (text) => text.replace(/-/g, "−");
  E.num = (v, digits) => {
    if (v === 0) return "0";
    const size = Math.abs(v),
      d = digits || 3;
    if (!isFinite(v)) return isNaN(v) ? "not a number" : "∞";
    if (size < 1e-3 || size >= 1e5) return E.power(v, 2);
    return E.minus(size >= 1000 ? v.toFixed(0) : String(Number(v.toPrecision(d))));
  };
  const UP = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  E.up = (k) =>
    (k < 0 ? "⁻" : "") +
    String(Math.abs(k))
      .split("")
      .map((c) => UP[c])
      .join("");
  E.tens = (v) => `10${E.up(Math.round(Math.log10(v)))}`;
  E.power = (v, digits) => {
    const parts = v.toExponential((digits || 2) - 1).split("e");
    return `${E.minus(parts[0])}·10${E.up(Number(parts[1]))}`;
  };
  E.pretty = (formula) =>
    // x_t with its subscript
    E.minus(formula.replace(/\.$/, "").replace(/&/g, "&amp;").replace(/</g, "&lt;")).replace(/_(\w)/g, "<sub>$1</sub>");
  E.count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

  E.still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  E.css = (name) =>
    E.colours[name] ||
    (E.colours[name] = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  E.colours = {};
  E.dark = () => (E.state.theme ? E.state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  E.paint = () => {
    document.documentElement.dataset.theme = E.dark() ? "dark" : "light";
    E.colours = {};
    E.ask(true);
  };
})(Explorer);
