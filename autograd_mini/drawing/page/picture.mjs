"use strict";
// What is drawn: the numbers in Graphviz's picture, and what stands beside it.

// --- the picture ---

const picture = $("picture");
const groups = nodes.map((_, i) => document.getElementById(`n${i}`));
/** The edges from e to the box that it enters: several where the picture merges operations into a Σ or ∏. */
const ways = edges.map(([, to], e) => {
  const way = [e];
  for (let head = to; !groups[head] && outgoing[head].length === 1; [, head] = edges[way.at(-1)]) way.push(outgoing[head][0]);
  return way;
});
const lines = edges.map(([from, to, position], e) => document.getElementById(`n${from}-n${to}-${position}`)
  ?? picture.querySelector(`[id^="n${from}-n${edges[ways[e].at(-1)][1]}-"]`));
for (const text of picture.querySelectorAll(".partial, .contribution")) {
  if (!lines.includes(text.closest(".edge"))) text.remove(); // from or to a closed group
}
const cell = (element) => ({ element, text: element?.textContent });
const cells = {
  data: groups.map((group) => cell(group?.querySelector(".data"))),
  gradient: groups.map((group) => cell(group?.querySelector(".gradient"))),
  partial: lines.map((line) => cell(line?.querySelector(".partial"))),
  contribution: lines.map((line) => cell(line?.querySelector(".contribution"))),
  needs: groups.map(() => ({ text: "" })),
};

// Text is what a browser takes longest to draw: what is out of sight, or too small to read, is not drawn.
const { e: originX, f: originY } = picture.querySelector("g").transform.baseVal.consolidate().matrix;
const middles = { nodes: groups.map(middle), lines: lines.map((line) => middle(line?.querySelector("text"))) };
const sight = { nodes: groups.map(() => true), lines: lines.map(() => true) };

function middle(element) {
  if (!element) return undefined;
  const { x, y, width, height } = element.getBBox();
  return { x: x + width / 2 + originX, y: y + height / 2 + originY };
}

function cull(legible) {
  const { x, y, width, height } = picture.viewBox.baseVal;
  const margin = 80;
  const seen = (at) => legible && at !== undefined && at.x > x - margin && at.x < x + width + margin
    && at.y > y - margin && at.y < y + height + margin;
  for (const [kind, elements] of [["nodes", groups], ["lines", lines]]) {
    elements.forEach((element, k) => {
      const visible = seen(middles[kind][k]);
      if (visible !== sight[kind][k]) element?.classList.toggle("away", !visible);
      sight[kind][k] = visible;
    });
  }
}

/** Write into the page only what has changed. */
function write(target, text) {
  if (target.text === text || !target.element) return;
  target.text = text;
  target.element.textContent = text;
}

function svgText(group, className, x, y) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "text");
  element.setAttribute("class", className);
  element.setAttribute("x", x);
  element.setAttribute("y", y);
  group.append(element);
  return element;
}

function drawNode(i) {
  const computed = forwardStep[i] <= now.step;
  const { sums, counts } = now.gradients;
  write(cells.data[i], !computed ? "" : numbers.culprits[i] === undefined ? short(numbers.values[i]) : MISSING);
  write(cells.gradient[i], counts[i] ? short(sums[i]) : "");
  groups[i]?.classList.toggle("pending", !computed);
  const wrong = computed && numbers.culprit !== undefined && numbers.culprits[i] === i;
  groups[i]?.classList.toggle("wrong", wrong);
  if (wrong) cells.needs[i].element ??= needsText(i);
  write(cells.needs[i], wrong ? unmet(i, numbers) : "");
}

function needsText(i) {
  if (!groups[i]) return undefined;
  const box = groups[i].getBBox();
  return svgText(groups[i], "needs", box.x + box.width / 2, box.y + box.height + 11);
}

function drawEdge(e) {
  const to = edges[e][1];
  const computed = forwardStep[to] <= now.step;
  const partial = ways[e].reduce((product, edge) => product * numbers.partials[edge], 1);
  write(cells.partial[e], computed && numbers.culprits[to] === undefined ? `∂ ${short(partial)}` : "");
  lines[e]?.classList.toggle("pending", !computed);
  if (cells.contribution[e].element) drawContribution(e, numbers.culprit === undefined && reverseStep[e] <= now.step);
}

