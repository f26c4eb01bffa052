// What stands beside the picture: the leaves and their sliders, the curve, and the card of the chosen node.

import { plot, samples } from "./curve.mjs";
import { difference } from "./graph.mjs";
import { write } from "./picture.mjs";
import { bare, formulaOf, gradientOf, line, named, ruleOf, sentence, valued } from "./sentences.mjs";
import { MISSING, atom, conditional, derivative, equation, full, short, tenDigits, written } from "./text.mjs";

export const $ = (id) => document.getElementById(id);

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

const pair = (term, text) => [element("dt", term), element("dd", text)];

// --- leaves and their sliders ---

const TICKS = 100; // positions of a slider on either side of the saved number

/** A round half-width for a slider: 1, 2 or 5 times a power of ten, at least the number's own size. */
export function reach(number) {
  const size = Math.max(1, Math.abs(number) * 1.25);
  const power = 10 ** Math.floor(Math.log10(size));
  return power * ([1, 2, 5].find((digit) => digit * power >= size) ?? 10);
}

/** Where a leaf's slider goes from and to. */
export function span(saved) {
  const middle = Number.isFinite(saved) ? saved : 0;
  return { middle, tick: reach(middle) / TICKS };
}

/** A leaf's row in the list; `move` gets its numbers and `look` is called when a reader comes to it. */
export function slider(graph, numbers, k, move, look) {
  const name = bare(graph, numbers, graph.leaves[k]);
  const row = document.createElement("li");
  const label = element("label", name);
  const gradient = element("span", "", "gradient");
  const range = Object.assign(document.createElement("input"), { type: "range", min: -TICKS, max: TICKS, id: `leaf-${k}` });
  const field = Object.assign(document.createElement("input"), { type: "number", step: "any" });
  const { middle, tick } = span(graph.saved[k]);
  label.htmlFor = range.id;
  field.setAttribute("aria-label", `${name}, number`);
  range.addEventListener("input", () => move(k, Number((middle + range.value * tick).toPrecision(15))));
  field.addEventListener("input", () => Number.isFinite(field.valueAsNumber) && move(k, field.valueAsNumber));
  for (const input of [field, range]) input.addEventListener("focus", () => look(k));
  row.append(label, field, range, gradient);
  return { row, range, field, middle, tick, gradient: { element: gradient, text: "" } };
}

/** Show a number in a leaf's field, to as many digits as there is room for. */
export function fill(field, number) {
  const text = Number.isFinite(number) ? String(Number(number.toPrecision(10))) : "";
  if (field.value !== text) field.value = text;
  field.placeholder = short(number);
}

export function drawLeaves(sliders, { leaves }, { point, gradients, leaf, moved }, moving) {
  sliders.forEach(({ row, range, field, middle, tick, gradient }, k) => {
    const i = leaves[k];
    write(gradient, gradients.counts[i] ? `∂ ${short(gradients.sums[i])}` : "");
    row.classList.toggle("moved", moved && k === leaf);
    if (moving && k !== leaf) return;
    if (document.activeElement !== field) fill(field, point[k]);
    const position = String(Math.round(Math.min(Math.max((point[k] - middle) / tick, -TICKS), TICKS)) || 0);
    if (range.value !== position) range.value = position;
    const text = short(point[k]);
    if (range.ariaValueText !== text) range.ariaValueText = text;
  });
}

// --- the curve ---

const [WIDTH, HEIGHT] = [320, 130]; // as in the page's viewBox

/** The root against the leaf that is looked at; `before` is what was last sampled, which a move of that leaf keeps. */
export function drawCurve(graph, state, before) {
  const { point, leaf: k, numbers } = state;
  const { middle, tick } = span(graph.saved[k]);
  const at = Number.isFinite(point[k]) ? point[k] : middle;
  const from = Math.min(middle - tick * TICKS, at);
  const to = Math.max(middle + tick * TICKS, at);
  const key = [k, from, to, ...point.with(k, 0)].join();
  const sampled = before?.key === key ? before : { key, points: samples(graph, point, k, from, to) };
  const { path, dot, tangent, low, high, slope, value } = plot(graph, state, k, sampled.points, WIDTH, HEIGHT);
  const name = bare(graph, numbers, graph.leaves[k]);
  const set = (id, attributes) => {
    $(id).toggleAttribute("hidden", attributes === undefined);
    for (const [attribute, number] of Object.entries(attributes ?? {})) $(id).setAttribute(attribute, number);
  };
  set("curve-path", { d: path });
  set("curve-tangent", tangent && { x1: tangent[0].x, y1: tangent[0].y, x2: tangent[1].x, y2: tangent[1].y });
  set("curve-dot", dot && { cx: dot.x, cy: dot.y });
  [$("curve-from").textContent, $("curve-to").textContent] = [`${name} = ${short(from)}`, short(to)];
  [$("curve-low").textContent, $("curve-high").textContent] = [short(low), short(high)];
  const known = sampled.points.map(([, y]) => y).filter(Number.isFinite);
  const corners = known.at(-1) > known[0] ? ["start", "end"] : ["end", "start"]; // that are free
  ["curve-high", "curve-low"].forEach((id, i) => {
    $(id).setAttribute("text-anchor", corners[i]);
    $(id).setAttribute("x", corners[i] === "start" ? 4 : WIDTH - 4);
  });
  const text = Number.isNaN(value) ? `${graph.name} against ${name}; here it has no value.`
    : `${graph.name} against ${name}, and the tangent: ${equation("slope", gradientOf(graph, numbers, graph.leaves[k]), short(slope))}.`;
  $("curve-text").textContent = Number.isNaN(slope) ? `${graph.name} against ${name}; here it has no slope.` : text;
  return sampled;
}

