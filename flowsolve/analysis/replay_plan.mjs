// Runs a plan that flowsolve has saved. Copy this file: it needs no library.
//
//     const plan = JSON.parse(text);
//     const x = replay(plan, noise.map((z) => plan.noise_scale * z), byNetwork(network), draw);
//
// The state x is x̄ = x_t/alpha in a Float64Array, or a Float32Array.

// x̄ at the last level from x̄ at the first (the unit noise, if that is infinite).
//   answer  (x, stage) -> x₀ or ε at (x, stage.sigma), as stage.asks says
//   draw    (x, draw) -> as many normals as x has values, independent for each number; only stochastic methods ask
export function replay(plan, x, answer, draw) {
  const known = new Map();

  function advance(x, stage) {
    for (const one of stage.draws) known.set(one.number, draw(x, one));
    const out = x.map((value) => stage.scale * value);
    for (const [number, weight] of stage.weights) {
      const values = known.get(number);
      for (let i = 0; i < out.length; i++) out[i] += weight * values[i];
    }
    for (const number of [...known.keys()]) if (!stage.keep.includes(number)) known.delete(number);
    return out;
  }

  x = advance(x, plan.start);
  for (const stage of plan.stages) {
    const [a, b] = stage.mix, found = answer(x, stage);
    known.set(stage.number, x.map((value, i) => a * value + b * found[i]));
    x = advance(x, stage);
  }
  return x;
}

// The answer by network(c_in x, t), in the parametrisation that the plan has numbers for.
export function byNetwork(network) {
  return (x, { network: c }) => {
    const found = network(x.map((value) => c.c_in * value), c.t);
    return x.map((value, i) => c.skip * value + c.out * found[i]);
  };
}