/** What the edge has added to its operand's gradient, by width and sign too. */
function drawContribution(e, passed) {
  const term = passed ? numbers.terms[e] : 0;
  write(cells.contribution[e], passed ? `+= ${short(term)}` : "");
  lines[e].classList.toggle("positive", term > 0);
  lines[e].classList.toggle("negative", term < 0);
  const width = 0.6 + 3.9 * Math.min(Math.abs(term) / numbers.largest, 1) || 0.6;
  lines[e].querySelector("path").setAttribute("stroke-width", width); // the style sheet's for the current edge is stronger
}

function highlight() {
  const { pass, node, edge } = steps[now.step];
  const current = pass === "forward" ? [groups[node], ...incoming[node].map((e) => lines[e])]
    : pass === "reverse" ? [groups[edges[edge][0]], lines[edge]]
    : pass === "seed" ? roots.map((i) => groups[i]) : [];
  for (const element of picture.querySelectorAll(".current, .source")) element.classList.remove("current", "source");
  for (const element of current) element?.classList.add("current");
  if (pass === "reverse") groups[node]?.classList.add("source");
}

/** How a screen reader names a node: `p, exp of x, data 2.7, gradient 1`. */
function spokenNode(i) {
  const { kind, row } = nodes[i];
  if (kind === "constant") return `constant ${bare(i)}`;
  const what = row ? equation(bare(i), named(i, formulaOf(i))) : `${bare(i)}, ${kind}`;
  const shown = forwardStep[i] > now.step ? "not computed yet"
    : numbers.culprits[i] === i ? sentence(i)
    : numbers.culprits[i] !== undefined ? "no value" : `data ${short(numbers.values[i])}`;
  const gradient = now.gradients.counts[i] ? `, gradient ${short(now.gradients.sums[i])}` : "";
  return `${what}, ${shown}${gradient}`;
}

// --- what is shown beside the picture ---

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

const pair = (term, text) => [element("dt", term), element("dd", text)];

/** A node's formula, its partials from the derivative table, and the terms of its gradient. */
function drawCard() {
  const i = now.chosen;
  if (i === undefined) return;
  const { kind, row } = nodes[i];
  const { sums, counts } = now.gradients;
  $("node-title").textContent = kind === "constant" ? `Constant ${bare(i)}` : kind === "leaf" ? `Leaf ${bare(i)}` : `Node ${bare(i)}`;
  const facts = element("dl", "", "pairs");
  const computed = forwardStep[i] <= now.step && numbers.culprits[i] === undefined;
  facts.append(...pair("data", computed ? full(numbers.values[i]) : MISSING));
  if (kind !== "constant") facts.append(...pair(gradientOf(i), counts[i] ? full(sums[i]) : MISSING));
  $("node-facts").replaceChildren(...(row ? rowFacts(i, computed) : []), facts, ...termsOf(i));
}

function rowFacts(i, computed) {
  const { row, operands } = nodes[i];
  const { formula, partials, domain, note, operands: letters } = rows[row];
  const table = element("dl", "", "pairs");
  letters.forEach((letter, k) => {
    if (nodes[operands[k]].kind === "constant") return;
    const edge = incoming[i].find((e) => edges[e][2] === k);
    const number = computed ? [short(numbers.partials[edge])] : [];
    const rule = computed ? ruleOf(i, k) : partials[k];
    const text = equation(derivative(bare(i), bare(operands[k])), ...(conditional(rule) ? [] : [named(i, rule)]), ...number);
    table.append(element("dd", conditional(partials[k]) ? `${text}, by ${written(partials[k], {})}` : text, "whole"));
  });
  const sides = computed ? [valued(i, formulaOf(i)), short(numbers.values[i])] : [];
  const wrong = numbers.culprits[i] === i && forwardStep[i] <= now.step;
  return [
    element("p", `${row}(${letters.join(", ")}) = ${written(formula, {})}${domain ? `, needs ${written(domain, {})}` : ""}`, "quiet"),
    element("p", equation(bare(i), named(i, formulaOf(i)), ...sides)),
    ...(wrong ? [element("p", sentence(i))] : []),
    table,
    ...(note ? [element("p", written(note, {}), "quiet")] : []),
  ];
}

