// Trainings: what was found, the learning curve, accuracy by all rollouts that were spent, the figures.
// Knows what `training.py` gives; computes nothing.

function training({ name, said, notes, learning, budget, figures }, width) {
  const banded = (series) => series.map((one) => ({ band: true, ...one, mark: one.points.length > 30 ? "none" : "dot" }));
  const picture = (title, series, axis, scale) => {
    const about = `${title}: ${series.map((one) => `${one.name}, ${percent(one.points.at(-1)[1])} at last`).join("; ")}`;
    return el("figure", null, el("figcaption", null, title), chart({ series: banded(series), about, title: axis, scale, width, height: 340, names: false }), keys(series));
  };
  const pictures = [];
  if (learning.length) pictures.push(picture("Learning curve", learning, "iteration", "linear"));
  for (const one of budget) if (one.series.length) pictures.push(picture(`Accuracy by budget, ${one.name}`, one.series, "rollouts in all, logarithmic", "log"));
  return el("section", { "aria-label": name || "Training" }, name ? el("h2", null, name) : null, lines(said, "said"),
    el("div", { className: "pictures" }, ...pictures), ...figures.flatMap(figuresTable), lines(notes, "said quiet"));
}

const lines = (texts, className) => el("div", { className }, ...texts.map((text) => el("p", null, text)));

function keys(series) {
  const one = ({ name, tone }) => el("li", null, el("span", { className: `key ${tone}`, "aria-hidden": "true" }), name);
  const seen = new Map(series.map((each) => [each.name, each]));
  return el("ul", { className: "legend" }, ...[...seen.values()].map(one));
}

function figuresTable([title, names, rows]) {
  if (!rows.length) return [];
  const cell = (text, i) => (i ? el("td", { className: "number" }, text) : el("th", { scope: "row" }, text));
  const head = el("tr", null, ...names.map((name, i) => el("th", { scope: "col", className: i ? "number" : "" }, name)));
  return [el("h3", null, title),
    el("div", { className: "scroll" }, el("table", null, el("thead", null, head), el("tbody", null, ...rows.map((row) => el("tr", null, ...row.map(cell))))))];
}
