"use strict";
// What a reader does: steps, nodes, sliders, zoom, keys and colours.

// --- stepping ---

function goTo(step) {
  now.step = Math.min(Math.max(step, 0), steps.length - 1);
  const { pass, node, edge } = steps[now.step];
  const target = pass === "forward" ? node : pass === "reverse" ? edges[edge][0] : pass === "seed" ? roots[0] : undefined;
  if (target !== undefined) now.chosen = target;
  $("scrubber").value = now.step;
  $("scrubber").setAttribute("aria-valuetext", `step ${now.step} of ${steps.length - 1}, ${pass}`);
  // Not `disabled`, which would take the focus away from a reader who has just pressed the button.
  $("first").ariaDisabled = $("previous").ariaDisabled = now.step === 0;
  $("last").ariaDisabled = $("next").ariaDisabled = now.step === steps.length - 1;
  $("forward-pass").classList.toggle("now", now.step < seed);
  $("reverse-pass").classList.toggle("now", now.step >= seed);
  draw();
  highlight();
  choose(now.chosen);
  if (target !== undefined) reveal(target);
  say(Object.values(described()).filter(Boolean).join(". "));
}

const STEPS = {
  ArrowRight: () => now.step + 1,
  ArrowLeft: () => now.step - 1,
  Home: () => 0,
  End: () => steps.length - 1,
};

function startPlayer() {
  $("scrubber").max = steps.length - 1;
  $("forward-pass").style.flex = `${seed} 0 0`;
  $("reverse-pass").style.flex = `${steps.length - seed} 0 0`;
  $("scrubber").addEventListener("input", () => goTo(Number($("scrubber").value)));
  for (const [id, key] of [["first", "Home"], ["previous", "ArrowLeft"], ["next", "ArrowRight"], ["last", "End"]]) {
    $(id).addEventListener("click", () => goTo(STEPS[key]()));
  }
}

// --- choosing nodes ---

const pictured = nodes.flatMap((_, i) => (groups[i] ? [i] : []));

function choose(i) {
  if (i === undefined) return;
  now.chosen = i;
  for (const group of picture.querySelectorAll(".chosen")) group.classList.remove("chosen");
  groups[i]?.classList.add("chosen");
  for (const group of picture.querySelectorAll('[tabindex="0"]')) group.tabIndex = -1;
  (groups[i] ?? groups[pictured[0]]).tabIndex = 0; // one tab stop for the graph, ↑ and ↓ inside
  drawCard();
}

function startNodes() {
  picture.setAttribute("role", "group");
  picture.setAttribute("aria-label", `Graph of ${rootName}, ${counted(nodes.length, "node")}; up and down go through them`);
  for (const i of pictured) {
    const group = groups[i];
    group.setAttribute("role", "img");
    group.tabIndex = -1;
    group.addEventListener("pointerenter", () => choose(i));
    group.addEventListener("focus", () => {
      choose(i);
      reveal(i);
    });
    if (!nodes[i].drawn && cells.data[i].element) tag(i);
  }
  if (pictured.length) groups[pictured.at(-1)].tabIndex = 0;
}

/** The name that the text uses for a node whose label is not enough, above the node. */
function tag(i) {
  const box = groups[i].getBBox();
  svgText(groups[i], "tag", box.x + 6, box.y - 3).textContent = nodes[i].name;
}

function neighbour(key) {
  const place = pictured.indexOf(now.chosen) + (key === "ArrowDown" ? 1 : -1);
  return pictured[Math.min(Math.max(place, 0), pictured.length - 1)];
}

// --- leaves and their sliders ---

const TICKS = 100; // positions of a slider on either side of the saved number
let sliders = [];

/** A round half-width for a slider: 1, 2 or 5 times a power of ten, at least the number's own size. */
function reach(number) {
  const size = Math.max(1, Math.abs(number) * 1.25);
  const power = 10 ** Math.floor(Math.log10(size));
  return power * ([1, 2, 5].find((digit) => digit * power >= size) ?? 10);
}

function move(k, number) {
  point[k] = number;
  now.moved = k;
  numbers = evaluate(point);
  schedule();
}

