"use strict";
/* The state in the address: what differs from the default, in the order of DEFAULT. */
((E) => {
  E.toHash = (state) =>
    Object.keys(E.DEFAULT)
      .filter((k) => state[k] !== E.DEFAULT[k])
      .map((k) => `${k}=${encodeURIComponent(state[k])}`)
      .join("&");
  E.fromHash = (text) => {
    const state = { ...E.DEFAULT };
    text
      .replace(/^#/, "")
      .split("&")
      .forEach((part) => {
        const at = part.indexOf("=");
        const key = part.slice(0, at);
        let value;
        if (at < 1 || !Object.prototype.hasOwnProperty.call(E.DEFAULT, key)) return;
        try {
          value = decodeURIComponent(part.slice(at + 1));
        } catch (e) {
          return;
        }
        if (typeof E.DEFAULT[key] === "number") {
          if (value !== "" && isFinite(value)) state[key] = Number(value);
        } else state[key] = value;
      });
    return E.checked(state);
  };
  /* What a hand-written address may say wrongly becomes the nearest that exists. */
  E.checked = (s) => {
    const data = Flow.data,
      among = (key, list, no) => {
        const keys = list.map((o) => o.key || o.name);
        if (!keys.includes(s[key]) && s[key] !== no) s[key] = !keys.includes(E.DEFAULT[key]) ? keys[0] : E.DEFAULT[key];
      };
    const between = (key, low, high, whole) => {
      const v = s[key];
      s[key] = isFinite(v) ? Math.min(high, Math.max(low, whole ? Math.round(v) : v)) : E.DEFAULT[key];
    };
    between("label", 0, 99, true);
    between("scale", 0, 8);
    between("seed", 1, 999, true);
    between("sample", 0, E.LINES - 1, true);
    between("step", 1, 64, true);
    ["zoom", "level", "eta"].forEach((key) => {
      between(key, 0, 100);
    });
    [
      ["coords", "t bar"],
      ["axis", "linear sqrt log"],
      ["chart", "noise data flow velocity time"],
      ["theme", "light dark"],
    ].forEach((one) => {
      if (!one[1].split(" ").includes(s[one[0]])) s[one[0]] = E.DEFAULT[one[0]];
    });
    among("scene", data.scenes);
    among("solver", data.methods);
    among("other", data.methods, "");
    among("schedule", data.schedules);
    among("grid", data.grids.concat({ key: "dragged" }));
    if (
      s.grid === "dragged"
        ? !E.readLevels(s.levels)
        : !data.grids.find((g) => g.key === s.grid).schedules.includes(s.schedule)
    )
      s.grid = E.DEFAULT.grid;
    if (s.grid !== "dragged") s.levels = "";
    s.n =
      s.grid === "dragged"
        ? E.readLevels(s.levels).length - 1
        : data.steps.reduce((a, b) => (Math.abs(b - s.n) < Math.abs(a - s.n) ? b : a));
    return s;
  };
  E.readLevels = (text) => {
    const v = (text || "").split(",").map(Number),
      top = Flow.data.sigma.max,
      low = Flow.data.sigma.min;
    const fine = v.length > 1 && v.length < 66 && v.every((x, i) => x > 0 && (!i || x < v[i - 1]));
    return fine && Math.abs(v[0] / top - 1) < 1e-9 && Math.abs(v[v.length - 1] / low - 1) < 1e-9 ? v : null;
  };
  E.writeHash = () => {
    const hash = E.toHash(E.state);
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };
})(Explorer);
