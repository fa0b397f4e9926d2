"use strict";
/* The step under the cursor in DDIM's Eq. 12, Eq. 13 and as Euler's step: three ways, one number. */
((E) => {
  /* MathML, as short functions */
  const tag =
    (name) =>
    (...parts) =>
      `<${name}>${parts.join("")}</${name}>`;
  const row = tag("mrow"),
    n = tag("mn"),
    o = tag("mo"),
    root = tag("msqrt"),
    name = tag("mi");
  const bar = (letter) => `<mover accent="true"><mi>${letter}</mi><mo stretchy="false">¯</mo></mover>`,
    sub = (letter, below) => tag("msub")(letter, name(below)),
    over = (a, b) => tag("mfrac")(row(a), row(b)),
    round = (...parts) => row('<mo stretchy="false">(</mo>', ...parts, '<mo stretchy="false">)</mo>'),
    math = (...parts) => `<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">${row(...parts)}</math>`;
  const [minus, plus, eq, dot] = ["−", "+", "=", "·"].map((sign) => o(sign));
  const eps = name("ε"),
    [xs, xt] = ["s", "t"].map((at) => sub(name("x"), at)),
    [as, at] = ["s", "t"].map((at) => sub(bar("α"), at)), // ᾱ at both levels
    noise = (alpha) => root(row(n("1"), minus, alpha)), // √(1 - ᾱ)
    sigma = (alpha) => root(over(row(n("1"), minus, alpha), alpha)), // √((1 - ᾱ)/ᾱ)
    euler = (letter, below) => sub(bar(letter), below);
  const EQ12 = math(xt, eq, root(at), over(row(xs, minus, noise(as), eps), root(as)), plus, noise(at), eps),
    EQ13 = math(over(xt, root(at)), eq, over(xs, root(as)), plus, o("("), sigma(at), minus, sigma(as), o(")"), eps),
    EULER = math(
      euler("x", "t"),
      eq,
      euler("x", "s"),
      plus,
      round(sub(name("σ"), "t"), minus, sub(name("σ"), "s")),
      eps,
    );

  const short = (v) => n(E.num(v, innerWidth < 480 ? 3 : 4)),
    signed = (v) => (v < 0 ? round(short(v)) : short(v));
  /* The same equations with the numbers of a step from x̄ at s along e to t. */
  function numbers(x, e, s, t) {
    const a = 1 / (1 + s * s),
      b = 1 / (1 + t * t),
      scaled = short(Math.sqrt(a) * x),
      moved = row(round(short(t), minus, short(s)), dot, signed(e)),
      back = row(scaled, minus, short(Math.sqrt(1 - a)), dot, signed(e));
    return [
      math(
        eq,
        short(Math.sqrt(b)),
        dot,
        over(back, short(Math.sqrt(a))),
        plus,
        short(Math.sqrt(1 - b)),
        dot,
        signed(e),
      ),
      math(eq, over(scaled, short(Math.sqrt(a))), plus, moved),
      math(eq, short(x), plus, moved),
    ];
  }
  function card(title, note, formula, numbers, result, value, way) {
    return (
      `<article class="card"><div><h3>${title}</h3><p class="note">${note}</p></div>` +
      `<div class="formulas"><div class="formula">${formula}</div>` +
      `<div class="formula small">${numbers}</div></div>` +
      `<p class="result"><span>${result}</span> <output data-way="${way}">${value}</output></p></article>`
    );
  }

  function draw(s) {
    const A = E.run("solver", E.LINES, true),
      box = E.$("step-cards"),
      p = E.problem(),
      d = p.d,
      i = s.sample;
    if (!A) {
      E.html(box, "");
      E.say("step-words", E.why(s.solver));
      return;
    }
    const k = Math.min(s.step, A.path.length - 1),
      a = A.path[k - 1],
      b = A.path[k],
      x = a.x[i * d];
    const e = p.eps(a.x.slice(i * d, i * d + d), a.sigma, new Float64Array(d))[0],
      w = Flow.ddim([x], [e], a.sigma, b.sigma, s.schedule);
    const show = (way) => E.minus(way.xbar[0].toFixed(10)),
      [twelve, thirteen, moved] = numbers(x, e, a.sigma, b.sigma),
      left = "xₜ / √ᾱₜ =";
    E.html(
      box,
      card("DDIM, Eq. 12", "predict x̂₀, then add the noise back", EQ12, twelve, left, show(w.eq12), "eq12") +
        card("DDIM, Eq. 13", "the same, divided by √ᾱₜ", EQ13, thirteen, left, show(w.eq13), "eq13") +
        card("Euler’s method", "on dx̄/dσ = ε(x̄, σ)", EULER, moved, "x̄ₜ =", show(w.euler), "euler"),
    );
    const clock = Flow.clock[s.schedule],
      arrived = b.x[i * d],
      off = Math.abs(arrived - w.euler.xbar[0]);
    const method = E.method(s.solver).label,
      level = (v) => `σ = ${E.num(v, 4)} (t = ${E.num(clock.t(v))})`;
    E.say(
      "step-words",
      `Step ${k} of ${A.path.length - 1}${d > 1 ? " (first coordinate)" : ""}, sample ${i + 1}: ` +
        `from ${level(a.sigma)} to ${level(b.sigma)} along ε = ${E.num(e, 4)}. ` +
        (off < 1e-9
          ? `This is the step that ${method} took.`
          : `From the same x̄, ${method} arrives at ${E.minus(arrived.toFixed(10))}.`) +
        (s.schedule === "flow" ? " Eq. 12 and 13 are those of the variance-preserving path through the same σ." : ""),
    );
    E.slider("step", 1, A.path.length - 1, k, `${k} of ${A.path.length - 1}`);
    E.slider("sample", 0, E.LINES - 1, i, `${i + 1} of ${E.LINES}`);
  }
  E.view("step", [...E.RUN, "sample", "step"], draw, "step-cards");
})(Explorer);
