// Curves of shares as a picture: axes, bands, lines, names at the ends of lines. Drawn for the width that it gets, so that
// letters keep their size.
// Knows series of points, not what they are of: {name, tone, colour, points: [[x, share, low, high]], band, mark, label}.

const SCALES = { double: Math.log2, log: Math.log10, linear: (x) => x };
const LETTER = 6.4; // width of a letter at 11 px, nearly
const LINE = 13; // least distance of two names
const LISTED = 12; // from the marks' list to what is drawn below it

const clipped = (name, most) => (name.length <= most ? name : `${name.slice(0, Math.ceil(most / 2) - 1)}…${name.slice(-Math.floor(most / 2))}`);

function chart({ series, about, scale = "double", title, width, height = 300, whole = false, names = true }) {
  const longest = Math.max(0, ...series.filter((one) => one.points.length > 1).map((one) => one.name.length));
  const letters = Math.min(longest, Math.floor((width * 0.34) / LETTER));
  const box = { left: 42, right: width - (names ? 14 + letters * LETTER : 12), top: 12, bottom: height - 44 };
  const xs = series.flatMap((one) => one.points.map(([x]) => x));
  const shares = series.flatMap((one) => one.points.flatMap(([, share, , high]) => (one.band && high !== undefined ? [share, high] : [share])));
  const top = whole ? 1 : Math.min(1, Math.max(0.05, 1.08 * Math.max(0, ...shares)));
  const at = roomy(series, box, axes(box, scale, Math.min(...xs), Math.max(...xs), top));
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": about });
  svg.append(...grid(box, at), ...along(box, at, scale, title));
  svg.append(...series.filter((one) => one.points.length > 1 && one.band).map((one) => band(one, at)));
  svg.append(...[...series].sort((a, b) => (b.mark === "none") - (a.mark === "none")).map((one) => line(one, at)));
  if (names) svg.append(...ending(series.filter((one) => one.points.length > 1), box, at, letters), ...marked(series, box, at));
  return svg;
}

function axes(box, scale, least, most, top) {
  const of = SCALES[scale], [from, to] = [of(least), of(most)];
  return {
    scale, least, most, top,
    x: (value) => (to === from ? (box.left + box.right) / 2 : box.left + ((box.right - box.left) * (of(value) - from)) / (to - from)),
    y: (share) => box.bottom - ((box.bottom - box.top) * share) / top,
  };
}

function grid(box, at) {
  const top = Math.min(1, at.top);
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25].find((one) => top / one <= 5.01) || 0.25;
  const made = [];
  for (let i = 0; i * step <= top + 1e-9; i++) {
    const y = at.y(i * step);
    made.push(drawn("line", { class: i ? "grid" : "axis", x1: box.left, x2: box.right, y1: y, y2: y }));
    made.push(drawn("text", { x: box.left - 7, y: y + 4, "text-anchor": "end" }, `${Math.round(100 * i * step)}%`));
  }
  return made;
}

function ticks(at, scale) {
  if (scale === "double") return budgets(at.most).reverse();
  if (scale === "linear") return [...Array(at.most + 1).keys()].reverse();
  const found = [];
  for (let ten = 10 ** Math.floor(Math.log10(at.least)); ten <= at.most; ten *= 10) found.push(ten, 2 * ten, 5 * ten);
  return found.filter((x) => x >= at.least && x <= at.most).reverse();
}

// From the right, those that have room.
function along(box, at, scale, title) {
  const made = [drawn("text", { x: (box.left + box.right) / 2, y: box.bottom + 36, "text-anchor": "middle" }, title)];
  let last = Infinity;
  for (const value of ticks(at, scale)) {
    const x = at.x(value), name = many(value);
    if (last - x < Math.max(26, LETTER * name.length + 12)) continue;
    last = x;
    made.push(drawn("line", { class: "axis", x1: x, x2: x, y1: box.bottom, y2: box.bottom + 4 }));
    made.push(drawn("text", { x, y: box.bottom + 17, "text-anchor": "middle" }, name));
  }
  return made;
}

function toned(tag, one, attributes) {
  const made = drawn(tag, { ...attributes, class: `${attributes.class} ${one.tone}` });
  if (one.colour) made.style.setProperty("--tone", one.colour);
  if (one.arm !== undefined) made.dataset.arm = one.arm;
  return made;
}

