// What there is to say of a node, of a step, and of a formula without a value.

import { gradientsAt } from "./graph.mjs";
import { atom, conditional, counted, derivative, equation, short, stated, written } from "./text.mjs";

export const bare = ({ nodes }, numbers, i) => nodes[i].name || short(numbers.values[i]);
export const gradientOf = (graph, numbers, i) => derivative(graph.name, bare(graph, numbers, i));

/** A text in which `_3` stands for the name of node 3. */
const filled = (graph, numbers, text) =>
  written(text, (token) => (/^_\d+$/.test(token) ? atom(bare(graph, numbers, token.slice(1))) : undefined));

/** A formula of a node's row, with what `text` has for the operands and the result z. */
function substituted({ nodes, rows }, i, formula, text, times) {
  const operands = [...nodes[i].operands, i];
  const places = [...rows[nodes[i].row].operands, "z"];
  const put = places.includes(formula) ? (alone) => alone : atom;
  return written(formula, (token) => (places.includes(token) ? put(text(operands[places.indexOf(token)])) : undefined), times);
}

export const named = (graph, numbers, i, formula) => substituted(graph, i, formula, (j) => bare(graph, numbers, j));
export const valued = (graph, numbers, i, formula) => substituted(graph, i, formula, (j) => short(numbers.values[j]), "×");

/** A node's formula; one with conditions is easier to read as a call. */
export function formulaOf({ nodes, rows }, i) {
  const { formula, operands } = rows[nodes[i].row];
  return conditional(formula) ? `${nodes[i].row}(${operands.join(", ")})` : formula;
}

/** What the user wrote for a node: `x · y + sin(x)`. */
export const expressionOf = (graph, numbers, i) => filled(graph, numbers, graph.nodes[i].text);

/** The rule for an edge's partial, of one with conditions the branch that holds; no text where that is cut. */
export function ruleOf({ nodes, edges, rows }, { branches }, e) {
  const [, node, position] = edges[e];
  return rows[nodes[node].row].branches[position][branches[e] ?? 0];
}

/** What a node without a value needs and does not get: `needs x > 0`. */
export function unmet(graph, numbers, i) {
  const { row, needs } = graph.nodes[i];
  if (!row) return "has no number";
  const outside = needs && numbers.inside[i] !== 1;
  return outside ? `needs ${filled(graph, numbers, needs)}`
    : Number.isNaN(numbers.values[i]) ? "needs operands in its domain" : "is too large for a float";
}

/** Why a node has no value, in the words of the user's expression: `log of −1 at log(x), which needs x > 0`. */
export function sentence(graph, numbers, i) {
  const { row, operands } = graph.nodes[i];
  if (!row) return `${bare(graph, numbers, i)} ${unmet(graph, numbers, i)}`;
  const formula = formulaOf(graph, i);
  const what = operands.length === 1 && formula.startsWith(`${row}(`)
    ? `${row} of ${short(numbers.values[operands[0]])}` : valued(graph, numbers, i, formula);
  return `${what} at ${expressionOf(graph, numbers, i)}, which ${unmet(graph, numbers, i)}`;
}

/** The formula of the root and its value. */
export function heading(graph, numbers) {
  const formula = graph.roots.map((i) => expressionOf(graph, numbers, i)).join(" + ");
  return numbers.culprit === undefined ? equation(graph.name, formula, short(numbers.root))
    : `${equation(graph.name, formula)} has no value`;
}

// --- the steps of the two passes ---

const listed = (texts) => texts.slice(0, 4).join(",  ") + (texts.length > 4 ? ", …" : "");

/** A step's line of the derivation, and below it the row of the table that it applies. */
export function line(graph, { numbers }, step) {
  const { pass, node, edge } = graph.steps[step];
  const { nodes, edges, rows, roots, leaves } = graph;
  const [row, letters] = node === undefined ? [] : [rows[nodes[node].row], rows[nodes[node].row].operands.join(", ")];
  if (pass === "start") {
    return { text: listed(leaves.map((i) => equation(bare(graph, numbers, i), short(numbers.values[i])))), rule: "" };
  }
  if (pass === "seed") return { text: listed(roots.map((i) => equation(gradientOf(graph, numbers, i), "1"))), rule: "" };
  if (pass === "done") {
    const { sums } = gradientsAt(graph, numbers);
    const known = numbers.culprit === undefined ? leaves : [];
    return { text: listed(known.map((i) => stated(gradientOf(graph, numbers, i), sums[i]))), rule: "" };
  }
  if (pass === "forward") {
    const formula = formulaOf(graph, node);
    const sides = [bare(graph, numbers, node), named(graph, numbers, node, formula)];
    const text = numbers.culprits[node] !== undefined ? `${equation(...sides)} has no value`
      : equation(...sides, valued(graph, numbers, node, formula), short(numbers.values[node]));
    return { text, rule: equation(`${nodes[node].row}(${letters})`, written(row.formula)) };
  }
  const [from, , position] = edges[edge];
  const rule = ruleOf(graph, numbers, edge);
  const sides = [derivative(bare(graph, numbers, node), bare(graph, numbers, from)), named(graph, numbers, node, rule)];
  const partial = numbers.partials[edge];
  const text = numbers.culprit !== undefined ? equation(...sides)
    : Number.isNaN(partial) ? `${equation(...sides, valued(graph, numbers, node, rule))} has no value`
    : equation(...sides, valued(graph, numbers, node, rule), short(partial));
  return { text, rule: `${nodes[node].row}(${letters}) has ∂/∂${row.operands[position]} = ${written(row.partials[position])}` };
}

