// All arms at a glance: their table at one k, and their curves, by model and what was trained from it.
// Knows the arms' figures; which k, kind of curve and pair are chosen it is told.

const CURVES = ["pass", "value", "expression"]; // votes by value, by expression
const families = [...new Set(arms.map((arm) => arm.family))].map((family) => arms.map((_, i) => i).filter((i) => arms[i].family === family));
const ks = [...new Set(arms.flatMap((arm) => arm.at.map(([k]) => k)))].sort((a, b) => a - b);
const ballots = CURVES.slice(1).filter((ballot) => arms.some((arm) => arm.votes[ballot]));

// As many draws as more than half of the arms with several have.
function usualK() {
  const draws = arms.map((arm) => arm.draws).filter((count) => count > 1).sort((a, b) => b - a);
  return ks.filter((k) => k <= (draws[Math.floor(draws.length / 2)] ?? 1)).at(-1);
}

const curveOf = (arm, kind) => (kind === "pass" ? arm.at.map(([k, share, , ...ends]) => [k, share, ...ends]) : arm.votes[kind] || []);
const atK = (arm, kind, k) => curveOf(arm, kind).find(([one]) => one === k);
const chanceAt = (arm, k) => arm.at.find(([one]) => one === k)?.[2] ?? null;

function interval([, share, low, high, doubt]) {
  if (low === undefined) return null;
  const digits = share > 0 && share < 0.00995 ? 2 : 1;
  return el("span", { className: doubt ? "ends doubt" : "ends", title: doubt ? `not trustworthy: ${doubt}` : "95% interval" }, ` [${(100 * low).toFixed(digits)}, ${(100 * high).toFixed(digits)}]`);
}

const figure = (point, ...more) => el("td", { className: "number" }, ...(point ? [percent(point[1]), interval(point)] : ["–"]), ...more);

// The columns of the table: a key that no k changes, name, what to sort by and the cell of an arm; those that no arm has anything
// in are left out.
function columns(k) {
  const share = (value) => el("td", { className: "number quiet" }, value === null ? "–" : percent(value));
  const curve = (key, name, kind, at) => ({ key, name, of: (arm) => atK(arm, kind, at)?.[1] ?? null, cell: (arm) => figure(atK(arm, kind, at)) });
  const count = (key, of, needed) => ({ key, name: key, of, needed, cell: (arm) => el("td", { className: "number" }, of(arm) === null ? "–" : many(of(arm))) });
  const votes = ballots.map((kind) => curve(kind, `vote@${many(k)}${ballots.length > 1 ? ` by ${kind}` : ""}`, kind, k));
  const found = [curve("one", "pass@1", "pass", 1), ...(k > 1 ? [curve("pass", `pass@${many(k)}`, "pass", k), ...votes] : []),
    { key: "chance", name: `chance@${many(k)}`, of: (arm) => chanceAt(arm, k), cell: (arm) => share(chanceAt(arm, k)), needed: (arm) => chanceAt(arm, k) !== null },
    count("solved", (arm) => arm.solved), count("draws", (arm) => arm.draws),
    { key: "tokens", name: "tokens", of: (arm) => arm.tokens, cell: (arm) => el("td", { className: "number" }, arm.tokens === null ? "–" : arm.tokens.toFixed(1)), needed: (arm) => arm.tokens !== null },
    { key: "cut", name: "cut off", of: (arm) => arm.cutOff, cell: (arm) => share(arm.cutOff), needed: (arm) => arm.cutOff > 0 }];
  return found.filter(({ needed }) => !needed || arms.some(needed));
}

// A column's head: a button that sorts by it, largest first, and the other way round when it is pressed again. That of the names
// brings back the order that the page opens with, which is no column's.
function sortHead({ key, name }, { by, falling }, sort) {
  const order = by !== key || (key === "arm" && !falling) ? "none" : falling ? "descending" : "ascending";
  const press = () => sort(key, by === key ? !falling : key !== "arm");
  return el("th", { scope: "col", className: key === "arm" ? "" : "number", "aria-sort": order },
    el("button", { type: "button", id: `arms-by-${key}`, onclick: press }, name, el("span", { "aria-hidden": "true" }, { none: "", descending: " ↓", ascending: " ↑" }[order])));
}

