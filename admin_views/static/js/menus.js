/* Menus and popovers: the browser opens and closes them (also with Esc), we put them beside their button and move with the arrows. */
const GAP = 4;
const EDGE = 8;

export function wakeMenus() {
  document.addEventListener("beforetoggle", opening, true);
  document.addEventListener("toggle", toggled, true);
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.target.matches("[data-menu], [data-pop]")) settle(detail.target);
  });
  document.addEventListener("keydown", keys);
  window.addEventListener("resize", placeAll);
  document.addEventListener("scroll", (event) => {
    if (!event.target.closest?.("[popover]")) placeAll();
  }, { capture: true, passive: true });
}

function buttonOf(pop) {
  return document.querySelector(`[popovertarget="${CSS.escape(pop.id)}"]`);
}

function opening(event) {
  if (event.newState === "open" && event.target.matches("[data-menu], [data-pop]")) requestAnimationFrame(() => place(event.target));
}

function toggled(event) {
  const pop = event.target;
  if (!pop.matches?.("[data-menu], [data-pop]")) return;
  const open = event.newState === "open";
  buttonOf(pop)?.setAttribute("aria-expanded", String(open));
  if (open) settle(pop);
}

function settle(pop) {
  place(pop);
  (pop.querySelector("[data-filter-find]") ?? pop.querySelector("[role=menuitem], summary, :is(input, select):not([type=hidden], .tomselected)"))?.focus();
}

function placeAll() {
  for (const pop of document.querySelectorAll("[popover]:popover-open")) place(pop);
}

function place(pop) {
  const button = buttonOf(pop);
  if (!button || !pop.matches(":popover-open")) return;
  const at = button.getBoundingClientRect();
  const wide = pop.offsetWidth;
  const tall = pop.offsetHeight;
  const left = button.hasAttribute("data-menu-end") ? at.right - wide : at.left;
  const below = at.bottom + GAP;
  const above = at.top - GAP - tall;
  const top = below + tall > innerHeight - EDGE && above > EDGE ? above : below;
  pop.style.left = `${Math.max(EDGE, Math.min(left, innerWidth - wide - EDGE))}px`;
  pop.style.top = `${Math.max(EDGE, Math.min(top, innerHeight - tall - EDGE))}px`;
}

function keys(event) {
  const menu = event.target.closest?.("[data-menu]");
  if (!menu) return;
  const items = [...menu.querySelectorAll("[role=menuitem]")].filter((item) => item.checkVisibility());
  const now = items.indexOf(document.activeElement);
  const next = { ArrowDown: (now + 1) % items.length, ArrowUp: (now - 1 + items.length) % items.length, Home: 0, End: items.length - 1 }[event.key];
  if (next !== undefined) {
    event.preventDefault();
    items[next].focus();
  } else if (event.key === "Tab") {
    menu.hidePopover();
  }
}
