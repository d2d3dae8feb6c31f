// The door.

import { call } from "./api.js";
import { h } from "./dom.js";

export function loginPage(main, entered) {
  const username = h("input", { id: "username", autocomplete: "username", required: true });
  const password = h("input", { id: "password", type: "password", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const form = h(
    "form",
    { class: "login" },
    h("h2", {}, "Log in"),
    h("label", { for: "username" }, "Name"),
    username,
    h("label", { for: "password" }, "Password"),
    password,
    wrong,
    h("button", { type: "submit", class: "main" }, "Log in"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    try {
      const { role } = await call("POST", "/login", { username: username.value, password: password.value });
      await entered(role);
    } catch (error) {
      wrong.textContent = error.message;
      password.select();
    }
  });
  main.replaceChildren(form);
  username.focus();
}