// Places of arms in the order of a column; those without a value come last, and equals stay as they were.
function sorted(inside, column, falling) {
  const of = (i) => (column ? column.of(arms[i]) : i);
  return [...inside].sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return (falling ? y - x : x - y) || a - b;
  });
}

// Each model's arms are sorted among themselves: other models may have been asked other problems. `state`: the pair, k, the order.
function armsTable(state, choose, sort) {
  const shown = columns(state.k);
  const column = shown.find(({ key }) => key === state.by);
  const order = column ? state : { by: "arm", falling: state.by === "arm" && state.falling };
  const head = el("tr", null, ...[{ key: "arm", name: "arm" }, ...shown].map((one) => sortHead(one, order, sort)), el("th", { scope: "col" }, "compare"));
  const groups = [...new Set(arms.map((arm) => `${arm.model}\n${arm.trained}\n${arm.task}`))];
  const bodies = groups.map((group) => {
    const inside = arms.map((_, i) => i).filter((i) => `${arms[i].model}\n${arms[i].trained}\n${arms[i].task}` === group);
    const first = arms[inside[0]];
    const title = [first.trained ? `${first.model}, ${first.trained}` : first.model, first.task, problemsOf(inside)].join(" · ");
    const heading = el("th", { scope: "rowgroup", colSpan: shown.length + 2 }, el("span", null, title));
    const rows = sorted(inside, column, order.falling).map((i) => armRow(i, shown, state, choose));
    return el("tbody", null, el("tr", { className: "group" }, heading), ...rows);
  });
  return [el("thead", null, head), ...bodies];
}

