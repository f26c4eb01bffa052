// The page: what a reader does makes the next state, and the state is drawn.

import { $, drawCurve, drawDerivation, drawLeaves, drawNodeCard, drawWitness, fill, slider } from "./cards.mjs";
import { graphOf, gradientsAt, moved, opened, stepped } from "./graph.mjs";
import { bounded, describePicture, drawNumbers, mark, pictureOf } from "./picture.mjs";
import { bare, described, gradientOf, heading, sentence } from "./sentences.mjs";
import { counted, equation, short, stated } from "./text.mjs";
import { BUTTONS, listen, look, opening, panned, revealing, suiting, whole, zoomed } from "./view.mjs";

const PACE = 1200; // milliseconds of a step that plays, of few
const LONGEST = 60000; // milliseconds of all

const say = (text) => { $("spoken").textContent = text; };

/** Start the page, once it has a size: in a cell that is folded nothing can be measured. */
export function start(computation) {
  if ($("canvas").clientWidth) begin(computation);
  else {
    new ResizeObserver((_, observer) => {
      if (!$("canvas").clientWidth) return;
      observer.disconnect();
      begin(computation);
    }).observe($("canvas"));
  }
}

/** Show the graph, whose facts stand in the page; `computation` makes the function that gives its numbers. */
function begin(computation) {
  const graph = graphOf(JSON.parse($("facts").textContent), computation());
  const canvas = $("canvas");
  const pictures = new Map();
  const drawn = $("picture");
  const [across, down] = [drawn, $("downwards").content.firstElementChild ?? drawn].map(bounded);
  let state = opened(graph);
  let picture;
  let view;
  let fitted = true; // until a reader moves the picture
  let sampled; // the curve's points
  let scheduled = false;
  let pause;
  let playing;

  // --- drawing all of it, once a frame ---

  function draw(moving = false) {
    scheduled = false;
    drawNumbers(picture, graph, state, moving);
    const { caption, arithmetic, remark } = described(graph, state);
    [$("caption").textContent, $("arithmetic").textContent, $("remark").textContent] = [caption, arithmetic, remark];
    document.title = $("title").textContent = heading(graph, state.numbers);
    const { culprit } = state.numbers;
    $("trouble").textContent = culprit === undefined ? "" : `No value: ${sentence(graph, state.numbers, culprit)}.`;
    drawDerivation(graph, state);
    drawLeaves(sliders, graph, state, moving);
    if (sliders.length) sampled = drawCurve(graph, state, sampled);
    drawWitness(graph, state);
    drawNodeCard(graph, state);
    clearTimeout(pause);
    pause = setTimeout(rest, 150, moving);
  }

  /** When the numbers have come to rest: those out of sight, and what a screen reader is told. */
  function rest(moving) {
    if (moving) draw();
    describePicture(picture, graph, state);
    if (!moving || !state.moved) return;
    const { numbers } = state;
    const leaf = graph.leaves[state.leaf];
    say(numbers.culprit === undefined
      ? `${equation(bare(graph, numbers, leaf), short(numbers.values[leaf]))}: ${equation(graph.name, short(numbers.root))}, `
        + stated(gradientOf(graph, numbers, leaf), gradientsAt(graph, numbers).sums[leaf])
      : sentence(graph, numbers, numbers.culprit));
  }

  function schedule() {
    if (!scheduled) requestAnimationFrame(() => draw(true));
    scheduled = true;
  }

  // --- stepping and playing ---

  function goTo(step) {
    state = stepped(graph, state, step);
    $("scrubber").value = state.step;
    $("scrubber").setAttribute("aria-valuetext", `step ${state.step} of ${graph.last}, ${graph.steps[state.step].pass}`);
    // Not `disabled`, which would take the focus away from a reader who has just pressed the button.
    $("first").ariaDisabled = $("previous").ariaDisabled = state.step === 0;
    $("last").ariaDisabled = $("next").ariaDisabled = state.step === graph.last;
    $("forward-pass").classList.toggle("now", state.step < graph.seed);
    $("reverse-pass").classList.toggle("now", state.step >= graph.seed);
    draw();
    mark(picture, graph, state);
    if (state.target !== undefined) show(revealing(view, picture, canvas, state.target));
    say(Object.values(described(graph, state)).filter(Boolean).join(". "));
  }

  function play(on) {
    clearInterval(playing);
    playing = undefined;
    if (on) {
      goTo(state.step === graph.last ? 0 : state.step + 1);
      playing = setInterval(() => {
        goTo(state.step + 1);
        if (state.step === graph.last) play(false);
      }, Math.max(Math.min(PACE, LONGEST / graph.last), 100));
    }
    $("play").ariaPressed = String(on);
    $("play").title = $("play").ariaLabel = on ? "Pause (space)" : "Play (space)";
  }

  const STEPS = {
    ArrowRight: () => state.step + 1,
    ArrowLeft: () => state.step - 1,
    Home: () => 0,
    End: () => graph.last,
  };

  function take(step) {
    play(false);
    goTo(step);
  }

  function startPlayer() {
    $("scrubber").max = graph.last;
    $("forward-pass").style.flex = `${graph.seed} 0 0`;
    $("reverse-pass").style.flex = `${graph.last + 1 - graph.seed} 0 0`;
    $("scrubber").addEventListener("input", () => take(Number($("scrubber").value)));
    for (const [id, key] of [["first", "Home"], ["previous", "ArrowLeft"], ["next", "ArrowRight"], ["last", "End"]]) {
      $(id).addEventListener("click", () => take(STEPS[key]()));
    }
    $("play").addEventListener("click", () => play(playing === undefined));
  }

  // --- choosing nodes ---

  function choose(i) {
    if (i === undefined || i === state.chosen) return;
    state = { ...state, chosen: i };
    mark(picture, graph, state);
    drawNodeCard(graph, state);
  }

  function neighbour(key) {
    const place = picture.pictured.indexOf(state.chosen) + (key === "ArrowDown" ? 1 : -1);
    return picture.pictured[Math.min(Math.max(place, 0), picture.pictured.length - 1)];
  }

  // --- leaves ---

  function move(k, number) {
    state = moved(graph, state, k, number);
    schedule();
  }

  /** Come to a leaf: its node is chosen and its curve shown. */
  function visit(k) {
    if (k !== state.leaf) {
      state = { ...state, leaf: k, moved: false };
      draw();
    }
    choose(graph.leaves[k]);
  }

  const sliders = graph.leaves.map((_, k) => slider(graph, state.numbers, k, move, visit));

  function startLeaves() {
    $("leaves").append(...sliders.map(({ row }) => row));
    sliders.forEach(({ field }, k) => field.addEventListener("blur", () => fill(field, state.point[k])));
    $("leaves-card").hidden = sliders.length === 0;
    $("reset").addEventListener("click", () => {
      state = stepped(graph, { ...opened(graph), leaf: state.leaf }, state.step);
      draw();
      say("All leaves are back at their saved numbers.");
    });
    const anew = Object.entries(graph.rows).filter(([, row]) => row.decides).map(([row]) => row);
    $("summary").textContent = `${counted(graph.nodes.length, "node")}, ${counted(graph.leaves.length, "leaf", "leaves")}`;
    if (anew.length) $("branches").append(` Decided anew at every move: ${anew.join(", ")}.`);
  }

  // --- the picture ---

  function show(next) {
    if (next === view) return;
    view = next;
    look(view, picture, canvas);
  }

  const change = (next) => {
    fitted = false;
    show(next(view));
  };

  const fit = () => {
    show(whole(picture, canvas));
    fitted = true;
  };

  /** The picture that suits the width of the canvas. */
  function arrange() {
    if (!canvas.clientWidth) return;
    const way = suiting(across, down, canvas.clientWidth);
    if (picture?.svg !== way.svg) {
      (picture?.svg ?? drawn).replaceWith(way.svg);
      if (!pictures.has(way)) {
        pictures.set(way, pictureOf(way, graph));
        startPicture(pictures.get(way));
      }
      picture = pictures.get(way);
      mark(picture, graph, state);
      draw();
      fitted = true;
    }
    const { width, height } = picture.bounds;
    canvas.style.setProperty("--tall", `${Math.round(height * Math.min((canvas.clientWidth - 32) / width, 1.3) + 32 + BUTTONS)}px`);
    if (fitted) show(opening(picture, canvas, state.chosen));
    else look(view, picture, canvas);
  }

  function startPicture({ svg, groups, pictured }) {
    for (const i of pictured) {
      groups[i].addEventListener("pointerenter", () => choose(i));
      groups[i].addEventListener("focus", () => {
        choose(i);
        show(revealing(view, picture, canvas, i));
      });
    }
    svg.addEventListener("pointerdown", (event) => choose(pictured.find((i) => groups[i].contains(event.target))));
    listen(svg, change);
  }

  function startZoom() {
    $("zoom-in").addEventListener("click", () => change((now) => zoomed(now, 1.25)));
    $("zoom-out").addEventListener("click", () => change((now) => zoomed(now, 0.8)));
    $("zoom-fit").addEventListener("click", fit);
    new ResizeObserver(arrange).observe(canvas);
  }

  // --- keys, colours and frames ---

  const ZOOMS = { "+": () => change((now) => zoomed(now, 1.25)), "-": () => change((now) => zoomed(now, 0.8)), "0": fit };
  ZOOMS["="] = ZOOMS["+"];
  const PANS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
    const inGraph = picture.svg.contains(event.target);
    if (event.shiftKey && inGraph && PANS[event.key]) change((now) => panned(now, ...PANS[event.key]));
    else if (STEPS[event.key]) take(STEPS[event.key]());
    else if (ZOOMS[event.key]) ZOOMS[event.key]();
    else if (inGraph && ["ArrowUp", "ArrowDown"].includes(event.key)) picture.groups[neighbour(event.key)].focus();
    else if (event.key === " " && !event.target.closest("button, summary")) play(playing === undefined);
    else return;
    event.preventDefault();
  }

  startTheme();
  startPlayer();
  startLeaves();
  startZoom();
  arrange();
  document.addEventListener("keydown", pressed);
  goTo(graph.last);
  if (window.frameElement) startFrame(window.frameElement);
}

/** What the browser keeps of a reader's choice; some keep nothing for a file, and say so by an error. */
function memory() {
  try {
    return localStorage;
  } catch {
    return {};
  }
}

const THEME = "autograd-mini theme";

function startTheme() {
  const kept = memory();
  if (kept[THEME]) document.documentElement.dataset.theme = kept[THEME];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const label = () => { $("theme").textContent = isDark() ? "Light" : "Dark"; };
  $("theme").addEventListener("click", () => {
    kept[THEME] = document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
}

/** In a notebook's cell the frame is as high as the page, which then has no height of its own to go by. */
function startFrame(frame) {
  document.documentElement.dataset.framed = "";
  new ResizeObserver(() => { frame.style.height = `${Math.ceil(document.body.getBoundingClientRect().height)}px`; }).observe(document.body);
}
