// node jobs.js PAGE FOLDER: does the jobs of FOLDER/jobs.json with the engine files that PAGE/index.html names, and
// writes FOLDER/out.bin, where each job's numbers follow those before it, and FOLDER/lengths.json.
"use strict";
const fs = require("fs"), path = require("path"), vm = require("vm");
const [page, folder] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(folder, name));

const scripts = fs.readFileSync(path.join(page, "index.html"), "utf8").matchAll(/<script src="(engine[\w-]*\.js)">/g);
for (const [, name] of scripts) vm.runInThisContext(fs.readFileSync(path.join(page, name), "utf8"), name);
const Flow = vm.runInThisContext("Flow");

const given = new Float64Array(new Uint8Array(read("in.bin")).buffer);
const array = ([at, length]) => given.slice(at, at + length);

// The noises in the order in which Python drew them.
const drawn = (draws) => {
  let next = 0;
  return (number, count) => array(draws).slice(next, next += count);
};

function replayed(plan, { scene, label, scale, x, draws }) {
  if (!plan) throw new Error("there is no such plan");
  const problem = Flow.problem(scene, { label, scale }), start = array(x);
  const full = Flow.replay(plan, problem, start, drawn(draws)).x;
  const light = Flow.replay(plan, problem, start, drawn(draws), { light: true }).x;
  if (full.some((v, i) => v !== light[i])) throw new Error("the light replay differs");
  return full;
}

const CALLS = {
  plan: (job) => replayed(Flow.plan(job.method, job.grid, job.schedule, job.n), job),
  free: (job) => replayed(Flow.recurrence(job.method, job.levels, job.schedule), job),
  eta: (job) => replayed(Flow.eta(job.levels, job.eta), job),
  table: ({ method, grid, schedule, n }) => Flow.plan(method, grid, schedule, n).table.flatMap((row) => [...row]),
  nodes: ({ method, grid, schedule, n }) => Flow.plan(method, grid, schedule, n).nodes,
  path({ method, grid, schedule, n, scene, x }) {
    const plan = Flow.plan(method, grid, schedule, n), { path } = Flow.replay(plan, Flow.problem(scene), array(x));
    return path.flatMap((node) => [node.sigma, ...node.x]);
  },
  eps: ({ scene, label, scale, x, sigma }) => Flow.problem(scene, { label, scale }).eps(array(x), sigma),
  x0: ({ scene, label, scale, x, sigma }) => Flow.problem(scene, { label, scale }).x0(array(x), sigma),
  density({ scene, label, x, sigma }) {
    const problem = Flow.problem(scene, { label }), points = array(x), out = [];
    for (let i = 0; i < points.length; i += problem.d) out.push(problem.density(points.slice(i, i + problem.d), sigma));
    return problem.d === 1 ? Flow.density1(problem, sigma, points) : out;
  },
  exact: ({ scene, label, scale, x, sigmas }) =>
    Flow.exact(Flow.problem(scene, { label, scale }), array(x), Flow.data.sigma.max, sigmas).flatMap((y) => [...y]),
  clock: ({ schedule, sigmas }) => sigmas.flatMap((sigma) => {
    const clock = Flow.clock[schedule], t = clock.t(sigma);
    return [t, clock.sigma(t), clock.rate(t), clock.alpha(sigma)];
  }),
  ddim({ schedule, x, eps, s, t }) {
    const { eq12, eq13, euler } = Flow.ddim(array(x), array(eps), s, t, schedule);
    return [eq12, eq13, euler].flatMap((way) => [...way.xbar, ...way.x]);
  },
  page_error({ method, n, scene, x }) { // the error that the page draws
    const problem = Flow.problem(scene), { max, min } = Flow.data.sigma;
    const end = Flow.replay(Flow.plan(method, "karras", "linear", n), problem, array(x), 0, { light: true }).x;
    return [Flow.error(end, Flow.exact(problem, array(x), max, [min])[0])];
  },
  slope: ({ nfes, errors }) => nfes.map((_, i) => Flow.slope(nfes, errors, i)),
  order({ steps, errors }) {
    const found = Flow.order(steps, errors);
    return [found.order, found.settled ? 1 : 0, ...found.steps];
  },
  sample: ({ scene, label, n, seed }) => Flow.problem(scene, { label }).sample(n, seed),
  normals: ({ n, seed }) => Flow.normals(n, seed),
};

Flow.load(JSON.parse(read("data.json")));
const results = JSON.parse(read("jobs.json")).map(({ call, ...job }) => Float64Array.from(CALLS[call](job)));
fs.writeFileSync(path.join(folder, "out.bin"), Buffer.concat(results.map((r) => Buffer.from(r.buffer))));
fs.writeFileSync(path.join(folder, "lengths.json"), JSON.stringify(results.map((r) => r.length)));
