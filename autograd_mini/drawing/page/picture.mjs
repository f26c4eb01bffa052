// The numbers in Graphviz's picture.

import { spoken, unmet } from "./sentences.mjs";
import { MISSING, short } from "./text.mjs";

const cell = (element) => ({ element, text: element?.textContent });

/** Write into the page only what has changed. */
export function write(target, text) {
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

/** An SVG with its place, which a view of it hides. */
export function bounded(svg) {
  const { x, y, width, height } = svg.viewBox.baseVal;
  return { svg, bounds: { x, y, width, height } };
}

/** The parts of an SVG of the graph that is shown: its groups by node, its lines by edge, and their numbers. */
export function pictureOf({ svg, bounds }, graph) {
  const { nodes, edges, outgoing } = graph;
  const groups = nodes.map((_, i) => svg.getElementById(`n${i}`));
  // The edges from e to the box that it enters: several where the picture merges operations into a Σ or ∏.
  const ways = edges.map(([, to], e) => {
    const way = [e];
    for (let head = to; !groups[head] && outgoing[head].length === 1; [, head] = edges[way.at(-1)]) way.push(outgoing[head][0]);
    return way;
  });
  const lines = edges.map(([from, to, position], e) => svg.getElementById(`n${from}-n${to}-${position}`)
    ?? svg.querySelector(`[id^="n${from}-n${edges[ways[e].at(-1)][1]}-"]`));
  for (const text of svg.querySelectorAll(".partial, .contribution")) {
    if (!lines.includes(text.closest(".edge"))) text.remove(); // from or to a closed group
  }
  const { e: originX, f: originY } = svg.querySelector("g").transform.baseVal.consolidate().matrix;
  const boxes = groups.map((group) => group?.getBBox()); // all at once, before the picture changes
  const middle = (box) => box && { x: box.x + box.width / 2 + originX, y: box.y + box.height / 2 + originY };
  const picture = {
    svg, bounds, groups, ways, lines,
    pictured: nodes.flatMap((_, i) => (groups[i] ? [i] : [])),
    cells: {
      data: groups.map((group) => cell(group?.querySelector(".data"))),
      gradient: groups.map((group) => cell(group?.querySelector(".gradient"))),
      partial: lines.map((line) => cell(line?.querySelector(".partial"))),
      contribution: lines.map((line) => cell(line?.querySelector(".contribution"))),
      needs: groups.map(() => ({ text: "" })),
      far: groups.map(() => ({ text: "" })),
    },
    middles: { groups: boxes.map(middle), lines: lines.map((line) => middle(line?.querySelector("text")?.getBBox())) },
    sight: { groups: groups.map(() => true), lines: lines.map(() => true) },
  };
  picture.pictured.forEach((i) => prepare(picture, graph, i, boxes[i]));
  svg.setAttribute("role", "group");
  return picture;
}

/** A node that can be chosen. */
function prepare({ groups, cells }, { nodes }, i, box) {
  const group = groups[i];
  group.setAttribute("role", "img");
  group.tabIndex = -1;
  const name = group.querySelector(".title tspan");
  if (name) {
    // From afar a name and a number, or a name, as large as the box allows.
    const far = [[name.textContent, name.textContent.length], ...(cells.data[i].element ? [["", 9]] : [])].map(([text, length]) => {
      const line = svgText(group, "far", box.x + box.width / 2, box.y + box.height / 2);
      line.textContent = text;
      line.style.setProperty("--fit", `${(1.9 * box.width) / Math.max(length, 2)}px`);
      line.style.setProperty("--height", `${box.height}px`);
      return line;
    });
    cells.far[i] = cell(far[1]);
  }
  // The name that the text uses for a node whose label is not enough.
  if (!nodes[i].drawn && cells.data[i].element) svgText(group, "tag", box.x + 6, box.y - 3).textContent = nodes[i].name;
}

/** Text is what a browser takes longest to draw: what is out of sight, or too small to read, is not drawn. */
export function cull({ svg, groups, lines, middles, sight }, legible) {
  const { x, y, width, height } = svg.viewBox.baseVal;
  const margin = 80;
  const seen = (at) => legible && at !== undefined && at.x > x - margin && at.x < x + width + margin
    && at.y > y - margin && at.y < y + height + margin;
  for (const [kind, elements] of [["groups", groups], ["lines", lines]]) {
    elements.forEach((element, k) => {
      const visible = seen(middles[kind][k]);
      if (visible !== sight[kind][k]) element?.classList.toggle("away", !visible);
      sight[kind][k] = visible;
    });
  }
}

/** Draw the numbers; while a leaf moves only those that can be read now, which keeps large graphs fluent. */
export function drawNumbers(picture, graph, state, moving) {
  const { sight } = picture;
  for (let i = 0; i < graph.nodes.length; i++) if (!moving || sight.groups[i]) drawNode(picture, graph, state, i);
  for (let e = 0; e < graph.edges.length; e++) if (!moving || sight.lines[e]) drawEdge(picture, graph, state, e);
}

function drawNode({ groups, cells }, graph, { numbers, gradients, step }, i) {
  const computed = graph.forwardStep[i] <= step;
  const data = !computed ? "" : numbers.culprits[i] === undefined ? short(numbers.values[i]) : MISSING;
  write(cells.data[i], data);
  write(cells.far[i], data);
  write(cells.gradient[i], gradients.counts[i] ? short(gradients.sums[i]) : "");
  groups[i]?.classList.toggle("pending", !computed);
  const wrong = computed && numbers.culprits[i] === i;
  groups[i]?.classList.toggle("wrong", wrong);
  if (wrong && groups[i]) {
    const box = groups[i].getBBox();
    cells.needs[i].element ??= svgText(groups[i], "needs", box.x + box.width / 2, box.y + box.height + 11);
  }
  write(cells.needs[i], wrong ? unmet(graph, numbers, i) : "");
}

function drawEdge({ lines, ways, cells }, graph, { numbers, step }, e) {
  const to = graph.edges[e][1];
  const computed = graph.forwardStep[to] <= step;
  const partial = ways[e].reduce((product, edge) => product * numbers.partials[edge], 1);
  write(cells.partial[e], computed && numbers.culprits[to] === undefined ? `∂ ${short(partial)}` : "");
  lines[e]?.classList.toggle("pending", !computed);
  if (!cells.contribution[e].element) return;
  // What the edge has added to its operand's gradient, by width and sign too.
  const passed = numbers.culprit === undefined && graph.reverseStep[e] <= step;
  const term = passed ? numbers.terms[e] : 0;
  write(cells.contribution[e], passed ? `+= ${short(term)}` : "");
  lines[e].classList.toggle("positive", term > 0);
  lines[e].classList.toggle("negative", term < 0);
  const width = 0.6 + 3.9 * Math.min(Math.abs(term) / numbers.largest, 1) || 0.6;
  lines[e].querySelector("path").setAttribute("stroke-width", width); // the style sheet's for the current edge is stronger
}

/** Mark what the step is about, and the chosen node, the graph's one tab stop: up and down go on from there. */
export function mark({ svg, groups, lines, pictured }, graph, { step, chosen }) {
  const { pass, node, edge } = graph.steps[step];
  const current = pass === "forward" ? [groups[node], ...graph.incoming[node].map((e) => lines[e])]
    : pass === "reverse" ? [groups[graph.edges[edge][0]], lines[edge]]
    : pass === "seed" ? graph.roots.map((i) => groups[i]) : [];
  for (const name of ["current", "source", "chosen"]) {
    for (const element of svg.querySelectorAll(`.${name}`)) element.classList.remove(name);
  }
  for (const element of current) element?.classList.add("current");
  if (pass === "reverse") groups[node]?.classList.add("source");
  groups[chosen]?.classList.add("chosen");
  for (const group of svg.querySelectorAll('[tabindex="0"]')) group.tabIndex = -1;
  const stop = groups[chosen] ?? groups[pictured.at(-1)];
  if (stop) stop.tabIndex = 0;
}

/** What a screen reader is told of the picture and its nodes. */
export function describePicture({ svg, groups }, graph, state) {
  svg.setAttribute("aria-label", `Graph of ${graph.name}; up and down go through its nodes`);
  groups.forEach((group, i) => group?.setAttribute("aria-label", spoken(graph, state, i)));
}
