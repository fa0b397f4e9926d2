"use strict";
/* The step under the cursor in DDIM's Eq. 12, Eq. 13 and as Euler's step: three ways, one number. */
((E) => {
  /* MathML, as short functions */
  const M = (E.M = {
    i: function (t) {
      return `<mi>${t}</mi>`;
    },
    n: function (t) {
      return `<mn>${t}</mn>`;
    },
    o: function (t) {
      return `<mo>${t}</mo>`;
    },
    bar: function (t) {
      return `<mover accent="true"><mi>${t}</mi><mo stretchy="false">¯</mo></mover>`;
    },
    sub: function (a, b) {
      return `<msub>${a}${b}</msub>`;
    },
    frac: function (a, b) {
      return `<mfrac><mrow>${a}</mrow><mrow>${b}</mrow></mfrac>`;
    },
    root: function (a) {
      return `<msqrt>${a}</msqrt>`;
    },
    row: function () {
      return `<mrow>${Array.prototype.join.call(arguments, "")}</mrow>`;
    },
    math: function (body, block) {
      return `<math xmlns="http://www.w3.org/1998/Math/MathML"${block ? ' display="block"' : ""}>${body}</math>`;
    },
  });
  const one = M.n("1"),
    minus = M.o("−"),
    plus = M.o("+"),
    eq = M.o("="),
    open = '<mo stretchy="false">(</mo>',
    close = '<mo stretchy="false">)</mo>';
  function short(v) {
    return E.num(v, innerWidth < 480 ? 3 : 4);
  }
  function signed(v) {
    const t = short(v);
    return v < 0 ? open + M.n(t) + close : M.n(t);
  }
  function lines(title, note, formula, numbers, result, value, href) {
    return (
      `<article class="card"><div><h3>${title}</h3><p class="note">${note}</p></div>` +
      `<div class="formulas"><div class="formula">${M.math(formula, true)}</div>` +
      `<div class="formula small">${M.math(numbers, true)}</div></div>` +
      `<p class="result"><span>${result}</span> <output data-way="${href}">${value}</output></p></article>`
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
    const ab = M.bar("α"),
      abs = M.sub(ab, M.i("s")),
      abt = M.sub(ab, M.i("t")),
      xs = M.sub(M.i("x"), M.i("s")),
      xt = M.sub(M.i("x"), M.i("t"));
    const Av = 1 / (1 + a.sigma * a.sigma),
      Bv = 1 / (1 + b.sigma * b.sigma),
      X = Math.sqrt(Av) * x,
      eps = M.i("ε");
    const twelve = M.row(
      xt,
      eq,
      M.root(abt),
      M.frac(M.row(xs, minus, M.root(M.row(one, minus, abs)), eps), M.root(abs)),
      plus,
      M.root(M.row(one, minus, abt)),
      eps,
    );
    const twelveN = M.row(
      eq,
      signed(Math.sqrt(Bv)),
      M.o("·"),
      M.frac(M.row(M.n(short(X)), minus, signed(Math.sqrt(1 - Av)), M.o("·"), signed(e)), M.n(short(Math.sqrt(Av)))),
      plus,
      signed(Math.sqrt(1 - Bv)),
      M.o("·"),
      signed(e),
    );
    const q = (v) => M.root(M.frac(M.row(one, minus, v), v));
    const thirteen = M.row(
      M.frac(xt, M.root(abt)),
      eq,
      M.frac(xs, M.root(abs)),
      plus,
      M.o("("),
      q(abt),
      minus,
      q(abs),
      M.o(")"),
      eps,
    );
    const thirteenN = M.row(
      eq,
      M.frac(M.n(short(X)), M.n(short(Math.sqrt(Av)))),
      plus,
      open,
      M.n(short(b.sigma)),
      minus,
      M.n(short(a.sigma)),
      close,
      M.o("·"),
      signed(e),
    );
    const euler = M.row(
      M.sub(M.bar("x"), M.i("t")),
      eq,
      M.sub(M.bar("x"), M.i("s")),
      plus,
      open,
      M.sub(M.i("σ"), M.i("t")),
      minus,
      M.sub(M.i("σ"), M.i("s")),
      close,
      eps,
    );
    const eulerN = M.row(
      eq,
      M.n(short(x)),
      plus,
      open,
      M.n(short(b.sigma)),
      minus,
      M.n(short(a.sigma)),
      close,
      M.o("·"),
      signed(e),
    );
    const show = (v) => E.minus(v.toFixed(10));
    E.html(
      box,
      lines(
        "DDIM, Eq. 12",
        "predict x̂₀, then add the noise back",
        twelve,
        twelveN,
        "xₜ / √ᾱₜ =",
        show(w.eq12.xbar[0]),
        "eq12",
      ) +
        lines(
          "DDIM, Eq. 13",
          "the same, divided by √ᾱₜ",
          thirteen,
          thirteenN,
          "xₜ / √ᾱₜ =",
          show(w.eq13.xbar[0]),
          "eq13",
        ) +
        lines("Euler’s method", "on dx̄/dσ = ε(x̄, σ)", euler, eulerN, "x̄ₜ =", show(w.euler.xbar[0]), "euler"),
    );
    const clock = Flow.clock[s.schedule],
      arrived = b.x[i * d],
      off = Math.abs(arrived - w.euler.xbar[0]);
    const name = E.method(s.solver).label,
      level = (v) => `σ = ${E.num(v, 4)} (t = ${E.num(clock.t(v))})`;
    E.say(
      "step-words",
      `Step ${k} of ${A.path.length - 1}${d > 1 ? " (first coordinate)" : ""}, sample ${i + 1}: ` +
        `from ${level(a.sigma)} to ${level(b.sigma)} along ε = ${E.num(e, 4)}. ` +
        (off < 1e-9
          ? `This is the step that ${name} took.`
          : `${name} arrives at ${show(arrived)} instead, because it uses more than this one ε.`) +
        (s.schedule === "flow" ? " Eq. 12 and 13 are those of the variance-preserving path through the same σ." : ""),
    );
    E.slider("step", 1, A.path.length - 1, k, `${k} of ${A.path.length - 1}`);
    E.slider("sample", 0, E.LINES - 1, i, `${i + 1} of ${E.LINES}`);
  }
  E.view("step", [...E.RUN, "sample", "step"], draw, "step-cards");
})(Explorer);
