// The page around the views: which is open, two arms, four groups, search, sort, the list, the keyboard, all of it in the fragment.
// Knows the state and which parts show it; how views look is in overview.js, training.js and detail.js.

const byId = (id) => document.getElementById(id);
const COLUMNS = [
  { key: "id", name: "#", number: true, of: (i) => problems[i].id },
  { key: "problem", name: "Problem", of: (i) => words[i] },
  { key: "chance", name: "Chance", number: true, extra: true, of: (i) => problems[i].chance },
  { key: "first", name: "First", number: true, of: (i) => rate(state.first, i) },
  { key: "second", name: "Second", number: true, of: (i) => rate(state.second, i) },
  { key: "difference", name: "Difference, points", number: true, extra: true, of: (i) => difference(i) },
];
const ROWS = 500;
const words = problems.map((problem) => Object.entries(problem.payload).map(([key, value]) => `${key} ${plain(value)}`).join(" "));
const haystacks = problems.map((problem, i) => `#${problem.id} ${words[i]} ${problem.solution || ""}`.toLowerCase());
// By digest, which is the same in every database; by id for people.
const places = new Map(problems.flatMap((problem, i) => [[String(problem.id), i], [problem.link, i]]));
const armPlaces = new Map(arms.flatMap((arm, i) => [[String(arm.id), i], [arm.link, i]]));
const VIEWS = ["overview", "training", "problems"].filter((view) => view !== "training" || core.trainings.length);
let state, listed = [], most = ROWS;

const rate = (arm, i) => (cells[arm][i] ? cells[arm][i][1] / cells[arm][i][0] : null);
function difference(i) {
  const a = rate(state.first, i), b = rate(state.second, i);
  return a === null || b === null ? null : a - b;
}

// The fragment has what differs from the page as it opens, so a link is short and still works in a rebuilt file.
function readFragment() {
  const given = new URLSearchParams(location.hash.slice(1));
  const sort = given.get("sort") || "id";
  const problem = places.get(given.get("problem")) ?? null;
  const view = VIEWS.includes(given.get("view")) ? given.get("view") : problem === null ? "overview" : "problems";
  const known = COLUMNS.find((column) => column.key === sort.replace(/^-/, ""));
  const order = given.get("arms") || "arm";
  return {
    first: armPlaces.get(given.get("first")) ?? core.first,
    second: armPlaces.get(given.get("second")) ?? core.second,
    group: GROUPS.includes(given.get("group")) ? given.get("group") : "all",
    search: given.get("search") || "",
    sort: known ? known.key : "id",
    down: known !== undefined && sort.startsWith("-"),
    problem: view === "problems" ? problem : null,
    view,
    k: ks.find((k) => String(k) === given.get("k")) ?? usualK(),
    by: order.replace(/^-/, ""),
    falling: order.startsWith("-"),
    curves: ["pass", ...ballots].includes(given.get("curves")) ? given.get("curves") : "pass",
  };
}

function writeFragment(push) {
  const given = new URLSearchParams();
  if (state.view !== "overview" && state.problem === null) given.set("view", state.view);
  if (state.k !== usualK()) given.set("k", state.k);
  if (state.by !== "arm" || state.falling) given.set("arms", (state.falling ? "-" : "") + state.by);
  if (state.curves !== "pass") given.set("curves", state.curves);
  if (state.first !== core.first) given.set("first", arms[state.first].link);
  if (state.second !== core.second) given.set("second", arms[state.second].link);
  if (state.group !== "all") given.set("group", state.group);
  if (state.search) given.set("search", state.search);
  if (state.sort !== "id" || state.down) given.set("sort", (state.down ? "-" : "") + state.sort);
  if (state.problem !== null) given.set("problem", problems[state.problem].link);
  const fragment = `#${given}`;
  if (fragment !== (location.hash || "#")) history[push ? "pushState" : "replaceState"](null, "", fragment);
}

function change(news, push = false) {
  const opened = "problem" in news && news.problem !== state.problem;
  state = { ...state, ...news };
  if (state.first === state.second && (state.group === "first" || state.group === "second")) state.group = "all";
  if (!opened) most = ROWS;
  writeFragment(push);
  show();
}

