// One problem: its facts, every arm's rate, the pass@k curve of two arms, their rollouts.
// Knows the data and how to build elements. Everything from the data becomes a text node, never markup.
"use strict";

const core = JSON.parse(document.getElementById("core").textContent);
const { arms, problems, cells } = core;
const GROUPS = ["both", "first", "second", "neither"];

function el(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name in made && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const many = (count) => count.toLocaleString("en-US");
const counted = (count, thing) => `${many(count)} ${thing}${count === 1 ? "" : "s"}`;
const dot = (tone) => el("span", { className: `dot ${tone}`, "aria-hidden": "true" });

// One decimal, ties to the even digit as in the report; of the values at a tie only those with .25 would differ.
const rounded = (points) => (points % 1 === 0.25 ? `${Math.floor(points)}.2` : points.toFixed(1));

function percent(share) {
  const points = 100 * share;
  if (points > 0 && points < 0.095) return `${points.toPrecision(1)}%`;
  return `${rounded(points)}%`;
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}

// What cannot be seen, or would reorder the line, is shown as its code: controls but line breaks and tabs, bidirectional marks,
// joiners, tags and variation selectors, fillers, the empty Braille pattern, and code points that are none.
const HIDDEN = /(?![\n\t])[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
function visible(text) {
  return text.replace(HIDDEN, (c) => {
    const code = c.codePointAt(0).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}

// 1 − C(n−c, k) / C(n, k), by whichever product is shorter.
function passAtK(n, c, k) {
  if (n - c < k) return 1;
  let miss = 1;
  if (c < k) for (let i = 0; i < c; i++) miss *= (n - k - i) / (n - i);
  else for (let i = 0; i < k; i++) miss *= (n - c - i) / (n - i);
  return 1 - miss;
}

function budgets(most) {
  const ks = [];
  for (let k = 1; k < most; k *= 2) ks.push(k);
  return [...ks, most];
}

// How many draws of both arms count: as many as at least half of their common problems have, the first in their order.
const depths = new Map();
function depthOf(first, second) {
  const key = `${first} ${second}`;
  if (!depths.has(key)) {
    const fewer = problems.flatMap((_, i) => (cells[first][i] && cells[second][i] ? [Math.min(cells[first][i][0], cells[second][i][0])] : []));
    depths.set(key, fewer.sort((a, b) => a - b)[Math.floor(fewer.length / 2)] ?? 0);
  }
  return depths.get(key);
}

// The group of a problem for two arms, by their first draws, equally many of each; null where one of them has fewer.
function groupOf(problem, first, second) {
  const a = cells[first][problem], b = cells[second][problem], depth = depthOf(first, second);
  if (!a || !b || a[0] < depth || b[0] < depth) return null;
  const [x, y] = [a, b].map((cell) => cell[2] !== null && cell[2] < depth);
  return x ? (y ? "both" : "first") : y ? "second" : "neither";
}

function groupName(group, first, second) {
  if (first === second) return group === "both" ? "Solved" : "Not solved";
  if (group === "both" || group === "neither") return group === "both" ? "Both" : "Neither";
  return `Only ${arms[group === "first" ? first : second].name}`;
}

function meter(share) {
  const fill = el("i");
  fill.style.width = `${100 * share}%`;
  return el("span", { className: "meter", "aria-hidden": "true" }, fill);
}

function facts(problem) {
  const list = el("dl", { className: "facts" });
  const add = (name, ...shown) => list.append(el("dt", null, name), el("dd", null, ...shown));
  for (const [key, value] of Object.entries(problem.payload)) add(visible(key), visible(plain(value)));
  if (problem.solution !== null) add("a solution", el("code", null, visible(problem.solution)));
  else add("a solution", problem.solvable === 0 ? "none: proven unsolvable" : "not known");
  if (problem.chance === null) add("chance", "not known");
  else add("chance", problem.chance ? `${percent(problem.chance)}, one random valid answer in ${many(Math.round(1 / problem.chance))}` : "0%");
  return list;
}

function rates(problem, first, second) {
  const body = el("tbody");
  arms.forEach((arm, i) => {
    const cell = cells[i][problem];
    const role = i === first ? "first" : i === second ? "second" : "";
    const name = el("th", { scope: "row" }, role ? dot(role) : null, arm.name, role ? el("span", { className: "unseen" }, ` (${role} arm)`) : null);
    const share = cell && cell[1] / cell[0];
    body.append(el("tr", { className: role }, name,
      el("td", { className: "number" }, cell ? `${many(cell[1])} of ${many(cell[0])}` : "not drawn"),
      el("td", { className: "number" }, cell ? percent(share) : "", cell ? meter(share) : null)));
  });
  const head = el("tr", null, el("th", { scope: "col" }, "arm"), el("th", { scope: "col", className: "number" }, "correct"),
    el("th", { scope: "col", className: "number" }, "solve rate"));
  return el("div", { className: "framed" }, el("table", { id: "rates" }, el("thead", null, head), body));
}

function curve(problem, first, second) {
  const lines = [["first", first], ["second", second]].filter(([, arm], i) => cells[arm][problem] && (i === 0 || arm !== first));
  if (!lines.length) return el("p", { className: "quiet" }, "Neither arm has drawn this problem.");
  const most = Math.max(...lines.map(([, arm]) => cells[arm][problem][0]));
  const series = lines.map(([tone, arm]) => {
    const [n, c] = cells[arm][problem];
    return { tone, name: arms[arm].name, at: new Map(budgets(n).map((k) => [k, passAtK(n, c, k)])) };
  });
  const chance = problems[problem].chance;
  if (chance !== null) series.push({ tone: "chance", name: "chance", at: new Map(budgets(most).map((k) => [k, 1 - (1 - chance) ** k])) });
  const ks = [...new Set(series.flatMap((one) => [...one.at.keys()]))].sort((a, b) => a - b);
  const head = el("tr", null, el("th", { scope: "col", className: "number" }, "k"));
  for (const one of series) {
    const key = el("span", { className: `key ${one.tone}`, "aria-hidden": "true" });
    head.append(el("th", { scope: "col", className: "number" }, key, one.tone === "chance" ? "chance" : `${one.tone}`));
  }
  const rows = ks.map((k) => el("tr", null, el("th", { scope: "row", className: "number" }, many(k)),
    ...series.map((one) => el("td", { className: "number" }, one.at.has(k) ? percent(one.at.get(k)) : ""))));
  const table = el("table", { id: "curve", "aria-label": "pass@k of this problem" }, el("thead", null, head), el("tbody", null, ...rows));
  return el("div", { className: "curve" }, picture(series, most), el("div", { className: "framed" }, table));
}

function picture(series, most) {
  const [left, right, top, bottom] = [42, 448, 12, 218];
  const x = (k) => (most === 1 ? (left + right) / 2 : left + ((right - left) * Math.log2(k)) / Math.log2(most));
  const y = (share) => bottom - (bottom - top) * share;
  const ends = series.map((one) => `${one.name} ${percent([...one.at.values()].at(-1))}`).join(", ");
  const svg = drawn("svg", { viewBox: "0 0 460 262", role: "img", "aria-label": `pass@k from k = 1 to ${most}; at the end: ${ends}` });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(drawn("line", { class: share ? "grid" : "axis", x1: left, x2: right, y1: y(share), y2: y(share) }));
    svg.append(drawn("text", { x: left - 7, y: y(share) + 4, "text-anchor": "end" }, `${100 * share}%`));
  }
  let last = Infinity;
  for (const k of budgets(most).reverse()) {
    if (last - x(k) < 30) continue;
    last = x(k);
    svg.append(drawn("line", { class: "axis", x1: last, x2: last, y1: bottom, y2: bottom + 4 }));
    svg.append(drawn("text", { x: last, y: bottom + 17, "text-anchor": "middle" }, many(k)));
  }
  svg.append(drawn("text", { x: (left + right) / 2, y: bottom + 38, "text-anchor": "middle" }, "k, draws (each step doubles)"));
  for (const one of [...series].reverse()) {
    const points = [...one.at].map(([k, share]) => [x(k).toFixed(1), y(share).toFixed(1)]);
    svg.append(drawn("polyline", { class: one.tone, points: points.map((point) => point.join(",")).join(" ") }));
    if (one.tone !== "chance" || points.length === 1) for (const [cx, cy] of points) svg.append(drawn("circle", { class: one.tone, cx, cy, r: 2.6 }));
  }
  return svg;
}

function rollouts(problem, arm, tone) {
  const cell = cells[arm][problem];
  const part = el("section", { className: tone, "aria-label": `Rollouts of ${arms[arm].name}` }, el("h3", null, arms[arm].name));
  if (!cell) return part.append(el("p", { className: "quiet" }, "This arm never drew this problem.")), part;
  const here = JSON.parse(document.getElementById(`rollouts-${problem}`).textContent)[arm] || [];
  const right = here.filter((row) => row[1]).length;
  const [n, c] = cell;
  const all = here.length === n && n > 1 ? `All ${counted(n, "rollout")}` : `${here.length} of ${counted(n, "rollout")}`;
  part.append(el("p", { className: "quiet figures" }, `${all}: ${right} of ${many(c)} correct, ${here.length - right} of ${many(n - c)} wrong`));
  part.append(...here.map(rollout));
  return part;
}

function rollout([draw, correct, reason, answer, seed, tokens, finish, text]) {
  const verdict = correct ? el("span", { className: "ok" }, "✓ correct") : `✗ ${visible(reason).replaceAll("_", " ")}`;
  const where = [`draw ${draw}`, seed === null ? null : `seed of the perturbation ${seed}`, tokens === null ? null : `${many(tokens)} tokens`, `ended by ${visible(finish)}`];
  const card = el("article", null, el("h4", null, verdict),
    el("p", { className: "where figures" }, where.filter((one) => one !== null).join(" · ")),
    el("p", { className: "where" }, ...(answer === null ? ["no answer"] : ["answer ", el("code", null, visible(answer))])));
  const parts = typeof text === "string" ? [text] : [text[0], text[2]];
  let place = parts.length - 1;
  let at = answer ? lastPlace(parts[place], answer) : -1;
  if (answer && at < 0 && place) at = lastPlace(parts[(place = 0)], answer);
  const shown = el("pre");
  parts.forEach((part, i) => {
    if (i) shown.append(el("span", { className: "gap" }, `… ${many(text[1])} characters left out here …`));
    if (i !== place || at < 0) shown.append(visible(part));
    else shown.append(visible(part.slice(0, at)), el("mark", null, visible(answer)), visible(part.slice(at + answer.length)));
  });
  card.append(shown);
  return card;
}

// Where the answer is: its last place between tags, otherwise its last place.
function lastPlace(text, answer) {
  for (let at = text.lastIndexOf(answer); at >= 0; at = at ? text.lastIndexOf(answer, at - 1) : -1) {
    if (/>\s*$/.test(text.slice(Math.max(0, at - 40), at)) && /^\s*</.test(text.slice(at + answer.length))) return at;
  }
  return text.lastIndexOf(answer);
}
