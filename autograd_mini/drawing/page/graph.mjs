// The graph, its numbers at a point, and how far the two passes have come. States are never changed: a move
// or a step makes another.

/** The facts that Python wrote and the function that computes, with what follows from them. */
export function graphOf(facts, program) {
  const { nodes, edges, forward, reverse } = facts;
  const outgoing = nodes.map(() => []); // per node, the edges to its users
  const incoming = nodes.map(() => []); // per node, the edges from its operands
  edges.forEach(([from, to], e) => {
    outgoing[from].push(e);
    incoming[to].push(e);
  });
  const steps = [
    { pass: "start" },
    ...forward.map((node) => ({ pass: "forward", node })),
    { pass: "seed" },
    ...reverse.flatMap((node) => incoming[node].map((edge) => ({ pass: "reverse", node, edge }))),
    { pass: "done" },
  ];
  const forwardStep = nodes.map(() => 0); // when a node is computed: at the start, if it has no operands
  const reverseStep = []; // when an edge adds its term
  steps.forEach(({ pass, node, edge }, step) => {
    if (pass === "forward") forwardStep[node] = step;
    if (pass === "reverse") reverseStep[edge] = step;
  });
  return {
    ...facts, program, outgoing, incoming, steps, forwardStep, reverseStep,
    saved: facts.saved.map(Number), seed: forward.length + 1, last: steps.length - 1,
  };
}

/** All numbers at the point `at`, and for each node the node whose formula has no value there, if any. */
export function evaluate({ nodes, roots, leaves, forward, program }, at) {
  const numbers = program(at);
  const { values, terms } = numbers;
  const culprits = [];
  nodes.forEach(({ operands }, i) => {
    const below = operands.find((operand) => culprits[operand] !== undefined);
    const infinite = operands.some((operand) => Math.abs(values[operand]) === Infinity);
    const fails = Number.isNaN(values[i]) || (!Number.isFinite(values[i]) && operands.length > 0 && !infinite);
    culprits.push(below !== undefined ? culprits[below] : fails ? i : undefined);
  });
  const culprit = culprits[[...leaves, ...forward].find((i) => culprits[i] !== undefined)];
  const root = roots.reduce((sum, i) => sum + values[i], 0);
  const largest = terms.reduce((most, term) => (Number.isFinite(term) ? Math.max(most, Math.abs(term)) : most), 0);
  return { ...numbers, largest, culprits, culprit, root };
}

/** The gradients summed up at a step, and of how many terms: those of the edges that the sweep has passed. */
export function gradientsAt({ nodes, roots, edges, steps, seed, last }, numbers, step = last) {
  const sums = new Float64Array(nodes.length);
  const counts = new Uint32Array(nodes.length);
  if (numbers.culprit !== undefined || step < seed) return { sums, counts };
  for (const root of roots) {
    sums[root] = 1;
    counts[root] = 1;
  }
  for (let s = seed + 1; s <= Math.min(step, last - 1); s++) {
    const [from] = edges[steps[s].edge];
    sums[from] += numbers.terms[steps[s].edge];
    counts[from] += 1;
  }
  return { sums, counts };
}

/** Both passes done at the saved numbers. `leaf` is the place of the leaf whose curve is shown. */
export function opened(graph) {
  const state = { point: graph.saved, moved: false, leaf: 0, chosen: graph.roots[0] };
  return stepped(graph, { ...state, numbers: evaluate(graph, graph.saved) }, graph.last);
}

/** The state at another step; the node that the step is about is chosen. */
export function stepped(graph, state, to) {
  const step = Math.min(Math.max(to, 0), graph.last);
  const { pass, node, edge } = graph.steps[step];
  const target = pass === "forward" ? node : pass === "reverse" ? graph.edges[edge][0]
    : pass === "seed" ? graph.roots[0] : undefined;
  const gradients = gradientsAt(graph, state.numbers, step);
  return { ...state, step, target, chosen: target ?? state.chosen, gradients };
}

/** The state with leaf k at another number. */
export function moved(graph, state, k, number) {
  const point = state.point.with(k, number);
  const numbers = evaluate(graph, point);
  return { ...state, point, numbers, moved: true, leaf: k, gradients: gradientsAt(graph, numbers, state.step) };
}

/** The central difference of the root along leaf k, beside the gradient; where it has no value, the trouble. */
export function difference(graph, { numbers, point }, k) {
  const h = Math.cbrt(Number.EPSILON) * Math.max(1, Math.abs(point[k]));
  const [above, below] = [h, -h].map((change) => ({ at: point[k] + change, ...evaluate(graph, point.with(k, point[k] + change)) }));
  const gradient = gradientsAt(graph, numbers).sums[graph.leaves[k]];
  const quotient = (above.root - below.root) / (above.at - below.at);
  const apart = Math.abs(gradient - quotient);
  const trouble = [[above, "+"], [below, "−"]].find(([found]) => found.culprit !== undefined);
  return { h, gradient, quotient, apart, agree: apart <= 1e-6 * Math.max(1, Math.abs(gradient)), trouble };
}
