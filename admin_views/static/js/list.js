/* A list: ticked rows and the bar for them, the whole row as a link, moving by keys. */
export function wakeList() {
  wakeRows();
  const list = document.querySelector("[data-list]");
  const bar = list?.querySelector("[data-bulk]");
  if (!bar) return;
  const all = list.querySelector("[data-tick-all]");
  const ticks = [...list.querySelectorAll("[data-tick]")];
  const count = bar.querySelector("[data-bulk-count]");
  const match = bar.querySelector("[data-bulk-match]");
  const everything = bar.querySelector("[data-bulk-all]");
  let last = null;

  const show = () => {
    const ticked = ticks.filter((tick) => tick.checked).length;
    if (ticked < ticks.length) everything.disabled = true;
    all.checked = ticked > 0 && ticked === ticks.length;
    all.indeterminate = ticked > 0 && ticked < ticks.length;
    const said = everything.disabled ? `${ticked} selected` : match.dataset.text + " selected";
    count.textContent = said.charAt(0).toUpperCase() + said.slice(1);
    if (match) match.textContent = everything.disabled ? `Select ${match.dataset.text}` : "Only this page";
    document.body.classList.toggle("has-bar", ticked > 0);
  };
  const tickAll = (on) => {
    for (const tick of ticks) tick.checked = on;
    everything.disabled = true;
    show();
  };

  all.addEventListener("change", () => tickAll(all.checked));
  list.addEventListener("click", (event) => {
    const tick = event.target.closest("[data-tick]");
    if (!tick) return;
    if (event.shiftKey && last) {
      const [from, to] = [ticks.indexOf(last), ticks.indexOf(tick)].sort((a, b) => a - b);
      for (const between of ticks.slice(from, to + 1)) between.checked = tick.checked;
    }
    last = tick;
    show();
  });
  match?.addEventListener("click", () => {
    const on = everything.disabled;
    tickAll(true);
    everything.disabled = !on;
    show();
  });
  bar.querySelector("[data-bulk-clear]").addEventListener("click", () => tickAll(false));
  list.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("[popover]:popover-open")) tickAll(false);
  });
  // A page that comes back from the browser's memory may come with its ticks.
  window.addEventListener("pageshow", show);
  show();
}

function wakeRows() {
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-href]");
    if (!row || event.defaultPrevented || event.target.closest("a, button, input, label, select, [popover]")) return;
    if (String(getSelection())) return;
    if (event.ctrlKey || event.metaKey) window.open(row.dataset.href, "_blank", "noopener");
    else location.href = row.dataset.href;
  });
}

export function moveRow(step) {
  const rows = [...document.querySelectorAll("[data-list] [data-row]")];
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.contains(document.activeElement));
  const row = rows[Math.max(0, Math.min(rows.length - 1, now + step))];
  row.querySelector(".cell-name a").focus();
}

export function tickRow() {
  document.activeElement.closest("[data-row]")?.querySelector("[data-tick]")?.click();
}
