// Creates all elements. Text becomes text nodes, so the output of a model never becomes markup.

export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on"))
      element[key] = value; // a property, which live.js carries over to the element that is shown
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  fill(element, ...children);
  return element;
}

// Replaces the children of an element; null, undefined and false are skipped.
export function fill(element, ...children) {
  element.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
}

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Control characters, and those that change the direction of text or that nobody sees; without the two that join letters.
const INVISIBLE = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

// Writes invisible characters as escapes, so that text cannot hide content.
export function visible(text) {
  return text.replace(INVISIBLE, (found) => `\\u${found.codePointAt(0).toString(16).padStart(4, "0")}`);
}

const SHORT = 400;

// Shows the beginning of a long text, with a button for the whole text.
export function revealed(label, text) {
  const shown = visible(text);
  const block = h("pre", { tabindex: "0", "aria-label": label }, shown.slice(0, SHORT));
  if (shown.length <= SHORT) return h("div", { class: "text" }, block);
  const button = h("button", { type: "button", "aria-expanded": "false" }, `Show all ${shown.length} characters`);
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") === "true";
    block.textContent = open ? shown.slice(0, SHORT) : shown;
    button.setAttribute("aria-expanded", String(!open));
    button.textContent = open ? `Show all ${shown.length} characters` : "Show less";
  });
  return h("div", { class: "text" }, block, button);
}

const PLAIN = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const number = (value) => PLAIN.format(value);
export const usd = (value) => `$${value < 1 ? value.toFixed(4) : value.toFixed(2)}`;

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
}

export function clock(text) {
  if (!text) return "–";
  const moment = new Date(text);
  const today = new Date().toDateString() === moment.toDateString();
  const time = moment.toLocaleTimeString("en-GB");
  return h("time", { datetime: text, title: text }, today ? time : `${moment.toLocaleDateString("en-CA")} ${time}`);
}

export const state = (name) => h("span", { class: `state ${name}` }, name);
