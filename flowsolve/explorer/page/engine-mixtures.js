// The scenes: mixtures Σ w N(m, s²), with ε, x₀ and the density at every σ in closed form.
"use strict";

(() => {
  // At (x, σ): Σ r (m + s² (x - m)/v) for x₀, Σ r σ (x - m)/v for ε, v = s² + σ², r the posterior weights.
  function mixture(components, d) {
    const K = components.length, means = components.flatMap((c) => c.m), r = new Float64Array(K);
    const v = new Float64Array(K), base = new Float64Array(K);
    const at = (sigma) => components.forEach(({ w, s }, k) => {
      v[k] = s * s + sigma * sigma;
      base[k] = Math.log(w) - d / 2 * Math.log(v[k]);
    });
    const logs = (x, row) => { // the logarithms of r, up to a constant; the largest is returned
      let top = -Infinity;
      for (let k = 0; k < K; k++) {
        let square = 0;
        for (let i = 0; i < d; i++) square += (x[row + i] - means[k * d + i]) ** 2;
        r[k] = base[k] - square / (2 * v[k]);
        if (r[k] > top) top = r[k];
      }
      return top;
    };
    const answer = (x, sigma, out, data) => {
      at(sigma);
      const slopes = components.map(({ s }, k) => (data ? s * s : sigma) / v[k]);
      for (let row = 0; row < x.length; row += d) {
        const top = logs(x, row);
        let total = 0;
        for (let k = 0; k < K; k++) total += r[k] = Math.exp(r[k] - top);
        for (let i = 0; i < d; i++) {
          let sum = 0;
          for (let k = 0; k < K; k++) {
            const m = means[k * d + i], part = (x[row + i] - m) * slopes[k];
            sum += r[k] * (data ? m + part : part);
          }
          out[row + i] = sum / total;
        }
      }
      return out;
    };
    return {
      eps: (x, sigma, out = new Float64Array(x.length)) => answer(x, sigma, out, false),
      x0: (x, sigma, out = new Float64Array(x.length)) => answer(x, sigma, out, true),
      density(point, sigma) {
        at(sigma);
        const top = logs(typeof point === "number" ? [point] : point, 0);
        return Math.exp(top - d / 2 * Math.log(2 * Math.PI)) * r.reduce((a, l) => a + Math.exp(l - top), 0);
      },
    };
  }

  // label: a class of a scene that has classes; ε = ε_all + scale (ε_label - ε_all). Its density is the label's.
  function problem(name, { label = null, scale = 1 } = {}) {
    const { d, components: all, title } = Flow.data.scenes.find((scene) => scene.name === name);
    let components = all;
    if (label !== null) {
      const own = all.filter((c) => c.label === label), total = own.reduce((a, c) => a + c.w, 0);
      components = own.map((c) => ({ ...c, w: c.w / total }));
    }
    const one = mixture(components, d), every = mixture(all, d);
    const guided = (which) => (x, sigma, out = new Float64Array(x.length)) => {
      one[which](x, sigma, out);
      if (label !== null && scale !== 1) {
        const base = every[which](x, sigma);
        for (let i = 0; i < out.length; i++) out[i] = base[i] + scale * (out[i] - base[i]);
      }
      return out;
    };
    const sample = (n, seed) => {
      const next = Flow.uniforms(seed + 0.5 * 2 ** 32), z = Flow.normals(n * d, seed);
      for (let row = 0; row < n; row++) {
        let u = next(), k = 0;
        while (k < components.length - 1 && (u -= components[k].w) > 0) k++;
        for (let i = row * d; i < (row + 1) * d; i++) z[i] = components[k].m[i % d] + components[k].s * z[i];
      }
      return z;
    };
    return { name, title, d, label, scale, components, density: one.density, eps: guided("eps"), x0: guided("x0"), sample };
  }

  const density1 = (problem, sigma, xs) => Float64Array.from(xs, (x) => problem.density(x, sigma));
  const field = (problem, sigma, points) => problem.eps(Float64Array.from(points), sigma);

  Object.assign(Flow, { problem, density1, field });
})();
