// Renders new content into the elements that are shown, so that a refresh keeps focus, hover, selections and typed text.

import { fill, h } from "./dom.js";

const HANDLERS = ["onclick", "onsubmit", "onchange", "oninput", "onpointermove", "onpointerleave", "onblur"];

export function update(parent, ...children) {
  const fresh = h("div");
  fill(fresh, ...children);
  merge(parent, [...fresh.childNodes]);
}

function merge(parent, fresh) {
  const shown = [...parent.childNodes];
  fresh.forEach((node, index) => {
    const old = shown[index];
    if (!old) parent.append(node);
    else if (old.nodeName !== node.nodeName || old.className?.toString() !== node.className?.toString())
      old.replaceWith(node);
    else if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== node.data) old.data = node.data;
    } else adopt(old, node);
  });
  for (const old of shown.slice(fresh.length)) old.remove();
}

function adopt(old, node) {
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of HANDLERS) old[name] = node[name];
  merge(old, [...node.childNodes]);
}
