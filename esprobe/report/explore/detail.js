// One problem: its facts, every arm's rate, the pass@k curve of two arms, their rollouts.
// Knows the data and the chart; which problem and arms are chosen it is told.

const GROUPS = ["both", "first", "second", "neither"];

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

// Among arms of several models the arm first, which is seen where there is no room for more than the beginning.
function nameToChoose({ short, alone, apart }) {
  const name = short.endsWith(` ${alone}`) ? `${alone}, ${short.slice(0, -alone.length - 1)}` : short;
  return apart ? `${name} (${apart})` : name;
}

// An arm's short name next to another's, without the model where that is the same.
function nameBeside(arm, other) {
  const [one, two] = [arms[arm], arms[other]];
  return one.model === two.model && (arm === other || one.alone !== two.alone) ? one.alone : one.short;
}

function groupName(group, first, second) {
  if (first === second) return group === "both" ? "Solved" : "Not solved";
  if (group === "both" || group === "neither") return group === "both" ? "Both" : "Neither";
  return `Only ${group === "first" ? nameBeside(first, second) : nameBeside(second, first)}`;
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

function curve(problem, first, second, width) {
  const lines = [["first", first], ["second", second]].filter(([, arm], i) => cells[arm][problem] && (i === 0 || arm !== first));
  if (!lines.length) return el("p", { className: "quiet" }, "Neither arm has drawn this problem.");
  const most = Math.max(...lines.map(([, arm]) => cells[arm][problem][0]));
  const series = lines.map(([tone, arm]) => {
    const [n, c] = cells[arm][problem];
    return { tone, name: nameBeside(arm, arm === first ? second : first), at: new Map(budgets(n).map((k) => [k, passAtK(n, c, k)])) };
  });
  const chance = problems[problem].chance;
  if (chance !== null) series.push({ tone: "chance", name: "chance", at: new Map(budgets(most).map((k) => [k, 1 - (1 - chance) ** k])) });
  const ks = [...new Set(series.flatMap((one) => [...one.at.keys()]))].sort((a, b) => a - b);
  const head = el("tr", null, el("th", { scope: "col", className: "number" }, "k"));
  for (const one of series) {
    const key = el("span", { className: `key ${one.tone}`, "aria-hidden": "true" });
    head.append(el("th", { scope: "col", className: "number" }, key, one.name));
  }
  const rows = ks.map((k) => el("tr", null, el("th", { scope: "row", className: "number" }, many(k)),
    ...series.map((one) => el("td", { className: "number" }, one.at.has(k) ? percent(one.at.get(k)) : ""))));
  const table = el("table", { id: "curve", "aria-label": "pass@k of this problem" }, el("thead", null, head), el("tbody", null, ...rows));
  return el("div", { className: "curve" }, picture(series, most, width), el("div", { className: "framed" }, table));
}

function picture(series, most, width) {
  const ends = series.map((one) => `${one.name} ${percent([...one.at.values()].at(-1))}`).join(", ");
  const about = `pass@k from k = 1 to ${most}; at the end: ${ends}`;
  const lines = series.map((one) => ({ ...one, points: [...one.at], mark: one.tone === "chance" ? "none" : "dot" }));
  return chart({ series: lines, about, title: "k, draws (each step doubles)", width, height: 262, whole: true, names: false });
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

// The answer and, where it has to be worked out, the value that it came out at.
function answered(answer, ballot) {
  if (answer === null) return ["no answer"];
  const worked = ballot !== null && ballot !== answer ? [" = ", el("code", null, visible(ballot))] : [];
  return ["answer ", el("code", null, visible(answer)), ...worked];
}

function rollout([draw, correct, reason, answer, seed, tokens, finish, text, ballot]) {
  const verdict = correct ? el("span", { className: "ok" }, "✓ correct") : `✗ ${visible(reason).replaceAll("_", " ")}`;
  const where = [`draw ${draw}`, seed === null ? null : `seed of the perturbation ${seed}`, tokens === null ? null : `${many(tokens)} tokens`, `ended by ${visible(finish)}`];
  const card = el("article", null, el("h4", null, verdict),
    el("p", { className: "where figures" }, where.filter((one) => one !== null).join(" · ")),
    el("p", { className: "where" }, ...answered(answer, ballot)));
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