/** A step in three parts: what happens, its arithmetic, and what is to be noticed. */
export function described(graph, state) {
  const { numbers, gradients, step } = state;
  const { pass } = graph.steps[step];
  if (step >= graph.seed && numbers.culprit !== undefined) {
    return {
      caption: "Reverse",
      arithmetic: `${graph.name} has no value here, and no gradient.`,
      remark: `${sentence(graph, numbers, numbers.culprit)}.`,
    };
  }
  const { text } = line(graph, state, step);
  return { caption: "", arithmetic: text, remark: "", ...SAID[pass](graph, numbers, step, gradients) };
}

const SAID = {
  start: ({ leaves }) => ({
    caption: `Start: the ${leaves.length ? "leaves" : "constants"} hold their numbers.`,
    remark: "Step forward: each node computes its number from its operands.",
  }),

  forward: (graph, numbers, step) => {
    const { node } = graph.steps[step];
    const uses = graph.outgoing[node].length;
    return {
      caption: `Forward, ${step} of ${graph.forward.length}: ${graph.nodes[node].row}`,
      remark: numbers.culprits[node] !== undefined ? `${sentence(graph, numbers, numbers.culprits[node])}.`
        : uses > 1 ? `${bare(graph, numbers, node)} is used ${uses} times: as many terms will add up to its gradient.` : "",
    };
  },

  seed: ({ name, roots }) => ({
    caption: "Reverse: the sweep starts at the root.",
    remark: roots.length > 1 ? `${name} is the sum of the roots, so each has the gradient 1.`
      : `If ${name} changes by a little, ${name} changes by as much.`,
  }),

  reverse: (graph, numbers, step, { sums, counts }) => {
    const { node, edge } = graph.steps[step];
    const [from] = graph.edges[edge];
    const [above, below] = [bare(graph, numbers, node), bare(graph, numbers, from)];
    const [gradient, local] = [gradientOf(graph, numbers, from), derivative(above, below)];
    const [adjoint, partial, term] = [sums[node], numbers.partials[edge], numbers.terms[edge]];
    const caption = `Reverse, ${step - graph.seed} of ${graph.edges.length}: ${above} passes its gradient on to ${below}.`;
    const product = `${gradient} += ${gradientOf(graph, numbers, node)} · ${local}`;
    const factors = `${atom(short(adjoint))} × ${atom(short(partial))}`;
    if (Number.isNaN(term)) {
      const missing = Number.isNaN(adjoint) ? gradientOf(graph, numbers, node)
        : Number.isNaN(partial) ? equation(local, valued(graph, numbers, node, ruleOf(graph, numbers, edge))) : factors;
      return { caption, arithmetic: product, remark: `${missing} has no value, and so ${gradient} has none.` };
    }
    const before = gradientsAt(graph, numbers, step - 1).sums[from]; // to take the term off again would round
    const left = graph.outgoing[from].length + graph.roots.includes(from) - counts[from];
    const sum = `${gradient} = ${counts[from] === 1 ? "" : `${short(before)} + ${atom(short(term))} = `}${short(sums[from])}`;
    return {
      caption,
      arithmetic: `${product} = ${factors} = ${short(term)}`,
      remark: Number.isNaN(sums[from]) ? `${gradient} has no value: its terms have no sum.`
        : left > 0 ? `So far ${sum}; ${counted(left, "more term")} to come.` : `${sum} is complete.`,
    };
  },

  done: () => ({
    caption: "Both passes are done: every node knows its value and its gradient.",
    remark: "Press Play to go through them one by one.",
  }),
};

/** How a screen reader names a node: `p = exp(x), data 2.7, gradient 1`. */
export function spoken(graph, { numbers, gradients, step }, i) {
  const { kind, row } = graph.nodes[i];
  const name = bare(graph, numbers, i);
  if (kind === "constant") return `constant ${name}`;
  const what = row ? equation(name, named(graph, numbers, i, formulaOf(graph, i))) : `${name}, ${kind}`;
  const shown = graph.forwardStep[i] > step ? "not computed yet"
    : numbers.culprits[i] === i ? sentence(graph, numbers, i)
    : numbers.culprits[i] !== undefined ? "no value" : `data ${short(numbers.values[i])}`;
  return `${what}, ${shown}${gradients.counts[i] ? `, gradient ${short(gradients.sums[i])}` : ""}`;
}