/** The terms that add up to a gradient, where there is more than one. */
function termsOf(i) {
  const own = roots.includes(i) ? ["1"] : []; // what a root starts with
  const terms = [...own, ...outgoing[i].map((e) => atom(short(numbers.terms[e])))];
  if (terms.length < 2 || now.gradients.counts[i] < terms.length) return [];
  const users = outgoing[i].map((e) => bare(edges[e][1])).join(", ");
  const sum = equation(gradientOf(i), terms.join(" + "), short(now.gradients.sums[i]));
  return [element("p", `${own.length ? "A root, and used" : "Used"} by ${users}: ${sum}`)];
}

/** The finite difference beside the gradient, for the leaf that was moved last. */
function drawWitness() {
  const k = now.moved;
  $("witness").hidden = k === undefined;
  if (k === undefined) return;
  const name = bare(leaves[k]);
  const h = Math.cbrt(Number.EPSILON) * Math.max(1, Math.abs(point[k]));
  const [above, below] = [h, -h].map((change) => {
    const at = Float64Array.from(point);
    at[k] += change;
    return { at: at[k], ...evaluate(at) };
  });
  const trouble = [numbers, above, below].find(({ culprit }) => culprit !== undefined);
  if (trouble) {
    const where = trouble === numbers ? "here" : `at ${name} ${trouble === above ? "+" : "−"} h`;
    $("witness").replaceChildren(element("dd", `No finite difference ${where}: ${sentence(trouble.culprit, trouble)}.`, "whole"));
    return;
  }
  const difference = (above.root - below.root) / (above.at - below.at);
  const gradient = gradientsAt(steps.length - 1).sums[leaves[k]];
  const apart = Math.abs(gradient - difference);
  const agree = apart <= 1e-6 * Math.max(1, Math.abs(gradient));
  const L = atom(rootName);
  $("witness").replaceChildren(
    element("dd", "Reverse sweep beside finite difference", "whole"),
    ...pair(gradientOf(leaves[k]), tenDigits(gradient)),
    ...pair(`(${L}(${name}+h) − ${L}(${name}−h)) / 2h`, tenDigits(difference)),
    ...pair("h", short(h)),
    ...pair("apart by", short(apart)),
    ...(agree ? [] : [element("dd", "They differ: there is a kink or a jump nearby, or h is too coarse here, or rounding hides the change.", "whole")]),
  );
}

const tenDigits = (number) => (Number.isFinite(number) ? full(Number(number.toPrecision(10))) : short(number));

function drawText() {
  const { caption, arithmetic, remark } = described();
  $("caption").textContent = caption;
  $("arithmetic").textContent = arithmetic;
  $("remark").textContent = remark;
  const value = numbers.culprit === undefined ? short(numbers.root) : MISSING;
  document.querySelector("h1").textContent = `${rootName} = ${value}`;
  $("trouble").textContent = numbers.culprit === undefined ? "" : sentence(numbers.culprit);
}

// --- drawing all of it, once a frame ---

let scheduled = false;
let pause;

/** Draw the numbers; while a leaf moves only those that can be read now, which keeps large graphs fluent. */
function draw(moving = false) {
  scheduled = false;
  now.gradients = gradientsAt(now.step);
  for (let i = 0; i < nodes.length; i++) if (!moving || sight.nodes[i]) drawNode(i);
  for (let e = 0; e < edges.length; e++) if (!moving || sight.lines[e]) drawEdge(e);
  drawText();
  drawLeaves(moving);
  drawWitness();
  drawCard();
  clearTimeout(pause);
  pause = setTimeout(rest, 150, moving);
}

function schedule() {
  if (!scheduled) requestAnimationFrame(() => draw(true));
  scheduled = true;
}

/** When the numbers have come to rest: those out of sight, and what a screen reader is told. */
function rest(moved) {
  if (moved) draw();
  groups.forEach((group, i) => group?.setAttribute("aria-label", spokenNode(i)));
  if (!moved || now.moved === undefined) return;
  const leaf = leaves[now.moved];
  say(numbers.culprit === undefined
    ? `${equation(bare(leaf), short(numbers.values[leaf]))}: ${equation(rootName, short(numbers.root))}, `
      + stated(gradientOf(leaf), gradientsAt(steps.length - 1).sums[leaf])
    : sentence(numbers.culprit));
}

const say = (text) => { $("spoken").textContent = text; };
