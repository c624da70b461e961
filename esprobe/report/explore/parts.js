// What all of the page is made of: the data, elements, numbers as text, pass@k.
// Knows no view. Everything from the data becomes a text node, never markup.
"use strict";

const core = JSON.parse(document.getElementById("core").textContent);
const { arms, problems, cells } = core;

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

// One decimal, below 1% two; ties to the even digit as in the report; of the values at a tie only those with .25 would differ.
const rounded = (points) => (points % 1 === 0.25 ? `${Math.floor(points)}.2` : points.toFixed(1));

function percent(share) {
  const points = 100 * share;
  if (points > 0 && points < 0.995) return points < 0.005 ? "<0.01%" : `${points.toFixed(2)}%`;
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

function meter(share) {
  const fill = el("i");
  fill.style.width = `${100 * share}%`;
  return el("span", { className: "meter", "aria-hidden": "true" }, fill);
}

