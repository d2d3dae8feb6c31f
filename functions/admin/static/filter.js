// Filters: a form whose values are in the URL, so that a page can be saved and sent to somebody.

import { h } from "./dom.js";

export const parameters = () => new URLSearchParams(location.hash.split("?")[1] || "");

// Change parameters of the page in the URL; an empty value removes one.
export function go(changes) {
  const query = parameters();
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const path = location.hash.split("?")[0];
  const text = query.toString();
  location.hash = text ? `${path}?${text}` : path;
}

const two = (value) => String(value).padStart(2, "0");

// Times are in UTC in the URL, and in the time zone of the browser in a field.
function localTime(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return "";
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function control({ name, options, time, hint }, value) {
  const id = `filter-${name}`;
  if (options) {
    return h(
      "select",
      { id, name },
      options.map((one) => h("option", { value: one[0], selected: one[0] === value }, one[1])),
    );
  }
  const type = time ? "datetime-local" : "search";
  const shown = time && value ? localTime(value) : value;
  return h("input", { id, name, type, value: shown, placeholder: hint, spellcheck: "false", step: time ? "1" : null });
}

// `fields` have a name, a label, and `options` ([value, text] each), `time` or a `hint`. `apply` gets all values; by default
// they become the URL's, which then is that of the first page.
export function filters(fields, values, { apply = (all) => go({ ...all, cursor: null }), more = [] } = {}) {
  const form = h("form", { class: "filters", role: "search" });
  const send = () => {
    const all = {};
    for (const field of [...fields, ...more]) {
      const value = form.elements[field.name].value.trim();
      all[field.name] = field.time && value ? new Date(value).toISOString() : value;
    }
    apply(all);
  };
  const shown = (field) =>
    h("label", { for: `filter-${field.name}` }, h("span", {}, field.label), control(field, values[field.name] ?? ""));
  form.append(...fields.map(shown));
  if (more.length)
    form.append(
      h(
        "details",
        { open: more.some((field) => values[field.name]) },
        h("summary", {}, "More filters"),
        h("div", { class: "filters" }, more.map(shown)),
      ),
    );
  // A choice applies at once.
  if (![...fields, ...more].every((field) => field.options)) form.append(h("button", {}, "Apply"));
  form.onsubmit = (event) => {
    event.preventDefault();
    send();
  };
  form.onchange = (event) => {
    if (event.target.tagName === "SELECT") send();
  };
  return form;
}

// The links to the newest and to the older page of a list.
export const paging = (cursor, nextCursor) =>
  h(
    "div",
    { class: "row" },
    cursor && h("button", { type: "button", onclick: () => go({ cursor: null }) }, "Newest"),
    nextCursor && h("button", { type: "button", onclick: () => go({ cursor: nextCursor }) }, "Older"),
  );
