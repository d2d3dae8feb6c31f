// Notices about finished actions, and the confirmation dialog of destructive ones.

import { h } from "./dom.js";

const notes = document.getElementById("notes");
const dialog = document.getElementById("ask");

export function note(text, kind = "good") {
  const line = h("p", { class: `note ${kind}` }, text);
  notes.append(line);
  setTimeout(() => line.remove(), 6000);
}

export function confirmed(title, text, yes) {
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  return new Promise((answer) => {
    const end = (value) => {
      dialog.close();
      answer(value);
    };
    document.getElementById("ask-yes").onclick = () => end(true);
    document.getElementById("ask-no").onclick = () => end(false);
    dialog.oncancel = () => answer(false);
    dialog.showModal();
    document.getElementById("ask-no").focus();
  });
}