function slider(i, k) {
  const row = document.createElement("li");
  const label = element("label", bare(i));
  const gradient = element("span", "", "gradient");
  const range = Object.assign(document.createElement("input"), { type: "range", min: -TICKS, max: TICKS, id: `leaf-${k}` });
  const field = Object.assign(document.createElement("input"), { type: "number", step: "any" });
  const middle = Number.isFinite(saved[k]) ? saved[k] : 0;
  const tick = reach(middle) / TICKS;
  label.htmlFor = range.id;
  field.setAttribute("aria-label", `${bare(i)}, number`);
  range.addEventListener("input", () => move(k, Number((middle + range.value * tick).toPrecision(15))));
  field.addEventListener("input", () => Number.isFinite(field.valueAsNumber) && move(k, field.valueAsNumber));
  field.addEventListener("blur", () => fill(field, point[k]));
  field.addEventListener("focus", () => choose(i));
  range.addEventListener("focus", () => choose(i));
  row.append(label, field, range, gradient);
  $("leaves").append(row);
  return { i, row, range, field, middle, tick, gradient: cell(gradient) };
}

/** Show a number in a leaf's field, to as many digits as there is room for. */
function fill(field, number) {
  const text = Number.isFinite(number) ? String(Number(number.toPrecision(10))) : "";
  if (field.value !== text) field.value = text;
  field.placeholder = short(number);
}

function drawLeaves(moving) {
  const { sums, counts } = now.gradients;
  sliders.forEach(({ i, row, range, field, middle, tick, gradient }, k) => {
    write(gradient, counts[i] ? `∂ ${short(sums[i])}` : "");
    row.classList.toggle("moved", k === now.moved);
    if (moving && k !== now.moved) return;
    if (document.activeElement !== field) fill(field, point[k]);
    const position = String(Math.round(Math.min(Math.max((point[k] - middle) / tick, -TICKS), TICKS)) || 0);
    if (range.value !== position) range.value = position;
    const text = short(point[k]);
    if (range.ariaValueText !== text) range.ariaValueText = text;
  });
}

function startLeaves() {
  sliders = leaves.map(slider);
  $("leaves-card").hidden = leaves.length === 0;
  $("reset").addEventListener("click", () => {
    point.set(saved);
    now.moved = undefined;
    numbers = evaluate(point);
    draw();
    say("All leaves are back at their saved numbers.");
  });
}

function explain() {
  const anew = Object.entries(rows).filter(([, row]) => row.decides).map(([row]) => row);
  $("summary").textContent = `${counted(nodes.length, "node")}, ${counted(leaves.length, "leaf").replace("leafs", "leaves")}`;
  $("branches").textContent = "The recorded operations are computed again at every move; the Python code that recorded "
    + "them is not. Where it took a branch by a number (an if, a loop, an index), the page keeps the branch taken "
    + "for the saved numbers, and the graph cannot tell whether there was one."
    + (anew.length ? ` Decided anew at every move: ${anew.join(", ")}.` : "");
}

// --- zoom and pan ---

const whole = picture.viewBox.baseVal;
const bounds = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
const view = { x: 0, y: 0, scale: 1 }; // the picture's point in the middle of the canvas, and its magnification
const pointers = new Map();
const LEGIBLE = 0.5; // the least scale at which text is drawn
const READABLE = 0.85; // the least scale at the start: a large graph is seen in part, and stepping moves it

function look() {
  const { clientWidth, clientHeight } = $("canvas");
  const [width, height] = [clientWidth / view.scale, clientHeight / view.scale];
  picture.setAttribute("viewBox", [view.x - width / 2, view.y - height / 2, width, height].join(" "));
  cull(view.scale >= LEGIBLE);
  $("far").hidden = view.scale >= LEGIBLE;
}

function fit(least = 0) {
  const { clientWidth, clientHeight } = $("canvas");
  const margin = 24;
  const scale = Math.min((clientWidth - margin) / bounds.width, (clientHeight - margin) / bounds.height, 1.6);
  Object.assign(view, {
    x: bounds.x + bounds.width / 2,
    y: bounds.y + bounds.height / 2,
    scale: Math.max(scale, least),
  });
  look();
}

