// A form of the fields that a JSON Schema describes, and the object that its values make.

import { h } from "./dom.js";

const LONG = ["query", "systemPrompt"];

// The type of a field: the schema without null, or the schema that it refers to.
function typeOf(schema, schemas) {
  const one = schema.anyOf ? schema.anyOf.find((other) => other.type !== "null") : schema;
  return one.$ref ? schemas[one.$ref.split("/").at(-1)] : one;
}

function kindOf(name, type) {
  if (type.enum) return "choice";
  if (type.type === "boolean") return "boolean";
  if (type.type === "integer" || type.type === "number") return "number";
  if (type.type === "array" && type.items.type === "string") return "names";
  if (type.type === "string") return LONG.includes(name) ? "text" : "line";
  return "json";
}

const option = (value, text = value) => h("option", { value }, text);

function control(name, kind, type, allowed) {
  const id = `field-${name}`;
  if (kind === "choice")
    return h(
      "select",
      { id, name },
      option("", "default"),
      (allowed ?? type.enum).map((one) => option(one)),
    );
  if (kind === "line" && allowed)
    return h(
      "select",
      { id, name },
      option("", "default"),
      allowed.map((one) => option(one)),
    );
  if (kind === "boolean") return h("input", { id, name, type: "checkbox" });
  if (kind === "text") return h("textarea", { id, name, rows: name === "query" ? "5" : "2" });
  if (kind === "json") return h("textarea", { id, name, rows: "2", placeholder: "JSON", spellcheck: "false" });
  const numeric = {
    type: "number",
    min: type.minimum ?? null,
    max: allowed ?? type.maximum ?? null,
    step: type.type === "integer" ? "1" : "any",
  };
  return h("input", { id, name, spellcheck: "false", autocomplete: "off", ...(kind === "number" && numeric) });
}

// Build the form's fields: `schema` is an object's, `allowed` has for some names the values that a policy allows,
// and `suggested` values that it may have among others.
export function fieldsOf(schema, schemas, allowed, suggested) {
  return Object.entries(schema.properties).map(([name, property]) => {
    const type = typeOf(property, schemas);
    const kind = kindOf(name, type);
    const only = kind === "names" && allowed[name] ? `Allowed: ${allowed[name].join(", ") || "none"}. ` : "";
    const hint = kind === "names" ? "Names with commas between them; [] for an empty list. " : "";
    const text = only + hint + (property.description ?? type.description ?? "");
    const element = control(name, kind, type, kind === "names" ? null : allowed[name]);
    const list =
      suggested[name] &&
      h(
        "datalist",
        { id: `list-${name}` },
        suggested[name].map((one) => option(one)),
      );
    if (list) element.setAttribute("list", list.id);
    const label = h("label", { for: `field-${name}` }, name);
    if (text) element.setAttribute("aria-describedby", `hint-${name}`);
    return {
      name,
      kind,
      element,
      row: h("div", { class: "field" }, label, element, list, text && h("small", { id: `hint-${name}` }, text)),
    };
  });
}

export function show(field, value) {
  if (value === undefined || value === null) return;
  if (field.kind === "boolean") field.element.checked = value;
  else if (field.kind === "names") field.element.value = value.join(", ");
  else if (field.kind === "json") field.element.value = Object.keys(value).length ? JSON.stringify(value, null, 2) : "";
  else field.element.value = String(value);
}

function readValue(field) {
  if (field.kind === "boolean") return field.element.checked || undefined;
  const text = field.element.value;
  if (text.trim() === "") return undefined;
  if (field.kind === "number") return Number(text);
  if (field.kind === "json" || (field.kind === "names" && text.trim().startsWith("["))) return JSON.parse(text);
  if (field.kind === "names") return text.split(/[\s,]+/).filter(Boolean);
  return field.kind === "text" ? text : text.trim();
}

// Return the object that the fields describe, without empty ones; an error names the field that is no JSON.
export function bodyOf(fields) {
  const body = {};
  for (const field of fields) {
    try {
      const value = readValue(field);
      if (value !== undefined) body[field.name] = value;
    } catch {
      field.element.focus();
      throw new SyntaxError(`${field.name} is not valid JSON`);
    }
  }
  return body;
}