function band(one, at) {
  const ends = one.points.filter(([, , low]) => low !== undefined);
  const point = (x, share) => `${at.x(x).toFixed(1)},${at.y(share).toFixed(1)}`;
  const around = [...ends.map(([x, , , high]) => point(x, high)), ...ends.map(([x, , low]) => point(x, low)).reverse()];
  return toned("polygon", one, { class: "band", points: around.join(" ") });
}

function line(one, at) {
  const group = toned("g", one, { class: "series" });
  group.append(drawn("title", {}, one.name));
  const points = one.points.map(([x, share]) => [at.x(x), at.y(share)]);
  if (points.length > 1) group.append(drawn("polyline", { points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") }));
  if (points.length === 1 && one.band && one.points[0].length > 2) {
    const [x, , low, high] = one.points[0];
    group.append(drawn("line", { x1: at.x(x), x2: at.x(x), y1: at.y(low), y2: at.y(high) }));
  }
  if (one.mark === "diamond") group.append(...points.map(([x, y]) => drawn("path", { d: `M${x} ${y - 5}l5 5l-5 5l-5 -5z` })));
  else if (one.mark !== "none" || points.length === 1) group.append(...points.map(([cx, cy]) => drawn("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 2.6 })));
  return group;
}

// Names to the right of all lines, moved apart where lines end close to one another, never below the axis; a thin line leads to
// each that is not right at its line's end.
function ending(series, box, at, letters) {
  const ends = series.map((one) => ({ one, x: at.x(one.points.at(-1)[0]), y: at.y(one.points.at(-1)[1]) })).sort((a, b) => a.y - b.y);
  for (let i = 0, least = box.top; i < ends.length; i++) least = (ends[i].at = Math.max(ends[i].y, least)) + LINE;
  for (let i = ends.length - 1, most = box.bottom + 2; i >= 0; i--) most = (ends[i].at = Math.min(ends[i].at, most)) - LINE;
  return ends.flatMap(({ one, x, y, at: placed }) => {
    const away = x < box.right - 1 || Math.abs(placed - y) > LINE / 2;
    const lead = away ? [toned("line", one, { class: "lead", x1: (x + 4).toFixed(1), x2: box.right + 7, y1: y.toFixed(1), y2: placed.toFixed(1) })] : [];
    return [...lead, named(one, box.right + 8, placed, clipped(one.name, letters))];
  });
}

function named(one, x, y, text) {
  const name = toned("text", one, { class: "name", x: x.toFixed(1), y: (y + 4).toFixed(1) });
  name.textContent = text;
  return name;
}

// The marks that have a name, highest first: a list above the beginnings of the lines, in the order of the marks themselves.
const marks = (series) => series.filter((one) => one.label).sort((a, b) => b.points[0][1] - a.points[0][1]);
const called = (one, box) => `${clipped(one.name, Math.max(8, Math.floor((box.right - box.left) / LETTER) - 10))} ${percent(one.points[0][1])}`;

// The highest share that is drawn where the list is, lines between their points included, and no mark above its name.
function below(series, box, at) {
  const right = box.left + 16 + LETTER * Math.max(...marks(series).map((one) => called(one, box).length));
  const shares = series.flatMap((one) => {
    const points = one.points.map(([x, share, , high]) => [at.x(x), one.band && high !== undefined ? high : share]);
    const next = points.findIndex(([x]) => x > right);
    if (next < 0) return points.map(([, share]) => share);
    const [[x, from], [end, to]] = [points[Math.max(0, next - 1)], points[next]];
    return [...points.slice(0, next).map(([, share]) => share), next ? from + ((to - from) * (right - x)) / (end - x) : 0];
  });
  return Math.max(...marks(series).map((one) => one.points[0][1]), ...shares);
}

// The axes, higher where the list would not have room above what is drawn.
function roomy(series, box, at) {
  const rows = marks(series).length;
  if (!rows) return at;
  const needed = Math.min(0.6, (LISTED + LINE * rows) / (box.bottom - box.top));
  return axes(box, at.scale, at.least, at.most, Math.max(at.top, below(series, box, at) / (1 - needed)));
}

function marked(series, box, at) {
  const found = marks(series);
  if (!found.length) return [];
  const last = at.y(below(series, box, at)) - LISTED;
  return found.flatMap((one, i) => {
    const y = last - LINE * (found.length - 1 - i), x = box.left + 6;
    return [toned("path", one, { class: "diamond", d: `M${x} ${y - 4}l4 4l-4 4l-4 -4z` }), named(one, x + 8, y, called(one, box))];
  });
}