/** Magnify by `factor` around a point of the window, the middle of the canvas if none is given. */
function zoom(factor, clientX, clientY) {
  const box = $("canvas").getBoundingClientRect();
  const across = (clientX ?? box.x + box.width / 2) - box.x - box.width / 2;
  const down = (clientY ?? box.y + box.height / 2) - box.y - box.height / 2;
  const scale = Math.min(Math.max(view.scale * factor, 0.02), 12);
  view.x += across / view.scale - across / scale;
  view.y += down / view.scale - down / scale;
  view.scale = scale;
  look();
}

function pan(across, down) {
  view.x -= across / view.scale;
  view.y -= down / view.scale;
  look();
}

/** Move the picture until a node can be seen, if it cannot. */
function reveal(i) {
  if (!groups[i]) return;
  const canvas = $("canvas").getBoundingClientRect();
  const node = groups[i].getBoundingClientRect();
  const inside = node.left >= canvas.left && node.right <= canvas.right && node.top >= canvas.top && node.bottom <= canvas.bottom;
  if (inside) return;
  pan((canvas.left + canvas.right - node.left - node.right) / 2, (canvas.top + canvas.bottom - node.top - node.bottom) / 2);
  view.x = within(view.x, bounds.x, bounds.width, canvas.width / view.scale);
  view.y = within(view.y, bounds.y, bounds.height, canvas.height / view.scale);
  look();
}

/** The middle of a window `seen` wide, moved so that it shows no more than a margin beside the picture. */
function within(middle, start, size, seen) {
  const play = Math.max(0, (size - seen) / 2 + 20);
  const centre = start + size / 2;
  return Math.min(Math.max(middle, centre - play), centre + play);
}

function spread() {
  const [a, b] = [...pointers.values()];
  return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function dragged(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const apart = pointers.size === 2 ? spread() : undefined;
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (!apart) return pan(event.clientX - before.x, event.clientY - before.y);
  const { distance, x, y } = spread();
  pan(x - apart.x, y - apart.y);
  zoom(distance / apart.distance, x, y);
}

function startZoom() {
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX, event.clientY);
  }, { passive: false });
  picture.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    picture.setPointerCapture(event.pointerId);
    picture.classList.add("held");
    const group = event.target.closest(".node");
    if (group) choose(groups.indexOf(group));
  });
  picture.addEventListener("pointermove", dragged);
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      picture.classList.toggle("held", pointers.size > 0);
    });
  }
  $("zoom-in").addEventListener("click", () => zoom(1.25));
  $("zoom-out").addEventListener("click", () => zoom(0.8));
  $("zoom-fit").addEventListener("click", () => fit());
  new ResizeObserver(look).observe($("canvas"));
}

// --- keys and colours ---

const ZOOMS = { "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": () => fit() };
const PANS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
  const inGraph = picture.contains(event.target);
  if (event.shiftKey && inGraph && PANS[event.key]) pan(...PANS[event.key]);
  else if (STEPS[event.key]) goTo(STEPS[event.key]());
  else if (ZOOMS[event.key]) ZOOMS[event.key]();
  else if (inGraph && ["ArrowUp", "ArrowDown"].includes(event.key)) groups[neighbour(event.key)].focus();
  else return;
  event.preventDefault();
}

/** What the browser keeps of a reader's choice; some keep nothing for a file, and say so by an error. */
const memory = (() => {
  try {
    return localStorage;
  } catch {
    return {};
  }
})();

function startTheme() {
  if (memory.theme) document.documentElement.dataset.theme = memory.theme;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const label = () => { $("theme").textContent = isDark() ? "Light" : "Dark"; };
  $("theme").addEventListener("click", () => {
    memory.theme = document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
}

startTheme();
startPlayer();
startNodes();
startLeaves();
startZoom();
explain();
fit(READABLE);
document.addEventListener("keydown", pressed);
now.chosen = roots[0];
goTo(steps.length - 1);
reveal(roots[0]);
