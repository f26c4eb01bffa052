"use strict";
// What there is to say of the graph: numbers and formulas as text, the computation, and the steps of the two
// passes. `program`, `domains` and `branches` stand in the script before.

const $ = (id) => document.getElementById(id);
const { name: rootName, roots, leaves, nodes, edges, rows, ...known } = JSON.parse($("facts").textContent);
const saved = known.saved.map(Number);
const outgoing = nodes.map(() => []); // per node, the edges to its users
const incoming = nodes.map(() => []); // per node, the edges from its operands
edges.forEach(([from, to], e) => {
  outgoing[from].push(e);
  incoming[to].push(e);
});

// --- numbers and formulas as text ---

const MISSING = "–";

function short(number) {
  if (Number.isNaN(number)) return MISSING;
  const size = Math.abs(number);
  if (size === Infinity) return number < 0 ? "−∞" : "∞";
  const scientific = size >= 1e6 || (size > 0 && size < 1e-4);
  const text = scientific
    ? number.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e")
    : size >= 1e4 ? String(Math.round(number)) : String(Number(number.toPrecision(4)));
  return text.replaceAll("-", "−");
}

function full(number) {
  return Number.isFinite(number) ? String(number).replace("e+", "e").replaceAll("-", "−") : short(number);
}

const SIGNS = { "**": "^", "-": "−", "<=": "≤", ">=": "≥", "==": "=", "!=": "≠", inf: "∞", pi: "π" };

/** A formula of the table in mathematical signs, its names replaced by what `names` has for them. */
function written(formula, names, times = "·") {
  const text = formula.replace(/[A-Za-z_]\w*|\*\*|[<>=!]=|[-*]/g, (token) =>
    Object.hasOwn(names, token) ? names[token] : token === "*" ? times : SIGNS[token] ?? token);
  return text.replace(/ \^ /g, "^").replace(/([(,] ?)\(([^()]*)\)(?=[,)])/g, "$1$2");
}

const bare = (i) => nodes[i].name || short(numbers.values[i]);
const atom = (text) => (/^[^\s+*/()^−-]+$/.test(text) ? text : `(${text})`);
const derivative = (above, below) => `∂${atom(above)}/∂${atom(below)}`;
const gradientOf = (i) => derivative(rootName, bare(i));

/** What stands for a row's operands and result at a node: their names, or their numbers. */
function substitutes(i, text) {
  const { operands } = rows[nodes[i].row];
  const pairs = operands.map((operand, k) => [operand, atom(text(nodes[i].operands[k]))]);
  return Object.fromEntries([...pairs, ["z", atom(text(i))]]);
}

const named = (i, formula) => written(formula, substitutes(i, bare));
const valued = (i, formula) => written(formula, substitutes(i, (j) => short(numbers.values[j])), "×");

/** A node's formula; one with conditions is easier to read as a call. */
function formulaOf(i) {
  const row = rows[nodes[i].row];
  return conditional(row.formula) ? `${nodes[i].row}(${row.operands.join(", ")})` : row.formula;
}

/** The rule for a partial: of one with conditions the branch that holds. */
function ruleOf(i, position) {
  const { row, operands } = nodes[i];
  const at = [...operands, i].map((j) => numbers.values[j]);
  return branches[row]?.[position]?.(at) ?? rows[row].partials[position];
}

const conditional = (formula) => formula.includes(" if ");
const equation = (...sides) => sides.filter((side, k) => side !== sides[k - 1]).join(" = ");
const stated = (name, number) => (Number.isNaN(number) ? `${name} has no value` : equation(name, short(number)));
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// --- the computation ---

/** All numbers at the point `at`, and for each node the node whose formula has no value there, if any. */
function evaluate(at) {
  const { values, partials, terms } = program(at);
  const culprits = [];
  nodes.forEach(({ operands }, i) => {
    const below = operands.find((operand) => culprits[operand] !== undefined);
    const infinite = operands.some((operand) => Math.abs(values[operand]) === Infinity);
    const fails = Number.isNaN(values[i]) || (!Number.isFinite(values[i]) && operands.length > 0 && !infinite);
    culprits.push(below !== undefined ? culprits[below] : fails ? i : undefined);
  });
  const culprit = culprits.find((i) => i !== undefined);
  const root = roots.reduce((sum, i) => sum + values[i], 0);
  const largest = terms.reduce((most, term) => (Number.isFinite(term) ? Math.max(most, Math.abs(term)) : most), 0);
  return { values, partials, terms, largest, culprits, culprit, root };
}

/** What the node's row needs and does not get: `needs x > 0`. */
function unmet(i, { values }) {
  const row = rows[nodes[i].row];
  if (!row) return "needs a number";
  const holds = domains[nodes[i].row]?.(nodes[i].operands.map((operand) => values[operand]));
  if (!Number.isNaN(values[i]) && (holds || !row.domain)) return "the result is too large for a float";
  return `needs ${row.domain ? written(row.domain, {}) : "operands in its domain"}`;
}

/** The domain sentence of the node that has no value: `log: needs x > 0, got p = −0.2`. */
function sentence(i, found = numbers) {
  const { row, operands } = nodes[i];
  const got = operands.map((operand, k) =>
    `${nodes[operand].name || rows[row].operands[k]} = ${short(found.values[operand])}`);
  return `${row ?? nodes[i].name}: ${unmet(i, found)}${got.length ? `, got ${got.join(", ")}` : ""}`;
}

// --- the steps of the two passes ---