function matches(i) {
  return state.search.toLowerCase().split(/\s+/).filter(Boolean).every((term) => {
    let at = haystacks[i].indexOf(term);
    if (!/^[\d.]+$/.test(term)) return at >= 0;
    while (at > 0 && /[\d.]/.test(haystacks[i][at - 1])) at = haystacks[i].indexOf(term, at + 1); // 12 finds 12 and 128, not 412
    return at >= 0;
  });
}

function inOrder(a, b) {
  const { of } = COLUMNS.find((column) => column.key === state.sort);
  const x = of(a), y = of(b);
  if (x === null || y === null) return (x === null) - (y === null) || a - b;
  const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
  return (state.down ? -order : order) || a - b;
}

function show() {
  for (const view of VIEWS) {
    byId(view).hidden = state.view !== view;
    byId(`view-${view}`).setAttribute("aria-current", state.view === view ? "page" : "false");
  }
  ({ overview: showOverview, training: showTraining, problems: showProblems })[state.view]();
  fadeAll();
}

function showOverview() {
  const { k, curves: kind } = state;
  byId("k").value = String(k);
  const focused = byId("arms").contains(document.activeElement) ? document.activeElement.id : "";
  byId("arms").replaceChildren(...armsTable(state, (role, arm) => change({ [role]: arm }), (by, falling) => change({ by, falling })));
  if (focused) byId(focused)?.focus();
  byId("doubts").textContent = doubts(k);
  const used = new Set(ballots);
  byId("votes-said").textContent = voting(used);
  for (const one of ["pass", ...ballots]) byId(`curves-${one}`).setAttribute("aria-pressed", String(one === kind));
  byId("curves").replaceChildren(...curves(kind, state, pictureWidth(byId("curves"), families.length)));
}

// Pixels for each of several pictures: in two columns where there is room for them, without gaps, edges and padding.
function pictureWidth(place, count) {
  const columns = count > 1 && place.clientWidth > 900 ? 2 : 1;
  return Math.max(260, Math.floor((place.clientWidth - 24 * (columns - 1)) / columns) - 28);
}

function showTraining() {
  const place = byId("training");
  place.replaceChildren(...core.trainings.map((one) => training(one, pictureWidth(place, 2))));
}

function showProblems() {
  const groups = problems.map((_, i) => groupOf(i, state.first, state.second));
  listed = problems.map((_, i) => i).filter((i) => (state.group === "all" || groups[i] === state.group) && matches(i)).sort(inOrder);
  showArms();
  showGroups(groups);
  showRows();
  showDetail();
}

function showArms() {
  for (const role of ["first", "second"]) {
    const arm = arms[state[role]];
    byId(role).value = String(arm.id);
    const shares = few(arm.at).map(([k, share, chance]) => `pass@${many(k)} ${percent(share)}${chance === null ? "" : ` (chance ${percent(chance)})`}`);
    const most = arm.solvable + arm.unknown;
    const ceiling = most === arm.problems ? "" : `, ${arm.unknown ? "at most " : ""}${many(most)} can be`;
    const said = [`${counted(arm.draws, "draw")} per problem`, `${many(arm.solved)} of ${many(arm.problems)} solved${ceiling}`, ...shares];
    byId(`${role}-facts`).replaceChildren(...apart(said));
    byId(`${role}-votes`).replaceChildren(...Object.entries(arm.votes).map(votes));
  }
  byId("voting").textContent = voting(new Set([state.first, state.second].flatMap((arm) => Object.keys(arms[arm].votes))));
}

const few = (curve) => curve.filter(([k], i) => k === 1 || k === 8 || i === curve.length - 1);
const apart = (said) => said.flatMap((one) => [el("span", null, one), " "]);

function voting(ballots) {
  const said = [];
  if (ballots.size) said.push("vote@k: how often the most frequent ballot of k draws is correct, ties shared.");
  if (ballots.has("value")) said.push("By value, answers of one value vote alike.");
  if (ballots.has("expression")) said.push("By expression, only answers that are the same up to order, parentheses and signs do.");
  return said.join(" ");
}

