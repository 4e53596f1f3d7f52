/* Wakes the parts of a page. Every page works without; each part looks for its own data- attributes. */
import { wakeTheme } from "./js/theme.js";
import { wakeShell, wakeToast } from "./js/shell.js";
import { wakeMenus } from "./js/menus.js";
import { wakeList } from "./js/list.js";
import { wakeFilters } from "./js/filters.js";
import { wakeForms } from "./js/forms.js";
import { wakePickers } from "./js/picker.js";
import { wakeTabs } from "./js/tabs.js";
import { wakeAsk } from "./js/ask.js";
import { wakeKeys } from "./js/keys.js";
import { wakeImports } from "./js/imports.js";
import { wakeBack } from "./js/back.js";
import { wakeCells } from "./js/cells.js";
import { wakeInline } from "./js/inline.js";
import { wakeBoard } from "./js/board.js";
import { wakeRule } from "./js/rule.js";

wakeTheme();
wakeShell();
wakeMenus();
wakeList();
wakePickers(document);
wakeForms(document);
wakeTabs();
wakeAsk();
wakeKeys();
wakeImports();
wakeBack();
wakeCells();
wakeInline();
wakeBoard();
wakeRule();

// htmx sends the CSRF token in a header, and what it brings in may hold pickers.
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = document.querySelector('meta[name="csrf-token"]').content;
});
document.addEventListener("htmx:load", ({ detail: { elt } }) => {
  wakePickers(elt);
  if (elt.matches("[data-filter-list]")) wakeFilters(elt);
  for (const toast of elt.querySelectorAll("[data-toast]")) wakeToast(toast);
});
document.addEventListener("htmx:responseError", (event) => {
  const panel = event.detail.target;
  if (!panel.matches("[data-panel]")) return;
  const text = document.createElement("p");
  text.className = "alert alert-bad";
  text.setAttribute("role", "alert");
  text.textContent = "This part could not be loaded. Open the page again in a moment.";
  panel.replaceChildren(text);
});
