/* Rows of what belongs to a record, in its own form: added and left out without asking the server. */
import { wakePickers } from "./picker.js";

export function wakeInline() {
  document.addEventListener("click", (event) => {
    const add = event.target.closest("[data-inline-add]");
    const out = event.target.closest("[data-inline-remove]");
    if (add) {
      event.preventDefault();
      addRow(add.closest("[data-inline]"));
    }
    if (out) {
      const form = out.form;
      const row = out.closest("[data-inline-row]");
      const next = row.closest("[data-inline]").querySelector("[data-inline-add]");
      row.remove();
      next.focus();
      form.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}

function addRow(part) {
  const number = part.dataset.next;
  part.dataset.next = String(Number(number) + 1);
  const row = part.querySelector("[data-inline-blank]").content.firstElementChild.cloneNode(true);
  // The blank row is numbered n: `contacts-n-email` becomes `contacts-3-email` wherever it is named.
  const blank = part.id.replace("inline-", "") + "-n-";
  for (const element of row.querySelectorAll("*")) {
    for (const { name, value } of [...element.attributes]) {
      if (value.includes(blank)) element.setAttribute(name, value.replaceAll(blank, blank.replace("-n-", `-${number}-`)));
    }
  }
  part.querySelector("[data-inline-rows]").append(row);
  wakePickers(row);
  row.querySelector("input:not([type=hidden]), select, textarea").focus();
}
