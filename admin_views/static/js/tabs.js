/* Tabs: one panel at a time, the address remembers which; a panel with hx-get asks for its content when first opened.
   The row of tabs may be drawn anew (their counts), so the box listens for it. */
export function wakeTabs() {
  for (const box of document.querySelectorAll("[data-tabs]")) wake(box);
}

function wake(box) {
  const all = () => [...box.querySelectorAll('[role="tab"]')];
  if (!all().length) return;
  box.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (!tab || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(all(), tab, true);
  });
  box.addEventListener("keydown", (event) => {
    const tabs = all();
    const now = tabs.indexOf(event.target);
    if (now < 0) return;
    const next = { ArrowRight: (now + 1) % tabs.length, ArrowLeft: (now - 1 + tabs.length) % tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    tabs[next].focus();
    open(tabs, tabs[next], true);
  });
  const show = () => open(all(), box.querySelector('[role="tab"][aria-selected="true"]'), false);
  show();
  // htmx binds its panels when the document is ready; opening sooner is missed.
  if (document.readyState !== "complete") window.addEventListener("load", show, { once: true });
}

function open(tabs, tab, keep) {
  for (const each of tabs) {
    const on = each === tab;
    each.setAttribute("aria-selected", String(on));
    each.tabIndex = on ? 0 : -1;
    const panel = document.getElementById(each.getAttribute("aria-controls"));
    panel.hidden = !on;
    if (on) panel.dispatchEvent(new CustomEvent("desk:open"));
  }
  // Only the row of tabs moves, never the page.
  const strip = tab.parentElement;
  const over = tab.offsetLeft - strip.offsetLeft;
  if (over < strip.scrollLeft || over + tab.offsetWidth > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = over - 24;
  if (keep) history.replaceState(null, "", tab.href);
}