function problemsOf(inside) {
  const counts = inside.map((i) => arms[i].problems), [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? counted(most, "problem") : `${many(least)} to ${many(most)} problems`;
}

function armRow(i, shown, pair, choose) {
  const arm = arms[i];
  const key = el("span", { className: `key kind-${arm.kind}`, "aria-hidden": "true" });
  key.style.setProperty("--tone", colourOf(i));
  const settings = arm.apart ? el("span", { className: "quiet apart" }, arm.apart) : null;
  const name = el("th", { scope: "row" }, key, arm.value ? el("span", { className: "method" }, `${arm.method} `) : arm.method, arm.value, settings);
  const buttons = ["first", "second"].map((role) => {
    const chosen = pair[role] === i;
    return el("button", { type: "button", id: `choose-${role}-${i}`, className: `choose ${role}`, "aria-pressed": String(chosen), "aria-label": `${arm.name} as the ${role} arm`, title: `compare as the ${role} arm`, onclick: () => choose(role, i) }, role === "first" ? "1" : "2");
  });
  return el("tr", { "data-arm": String(i) }, name, ...shown.map(({ cell }) => cell(arm)), el("td", { className: "roles" }, ...buttons));
}

// Dark to light by place among the arms of the same kind and family; the ends are in the style sheet.
function colourOf(i) {
  const alike = families.find((family) => family.includes(i)).filter((other) => arms[other].kind === arms[i].kind);
  const part = alike.length > 1 ? alike.indexOf(i) / (alike.length - 1) : 0.35;
  return `color-mix(in oklab, var(--kind-${arms[i].kind}-from), var(--kind-${arms[i].kind}-to) ${Math.round(100 * part)}%)`;
}

// One picture for each family: lines of arms with several draws, a mark at k = 1 for those with one, chance, the ceiling.
function curves(kind, pair, width) {
  const panels = families.map((family) => panel(family, kind, pair, width)).filter(Boolean);
  return panels.length ? panels : [el("p", { className: "quiet" }, "No arm has several draws of a problem to vote with.")];
}

function panel(family, kind, pair, width) {
  const mine = family.filter((i) => curveOf(arms[i], kind).length);
  if (!mine.length) return null;
  const solving = mine.filter((i) => arms[i].solved > 0);
  const idle = mine.filter((i) => !arms[i].solved);
  const models = [...new Set(family.map((i) => arms[i].model))];
  const name = models.length > 1 ? "short" : "alone"; // the model is in the picture's title
  const single = solving.filter((i) => arms[i].draws === 1);
  const series = solving.map((i) => ({
    name: arms[i][name], tone: `kind-${arms[i].kind}`, colour: colourOf(i), arm: String(i), points: curveOf(arms[i], kind),
    band: arms[i].draws > 1 && (i === pair.first || i === pair.second), mark: arms[i].draws === 1 ? "diamond" : solving.length > 8 ? "none" : "dot",
    label: arms[i].draws === 1 && single.length <= 3,
  }));
  const deepest = arms[mine.reduce((a, b) => (arms[b].draws > arms[a].draws ? b : a))];
  if (kind === "pass" && solving.length) series.push(...nothingNeeded(deepest));
  const title = `${clipped(models[0], 60)}${models.length > 1 ? ` and ${counted(models.length - 1, "trained model")}` : ""}`;
  const what = kind === "pass" ? "pass@k" : `vote@k by ${kind}`;
  const best = [...solving].sort((a, b) => curveOf(arms[b], kind).at(-1)[1] - curveOf(arms[a], kind).at(-1)[1])[0];
  const about = best === undefined ? "" : `${what} of ${counted(solving.length, "arm")}, best at its last k: ${arms[best][name]}, ${percent(curveOf(arms[best], kind).at(-1)[1])}`;
  const height = Math.max(320, 90 + LINE * series.length);
  return el("figure", null, el("figcaption", null, families.length > 1 ? title : what),
    solving.length ? chart({ series, about, title: "k, draws (each step doubles)", width, height }) : null,
    idle.length ? el("p", { className: "quiet idle" }, `Solves no problem, so not drawn: ${idle.map((i) => arms[i][name]).join(", ")}.`) : null);
}

// What guessing scores, and how many problems can be solved, at the k of an arm.
function nothingNeeded(arm) {
  const chance = arm.at.filter(([, , share]) => share !== null).map(([k, , share]) => [k, share]);
  const most = (arm.solvable + arm.unknown) / arm.problems;
  const ceiling = most < 1 ? arm.at.map(([k]) => [k, most]) : [];
  return [{ name: "chance", tone: "chance", points: chance }, { name: "ceiling", tone: "ceiling", points: ceiling }].map((one) => ({ ...one, mark: "none" })).filter((one) => one.points.length > 1);
}

// What cannot be trusted, once for each reason.
function doubts(k) {
  const found = arms.flatMap((arm) => ["pass", ...ballots].flatMap((kind) => [1, k].map((at) => atK(arm, kind, at)?.[4]))).filter(Boolean);
  return found.length ? `Intervals in italics are not trustworthy: ${[...new Set(found)].join("; ")}.` : "";
}

function howMade() {
  const { database, runs, began, ended, versions } = core.origin;
  const day = (text) => text.slice(0, 10);
  const days = began ? (day(began) === day(ended || began) ? day(began) : `${day(began)} to ${day(ended)}`) : "";
  const list = el("dl", { className: "facts" });
  const add = (name, ...shown) => list.append(el("dt", null, name), el("dd", null, ...shown));
  add("database", database);
  add("runs", [many(runs), days].filter(Boolean).join(", "));
  add("rollouts", many(core.leftOut.rollouts));
  const packages = Object.entries(versions).map(([name, all]) => `${name} ${all.join(", ")}`);
  if (packages.length) add("versions", visible(packages.join(" · ")));
  for (const [key, value, places] of core.settings) add(key.replaceAll("_", " "), value || "–", places.length === arms.length ? null : el("span", { className: "quiet" }, `  ${armsOf(places)}`));
  if (core.prompt) add(`prompt of problem ${core.prompt.problem_id}`, el("pre", null, visible([...core.prompt.messages, core.prompt.prefill].filter(Boolean).join("\n\n"))));
  return list;
}

const armsOf = (places) => (places.length > 6 ? counted(places.length, "arm") : places.map((i) => arms[i].short).join(", "));