const interior = nodes.flatMap(({ row }, i) => (row ? [i] : []));
const steps = [
  { pass: "start" },
  ...interior.map((node) => ({ pass: "forward", node })),
  { pass: "seed" },
  ...interior.toReversed().flatMap((node) => incoming[node].map((edge) => ({ pass: "reverse", node, edge }))),
  { pass: "done" },
];
const seed = interior.length + 1; // the step that starts the reverse pass
const reverseStep = []; // per edge
steps.forEach(({ edge }, step) => { if (edge !== undefined) reverseStep[edge] = step; });
const forwardStep = nodes.map(({ row }, i) => (row ? 1 + interior.indexOf(i) : 0));

// Where the reader is: the step, the node that is looked at, the leaf that was moved last; and its numbers.
const now = { step: steps.length - 1, chosen: undefined, moved: undefined, gradients: undefined };
const point = Float64Array.from(saved);
let numbers = evaluate(point);

/** The gradients summed up so far, and of how many terms: those of the edges that the sweep has passed. */
function gradientsAt(step) {
  const sums = new Float64Array(nodes.length);
  const counts = new Uint32Array(nodes.length);
  if (numbers.culprit !== undefined || step < seed) return { sums, counts };
  for (const root of roots) {
    sums[root] = 1;
    counts[root] = 1;
  }
  for (let s = seed + 1; s <= Math.min(step, steps.length - 2); s++) {
    const [from] = edges[steps[s].edge];
    sums[from] += numbers.terms[steps[s].edge];
    counts[from] += 1;
  }
  return { sums, counts };
}

const describe = {
  start: () => ({
    caption: `Start: the ${leaves.length ? "leaves" : "constants"} hold their numbers.`,
    arithmetic: leaves.slice(0, 8).map((i) => equation(bare(i), short(numbers.values[i]))).join(",  ")
      + (leaves.length > 8 ? ", …" : ""),
    remark: "Step forward: each node computes its number from its operands.",
  }),

  forward: ({ node }) => ({
    caption: `Forward, ${forwardStep[node]} of ${interior.length}: ${nodes[node].row}`,
    arithmetic: numbers.culprits[node] === undefined
      ? equation(bare(node), named(node, formulaOf(node)), valued(node, formulaOf(node)), short(numbers.values[node]))
      : `${equation(bare(node), named(node, formulaOf(node)))} has no value`,
    remark: numbers.culprits[node] !== undefined ? `${sentence(numbers.culprits[node])}.`
      : outgoing[node].length > 1
        ? `${bare(node)} is used ${outgoing[node].length} times: as many terms will add up to its gradient.` : "",
  }),

  seed: () => ({
    caption: "Reverse: the sweep starts at the root.",
    arithmetic: roots.map((i) => equation(gradientOf(i), "1")).join(",  "),
    remark: roots.length > 1 ? `${rootName} is the sum of the roots, so each has the gradient 1.`
      : `If ${rootName} changes by a little, ${rootName} changes by as much.`,
  }),

  reverse: ({ node, edge }) => {
    const [from, , position] = edges[edge];
    const [above, partial, term] = [now.gradients.sums[node], numbers.partials[edge], numbers.terms[edge]];
    const rule = ruleOf(node, position);
    const local = derivative(bare(node), bare(from));
    const caption = `Reverse, ${now.step - seed} of ${edges.length}: ${bare(node)} passes its gradient on to ${bare(from)}.`;
    const product = `${gradientOf(from)} += ${gradientOf(node)} · ${local}`;
    const factors = `${atom(short(above))} × ${atom(short(partial))}`;
    if (Number.isNaN(term)) {
      const missing = Number.isNaN(above) ? gradientOf(node) : Number.isNaN(partial) ? equation(local, valued(node, rule)) : factors;
      return { caption, arithmetic: product, remark: `${missing} has no value, and so ${gradientOf(from)} has none.` };
    }
    return {
      caption: `${caption} ${equation(local, ...(conditional(rule) ? [] : [named(node, rule)]), short(partial))}`,
      arithmetic: `${product} = ${factors} = ${short(term)}`,
      remark: soFar(from, short(term)),
    };
  },

  done: () => {
    const { sums } = now.gradients;
    return {
      caption: "Both passes are done: every node knows its value and its gradient.",
      arithmetic: leaves.slice(0, 6).map((i) => stated(gradientOf(i), sums[i])).join(",  ")
        + (leaves.length > 6 ? ", …" : ""),
      remark: "Press Home and then → to go through them one by one.",
    };
  },
};

/** A gradient after the current step's term. */
function soFar(i, term) {
  const { sums, counts } = now.gradients;
  if (Number.isNaN(sums[i])) return `${gradientOf(i)} has no value: its terms have no sum.`;
  const left = outgoing[i].length + roots.includes(i) - counts[i];
  const sum = `${gradientOf(i)} = ${counts[i] === 1 ? "" : `${short(sumBefore(i))} + ${atom(term)} = `}${short(sums[i])}`;
  return left > 0 ? `So far ${sum}; ${counted(left, "more term")} to come.` : `${sum} is complete.`;
}

/** The sum before the current step's term; summed anew, for taking the term off again would round. */
function sumBefore(i) {
  return gradientsAt(now.step - 1).sums[i];
}

function described() {
  const step = steps[now.step];
  if (now.step < seed || numbers.culprit === undefined) return describe[step.pass](step);
  return {
    caption: "Reverse",
    arithmetic: `${rootName} has no value here, and no gradient.`,
    remark: `${sentence(numbers.culprit)}.`,
  };
}