// A vote of one draw is pass@1, so that the line begins at the next k.
function votes([ballot, curve]) {
  const shares = few(curve).filter(([k]) => k > 1).map(([k, share]) => `vote@${many(k)} ${percent(share)}`);
  return el("p", null, ...apart([`by ${ballot}:`, ...shares]));
}

function showGroups(groups) {
  const grouped = groups.filter((group) => group !== null).length;
  const same = state.first === state.second;
  for (const group of ["all", ...GROUPS]) {
    const button = byId(`group-${group}`);
    const count = group === "all" ? groups.length : groups.filter((one) => one === group).length;
    button.hidden = same && (group === "first" || group === "second");
    button.setAttribute("aria-pressed", String(state.group === group));
    const share = group === "all" || !grouped ? null : el("span", { className: "share" }, percent(count / grouped));
    const name = group === "all" ? "All problems" : groupName(group, state.first, state.second);
    button.replaceChildren(...[group === "all" ? null : dot(group), el("span", null, name), el("b", null, many(count)), share].filter(Boolean));
  }
  byId("bar").replaceChildren(...GROUPS.map((group) => {
    const part = el("span", { className: group });
    const count = groups.filter((one) => one === group).length;
    part.style.flex = `${count} 0 0`;
    part.hidden = !count;
    return part;
  }));
  byId("bar").hidden = !grouped;
  const notes = [];
  const [a, b] = [arms[state.first], arms[state.second]];
  if (!same && grouped && a.draws !== b.draws) notes.push(`The arms have ${many(a.draws)} and ${many(b.draws)} draws per problem: the groups count the first ${many(depthOf(state.first, state.second))} of each.`);
  const left = groups.length - grouped;
  if (left) notes.push(`${counted(left, "problem")} ${left === 1 ? "is" : "are"} in no group: not drawn by both arms, or less often.`);
  byId("fairness").textContent = notes.join(" ");
}

function showRows() {
  const focused = document.activeElement?.dataset?.row;
  COLUMNS.forEach(({ key, extra }) => {
    const head = byId(`sort-${key}`);
    if (key === "first" || key === "second") head.lastChild.childNodes[1].textContent = nameBeside(state[key], state[key === "first" ? "second" : "first"]);
    head.setAttribute("aria-sort", state.sort !== key ? "none" : state.down ? "descending" : "ascending");
    head.lastChild.lastChild.textContent = state.sort !== key ? "" : state.down ? " ↓" : " ↑";
    head.hidden = extra && state.problem !== null;
  });
  byId("rows").replaceChildren(...listed.slice(0, most).map(row));
  rove();
  byId("more").hidden = listed.length <= most;
  byId("more").textContent = `Show ${many(Math.min(ROWS, listed.length - most))} more of ${many(listed.length)}`;
  const said = listed.length === problems.length ? counted(problems.length, "problem") : `${many(listed.length)} of ${counted(problems.length, "problem")}`;
  if (byId("count").textContent !== said) byId("count").textContent = said;
  if (byId("search").value !== state.search) byId("search").value = state.search;
  if (focused !== undefined) byId("rows").querySelector(`[data-row="${focused}"]`)?.focus();
}

function row(i) {
  const open = el("button", { type: "button", tabIndex: -1, "data-row": String(i) });
  Object.entries(problems[i].payload).forEach(([key, value], at) => {
    const text = visible(plain(value));
    open.append(at ? "  " : "", el("span", { className: "quiet" }, `${visible(key)} `), text.length > 80 ? `${text.slice(0, 79)}…` : text);
  });
  if (!open.textContent) open.textContent = "(empty)";
  const wide = state.problem === null;
  const share = (role) => {
    const value = rate(state[role], i);
    return el("td", { className: `number ${role}` }, value === null ? "–" : percent(value), value === null ? null : meter(value));
  };
  const apart = difference(i);
  const points = apart === null ? "–" : `${apart > 0 ? "+" : apart < 0 ? "−" : ""}${rounded(Math.abs(100 * apart))}`;
  const made = el("tr", { className: i === state.problem ? "chosen" : "" }, el("td", { className: "number quiet" }, String(problems[i].id)), el("td", null, open),
    wide ? el("td", { className: "number chance" }, problems[i].chance === null ? "–" : percent(problems[i].chance)) : null,
    share("first"), share("second"), wide ? el("td", { className: "number difference" }, points) : null);
  if (i === state.problem) open.setAttribute("aria-current", "true");
  return made;
}

