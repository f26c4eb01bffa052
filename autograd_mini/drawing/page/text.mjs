// Numbers and formulas as text.

export const MISSING = "–";

export function short(number) {
  if (Number.isNaN(number)) return MISSING;
  const size = Math.abs(number);
  if (size === Infinity) return number < 0 ? "−∞" : "∞";
  const scientific = size >= 1e6 || (size > 0 && size < 1e-4);
  const text = scientific
    ? number.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e")
    : size >= 1e4 ? String(Math.round(number)) : String(Number(number.toPrecision(4)));
  return text.replaceAll("-", "−");
}

export function full(number) {
  return Number.isFinite(number) ? String(number).replace("e+", "e").replaceAll("-", "−") : short(number);
}

export const tenDigits = (number) => (Number.isFinite(number) ? full(Number(number.toPrecision(10))) : short(number));

const SIGNS = { "**": "^", "-": "−", "<=": "≤", ">=": "≥", "==": "=", "!=": "≠", inf: "∞", pi: "π" };

/** A formula of Python's in mathematical signs; `name` has the text for its names, or undefined. */
export function written(formula, name = () => undefined, times = "·") {
  const text = formula.replace(/[A-Za-z_]\w*|\*\*|[<>=!]=|[-*]/g, (token) =>
    name(token) ?? (token === "*" ? times : SIGNS[token] ?? token));
  return text.replace(/ \^ /g, "^").replace(/([(,] ?)\(([^()]*)\)(?=[,)])/g, "$1$2");
}

export const conditional = (formula) => formula.includes(" if ");
export const atom = (text) => (/^[^\s+*/()^−-]+$/.test(text) ? text : `(${text})`);
export const derivative = (above, below) => `∂${atom(above)}/∂${atom(below)}`;
export const equation = (...sides) => sides.filter((side, k) => side !== sides[k - 1]).join(" = ");
export const stated = (name, number) => (Number.isNaN(number) ? `${name} has no value` : equation(name, short(number)));
export const counted = (count, noun, nouns = `${noun}s`) => `${count} ${count === 1 ? noun : nouns}`;