/** The finite difference beside the gradient, for the leaf that was moved last. */
export function drawWitness(graph, state) {
  const { numbers, leaf: k } = state;
  $("witness").hidden = !state.moved || numbers.culprit !== undefined;
  if ($("witness").hidden) return;
  const name = bare(graph, numbers, graph.leaves[k]);
  const { h, gradient, quotient, apart, agree, trouble } = difference(graph, state, k);
  if (trouble) {
    const [found, sign] = trouble;
    $("witness").replaceChildren(element("dd", `No finite difference at ${name} ${sign} h: ${sentence(graph, found, found.culprit)}.`, "whole"));
    return;
  }
  const root = atom(graph.name);
  $("witness").replaceChildren(
    element("dd", "Reverse sweep beside finite difference", "whole"),
    ...pair(gradientOf(graph, numbers, graph.leaves[k]), tenDigits(gradient)),
    ...pair(`(${root}(${name}+h) − ${root}(${name}−h)) / 2h`, tenDigits(quotient)),
    ...pair("h", short(h)),
    ...pair("apart by", short(apart)),
    ...(agree ? [] : [element("dd", "They differ: there is a kink or a jump nearby, or h is too coarse here, or rounding hides the change.", "whole")]),
  );
}

// --- the derivation ---

const AROUND = 2; // lines before and after the step's own

/** The lines of the derivation around the step's own, and below that the row of the table that it applies. */
export function drawDerivation(graph, state) {
  const first = Math.max(1, Math.min(state.step - AROUND, graph.last - 1 - 2 * AROUND));
  const steps = Array.from({ length: Math.min(2 * AROUND + 1, graph.last - 1) }, (_, k) => first + k);
  $("derivation").start = first;
  $("derivation").replaceChildren(...steps.map((step) => {
    const { text, rule } = line(graph, state, step);
    const item = element("li", text);
    if (step !== state.step) return item;
    item.setAttribute("aria-current", "step");
    if (rule) item.append(element("span", rule, "quiet"));
    return item;
  }));
}

// --- the chosen node ---

/** A node's formula, its partials from the derivative table, and the terms of its gradient. */
export function drawNodeCard(graph, { chosen: i, numbers, gradients, step }) {
  const { kind, row } = graph.nodes[i];
  const name = bare(graph, numbers, i);
  const computed = graph.forwardStep[i] <= step && numbers.culprits[i] === undefined;
  $("node-title").textContent = `${{ constant: "Constant", leaf: "Leaf", interior: "Node" }[kind]} ${name}`;
  const facts = element("dl", "", "pairs");
  facts.append(...pair("data", computed ? full(numbers.values[i]) : MISSING));
  if (kind !== "constant") {
    facts.append(...pair(gradientOf(graph, numbers, i), gradients.counts[i] ? full(gradients.sums[i]) : MISSING));
  }
  const above = row ? rowFacts(graph, numbers, i, computed, graph.forwardStep[i] <= step) : [];
  $("node-facts").replaceChildren(...above, facts, ...termsOf(graph, numbers, gradients, i));
}

function rowFacts(graph, numbers, i, computed, reached) {
  const { row, operands } = graph.nodes[i];
  const { formula, partials, domain, note, operands: letters } = graph.rows[row];
  const name = bare(graph, numbers, i);
  const table = element("dl", "", "pairs");
  for (const e of graph.incoming[i]) {
    const k = graph.edges[e][2];
    const rule = computed ? ruleOf(graph, numbers, e) : partials[k];
    const text = equation(derivative(name, bare(graph, numbers, operands[k])),
      ...(conditional(rule) ? [] : [named(graph, numbers, i, rule)]), ...(computed ? [short(numbers.partials[e])] : []));
    table.append(element("dd", conditional(partials[k]) ? `${text}, by ${written(partials[k])}` : text, "whole"));
  }
  const own = formulaOf(graph, i);
  const sides = computed ? [valued(graph, numbers, i, own), short(numbers.values[i])] : [];
  return [
    element("p", equation(`${row}(${letters.join(", ")})`, written(formula)) + (domain ? `, needs ${written(domain)}` : ""), "quiet"),
    element("p", equation(name, named(graph, numbers, i, own), ...sides)),
    ...(reached && numbers.culprits[i] === i ? [element("p", sentence(graph, numbers, i))] : []),
    table,
    ...(note ? [element("p", written(note), "quiet")] : []),
  ];
}

/** The terms that add up to a gradient, where there is more than one. */
function termsOf(graph, numbers, { sums, counts }, i) {
  const own = graph.roots.includes(i) ? ["1"] : []; // what a root starts with
  const terms = [...own, ...graph.outgoing[i].map((e) => atom(short(numbers.terms[e])))];
  if (terms.length < 2 || counts[i] < terms.length) return [];
  const users = graph.outgoing[i].map((e) => bare(graph, numbers, graph.edges[e][1])).join(", ");
  const sum = equation(gradientOf(graph, numbers, i), terms.join(" + "), short(sums[i]));
  return [element("p", `${own.length ? "A root, and used" : "Used"} by ${users}: ${sum}`)];
}