function rove() {
  const rows = [...byId("rows").querySelectorAll("button")];
  (rows.find((one) => Number(one.dataset.row) === state.problem) || rows[0])?.setAttribute("tabindex", "0");
}

function showDetail() {
  const place = byId("detail"), problem = state.problem;
  byId("columns").classList.toggle("open", problem !== null);
  place.hidden = problem === null;
  if (problem === null) return place.replaceChildren();
  const { first, second } = state;
  const at = listed.indexOf(problem);
  const step = (name, id, to) => el("button", { type: "button", id, disabled: to === undefined, onclick: () => { change({ problem: to }); byId(byId(id).disabled ? "detail-title" : id).focus(); } }, name);
  const group = groupOf(problem, first, second);
  const title = el("div", { className: "title" }, el("h2", { id: "detail-title", tabIndex: -1 }, `Problem ${problems[problem].id}`),
    group ? el("span", { id: "detail-group" }, dot(group), groupName(group, first, second)) : null,
    step("‹ Previous", "previous", at > 0 ? listed[at - 1] : undefined), step("Next ›", "next", listed[at + 1]),
    el("button", { type: "button", id: "close", onclick: close }, "Close"));
  const sides = core.leftOut.perCell ? [rollouts(problem, first, "first"), first === second ? null : rollouts(problem, second, "second")] : [el("p", { className: "quiet" }, "This page was made without rollouts.")];
  place.replaceChildren(title, facts(problems[problem]), el("h3", null, "pass@k"), curve(problem, first, second, 460),
    el("h3", null, "Solve rate in every arm"), rates(problem, first, second), el("h3", null, "Rollouts"),
    el("div", { className: sides.length > 1 && sides[1] ? "pair" : "" }, ...sides));
}

function openView(view) {
  change({ view, problem: null }, true);
}

// The line of the arm that the pointer or the keyboard is on, in the table or in a picture.
function light(event) {
  const leaving = event.type === "mouseout" || event.type === "focusout";
  const arm = leaving ? undefined : event.target.closest("[data-arm]")?.dataset.arm;
  for (const one of document.querySelectorAll("#overview [data-arm]")) one.classList.toggle("lit", one.dataset.arm === arm);
  byId("curves").classList.toggle("dimmed", arm !== undefined);
}

function openProblem(i) {
  change({ problem: i }, true);
  byId("detail-title").focus();
}

function close() {
  const was = state.problem;
  change({ problem: null }, true);
  (byId("rows").querySelector(`[data-row="${was}"]`) || byId("rows").querySelector("button"))?.focus();
}

function moveTo(rows, place) {
  const target = rows[Math.max(0, Math.min(rows.length - 1, place))];
  if (!target) return;
  if (state.problem !== null) change({ problem: Number(target.dataset.row) });
  byId("rows").querySelectorAll("[tabindex='0']").forEach((one) => one.setAttribute("tabindex", "-1"));
  const now = byId("rows").querySelector(`[data-row="${target.dataset.row}"]`);
  now.setAttribute("tabindex", "0");
  now.focus();
}

function toSearch() {
  if (state.view !== "problems") openView("problems");
  byId("search").focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
  const rows = [...byId("rows").querySelectorAll("button")];
  const here = rows.indexOf(document.activeElement);
  const steps = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 };
  if (event.key === "Escape" && event.target.id === "search" && state.search) change({ search: "" });
  else if (event.key === "Escape" && state.problem !== null) close();
  else if (event.key === "/" && !typing) toSearch();
  else if (event.key === "ArrowDown" && event.target.id === "search") moveTo(rows, 0);
  else if (event.key in steps && here >= 0) moveTo(rows, steps[event.key]);
  else return;
  event.preventDefault();
}

