/* A value changed in the list itself: a pencil beside it (or a double click, or `i` in the row) asks for a small form, Enter saves, Esc puts the cell back. */
const before = new WeakMap();
let pencil;

export function wakeCells() {
  const list = document.querySelector("[data-cell-url]");
  if (!list) return;
  pencil = document.createElement("button");
  Object.assign(pencil, { type: "button", className: "cell-edit", tabIndex: -1, textContent: "Change" });
  list.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td[data-edit]");
    if (!cell || event.pointerType === "touch" || cell.querySelector("[data-cell]") || pencil.parentElement === cell) return;
    pencil.setAttribute("aria-label", `Change ${cell.dataset.label}`);
    cell.append(pencil);
  });
  list.addEventListener("pointerleave", () => pencil.remove());
  list.addEventListener("click", (event) => {
    if (event.target.closest(".cell-edit")) edit(event.target.closest("td"));
    const cancel = event.target.closest("[data-cell-cancel]");
    if (cancel) restore(cancel.closest("td"));
  });
  list.addEventListener("keydown", (event) => {
    const form = event.target.closest("[data-cell]");
    if (!form) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      restore(form.closest("td"));
    }
    if (event.key === "Enter" && event.target.matches("select")) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  // Refused (422) and overtaken (409) answers are small forms too, and belong into the cell.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (before.has(detail.target) && [409, 422].includes(detail.xhr.status)) Object.assign(detail, { shouldSwap: true, isError: false });
  });
  for (const failed of ["htmx:responseError", "htmx:sendError"]) {
    document.addEventListener(failed, ({ detail }) => before.has(detail.target) && restore(detail.target));
  }
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    const cell = detail.target;
    if (!before.has(cell)) return;
    const control = cell.querySelector("[data-cell] :is(input:not([type=hidden]), select, textarea, button)");
    if (control) (control.tomselect ?? control).focus();
    else leave(cell);
  });
}

function edit(cell) {
  pencil.remove();
  before.set(cell, cell.innerHTML);
  const to = new URL(cell.closest("[data-cell-url]").dataset.cellUrl, location.href);
  to.search = new URLSearchParams({ id: cell.closest("tr").dataset.id, field: cell.dataset.edit });
  window.htmx.ajax("GET", to.pathname + to.search, { target: cell, swap: "innerHTML" });
}

function restore(cell) {
  cell.innerHTML = before.get(cell);
  leave(cell);
}

function leave(cell) {
  before.delete(cell);
  cell.closest("tr").querySelector(".cell-name a").focus();
}

/* For the key: the first value of the row that has the focus. */
export function editRow() {
  const cell = document.activeElement.closest("[data-row]")?.querySelector("td[data-edit]");
  if (cell && pencil) edit(cell);
}
