/* '+ Filter': choose a field, a way to compare and a value; only the chosen way is sent. */
export function wakeFilters(root = document) {
  for (const form of root.querySelectorAll("[data-filter-form]")) {
    const choice = form.querySelector("[data-filter-op]");
    const blocks = [...form.querySelectorAll("[data-filter-value]")];
    const show = () => {
      for (const block of blocks) {
        const on = !choice || block.dataset.filterValue === choice.value;
        block.hidden = !on;
        block.disabled = !on;
        const flag = block.querySelector("[data-filter-flag]");
        if (flag) flag.checked = on;
      }
    };
    choice?.addEventListener("change", show);
    form.addEventListener("submit", (event) => {
      const block = blocks.find((each) => !each.disabled);
      const given = [...block.querySelectorAll("[name]")].some((field) => (field.type === "checkbox" ? field.checked : field.value.trim()));
      if (given) return;
      event.preventDefault();
      block.querySelector("input, select")?.focus();
    });
    form.closest("details")?.addEventListener("toggle", (event) => {
      if (event.target.open) (choice && blocks.length > 1 ? choice : form.querySelector("fieldset:not([hidden]) :is(input, select:not(.tomselected))"))?.focus();
    });
    show();
  }
  const find = root.querySelector("[data-filter-find]");
  find?.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    let any = false;
    for (const field of document.querySelectorAll("[data-filter-field]")) {
      field.hidden = !field.dataset.filterField.includes(wanted);
      any ||= !field.hidden;
    }
    document.querySelector("[data-filter-none]").hidden = any;
  });
}