function start() {
  const models = [...new Set(arms.map((arm) => arm.model))];
  byId("about").textContent = `${core.origin.database} · ${models.length > 3 ? counted(models.length, "model") : models.join(", ")} · ${counted(problems.length, "problem")} · ${counted(arms.length, "arm")} · scored by ${core.scorer}`;
  for (const role of ["first", "second"]) {
    byId(role).append(...arms.map((arm) => el("option", { value: String(arm.id) }, nameToChoose(arm))));
    byId(role).addEventListener("change", (event) => change({ [role]: armPlaces.get(event.target.value) }));
  }
  byId("nav").append(...VIEWS.map((view) => el("button", { type: "button", id: `view-${view}`, onclick: () => openView(view) }, { overview: "Overview", training: "Training", problems: "Problem by problem" }[view])));
  byId("k").append(...ks.map((k) => el("option", { value: String(k) }, many(k))));
  byId("k").addEventListener("change", (event) => change({ k: Number(event.target.value) }));
  const labels = { pass: "pass@k", value: ballots.length > 1 ? "vote@k by value" : "vote@k", expression: "vote@k by expression" };
  byId("kinds").append(...["pass", ...ballots].map((kind) => el("button", { type: "button", id: `curves-${kind}`, onclick: () => change({ curves: kind }) }, labels[kind])));
  byId("found").append(...core.found.map((said) => el("p", null, said)));
  byId("origin").append(howMade());
  for (const event of ["mouseover", "mouseout", "focusin", "focusout"]) byId("overview").addEventListener(event, light);
  addEventListener("resize", () => { if (state.view !== "problems") show(); });
  document.body.classList.toggle("single", arms.length === 1);
  byId("swap").addEventListener("click", () => {
    const group = { first: "second", second: "first" }[state.group] || state.group;
    change({ first: state.second, second: state.first, group });
  });
  byId("groups").append(...["all", ...GROUPS].map((group) => el("button", { type: "button", id: `group-${group}`, className: group, onclick: () => change({ group }) })));
  byId("sorts").append(...COLUMNS.map(({ key, name, number }) => {
    const sort = () => change({ sort: key, down: state.sort === key ? !state.down : Boolean(number && key !== "id") });
    const tone = key === "first" || key === "second" ? dot(key) : null;
    return el("th", { scope: "col", id: `sort-${key}`, className: number ? "number" : "" }, el("button", { type: "button", onclick: sort }, tone, name, el("span")));
  }));
  byId("rows").addEventListener("click", (event) => {
    const inside = event.target.closest("tr")?.querySelector("button");
    if (inside) openProblem(Number(inside.dataset.row));
  });
  byId("search").addEventListener("input", (event) => change({ search: event.target.value }));
  byId("more").addEventListener("click", () => { most += ROWS; showRows(); });
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId(state.view === "problems" ? "list" : "main").focus(); });
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => { state = readFragment(); show(); });
  addEventListener("popstate", () => { state = readFragment(); show(); });
  const { rollouts: all, shown, perCell, asked, shortened, textBytes } = core.leftOut;
  const said = [`This page has ${many(shown)} of ${many(all)} rollouts: at most ${perCell} of each arm and problem, half of them correct and half wrong where there are both, different answers first.`];
  if (perCell < asked) said.push(`${many(asked)} were asked for; more would make the file too large.`);
  if (shortened) said.push(`${many(shortened)} texts are longer than about ${many(textBytes)} bytes and were shortened, each with a mark at the place.`);
  said.push("The counts, rates and curves are over all rollouts. Every text is in the database: ");
  byId("left-out").append(said.join(" "), el("code", null, "esprobe sql \"select draw, correct, text from rollout_text where arm_id = 1 and problem_id = 1\""));
  state = readFragment();
  show();
  document.documentElement.dataset.ready = "true";
}

start();
