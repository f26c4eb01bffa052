// Zoom and pan. A view is the picture's point in the middle of the canvas, and its magnification.

import { cull } from "./picture.mjs";

const LEGIBLE = 0.7; // the least scale at which all is drawn; below it each box has its name and its number,
const CLEAR = 0.33; // below this its name alone,
const FAINT = 0.12; // below this nothing
const NARROW = 640; // pixels
const SHAPE = 0.6; // the height of a canvas that is not narrow, by its width: its own may follow the picture
const MARGIN = 32; // pixels around the whole picture
export const BUTTONS = 32; // above it, where the buttons are
const NAME = 13; // pixels of a name from afar

/** Which of two pictures is the larger on a canvas of that width; on a narrow one what goes from top to bottom. */
export function suiting(across, down, width) {
  const scale = ({ bounds }) => Math.min(width / bounds.width, (SHAPE * width) / bounds.height);
  return width < NARROW || scale(down) > scale(across) ? down : across;
}

/** The view in which the whole picture is seen. */
export function whole({ bounds }, { clientWidth, clientHeight }) {
  const size = Math.min((clientWidth - MARGIN) / bounds.width, (clientHeight - MARGIN - BUTTONS) / bounds.height, 1.6);
  const scale = Math.max(size, 0.01);
  return { x: bounds.x + bounds.width / 2, y: bounds.y + (bounds.height - BUTTONS / scale) / 2, scale };
}

/** The view at the start: the whole, or where not even names could be read the part around a node. */
export function opening(picture, canvas, i) {
  const all = whole(picture, canvas);
  return all.scale < FAINT ? revealing({ ...all, scale: LEGIBLE }, picture, canvas, i) : all;
}

/** A view magnified by `factor` around a point of the canvas, given from its middle. */
export function zoomed({ x, y, scale }, factor, across = 0, down = 0) {
  const next = Math.min(Math.max(scale * factor, 0.02), 12);
  return { x: x + across / scale - across / next, y: y + down / scale - down / next, scale: next };
}

export const panned = ({ x, y, scale }, across, down) => ({ x: x - across / scale, y: y - down / scale, scale });

/** The view moved until a node can be seen, if it cannot; it shows no more than a margin beside the picture. */
export function revealing(view, { bounds, middles }, { clientWidth, clientHeight }, i) {
  const at = middles.groups[i];
  if (!at) return view;
  const [width, height] = [clientWidth / view.scale, clientHeight / view.scale];
  if (Math.abs(at.x - view.x) < width / 2 - 60 && Math.abs(at.y - view.y) < height / 2 - 40) return view;
  return {
    x: within(at.x, bounds.x, bounds.width, width),
    y: within(at.y, bounds.y, bounds.height, height),
    scale: view.scale,
  };
}

/** The middle of a window `seen` wide, moved so that it shows no more than a margin beside the picture. */
function within(middle, start, size, seen) {
  const play = Math.max(0, (size - seen) / 2 + 20);
  const centre = start + size / 2;
  return Math.min(Math.max(middle, centre - play), centre + play);
}

/** Show the picture so. */
export function look(view, picture, { clientWidth, clientHeight }) {
  const [width, height] = [clientWidth / view.scale, clientHeight / view.scale];
  const { svg } = picture;
  svg.setAttribute("viewBox", [view.x - width / 2, view.y - height / 2, width, height].join(" "));
  svg.classList.toggle("afar", view.scale < LEGIBLE);
  svg.classList.toggle("faint", view.scale < CLEAR);
  svg.style.setProperty("--wanted", `${NAME / view.scale}px`);
  cull(picture, view.scale >= FAINT);
}

/** Let a wheel, a mouse and fingers change the view of a picture: `change` gets a function of the view. */
export function listen(svg, change) {
  const pointers = new Map();
  const around = (x, y) => {
    const box = svg.getBoundingClientRect();
    return [x - box.x - box.width / 2, y - box.y - box.height / 2];
  };
  const spread = () => {
    const [a, b] = pointers.values();
    return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015));
    change((view) => zoomed(view, factor, ...around(event.clientX, event.clientY)));
  }, { passive: false });
  svg.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    svg.setPointerCapture(event.pointerId);
    svg.classList.add("held");
  });
  svg.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const apart = pointers.size === 2 ? spread() : undefined;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!apart) {
      change((view) => panned(view, event.clientX - before.x, event.clientY - before.y));
      return;
    }
    const { distance, x, y } = spread();
    change((view) => zoomed(panned(view, x - apart.x, y - apart.y), distance / apart.distance, ...around(x, y)));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    svg.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      svg.classList.toggle("held", pointers.size > 0);
    });
  }
}
