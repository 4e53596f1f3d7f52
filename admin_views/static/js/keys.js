/* Keys: `/` search, `?` the list of keys, letters for what the page offers (data-key). Single letters can be switched off. */
import { editRow } from "./cells.js";
import { moveRow, tickRow } from "./list.js";
import { remember, remembered } from "./storage.js";

export function wakeKeys() {
  const dialog = document.querySelector("[data-keys]");
  if (!dialog) return;
  const power = dialog.querySelector("[data-keys-switch]");
  power.checked = remembered("keys") !== "off";
  power.addEventListener("change", () => remember("keys", power.checked ? "on" : "off"));
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys-open]")) dialog.showModal();
    if (event.target === dialog || event.target.closest("[data-keys-close]")) dialog.close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      // Who has clicked beside the fields of a question means that question all the same.
      (event.target.closest("form") ?? document.querySelector("dialog[open] form[data-confirm]"))?.requestSubmit();
      return;
    }
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !power.checked) return;
    if (document.querySelector("dialog[open], dialog[data-asking], [popover]:popover-open")) return;
    if (press(event.key, dialog)) event.preventDefault();
  });
}

function press(key, dialog) {
  if (key === "?") dialog.showModal();
  else if (key === "/") document.querySelector("[data-search]").select();
  else if ("jk".includes(key) && !document.querySelector(`[data-key="${key}"]`)) moveRow(key === "j" ? 1 : -1);
  else if (key === "x") tickRow();
  else if (key === "i") editRow();
  else if (/^[a-z]$/.test(key)) {
    const button = document.querySelector(`[data-key="${key}"]`);
    if (!button) return false;
    button.click();
  } else return false;
  return true;
}
