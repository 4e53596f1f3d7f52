/* Tabs: one panel at a time, the address remembers which; a panel with hx-get asks for its content when first opened. */
export function wakeTabs() {
  for (const box of document.querySelectorAll("[data-tabs]")) wake(box);
}

function wake(box) {
  const tabs = [...box.querySelectorAll('[role="tab"]')];
  if (!tabs.length) return;
  const open = (tab, keep) => {
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
    if (keep) history.replaceState(null, "", "#" + tab.dataset.tab);
  };
  const asked = () => tabs.find((tab) => "#" + tab.dataset.tab === location.hash) ?? tabs[0];
  for (const tab of tabs) {
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      open(tab, true);
    });
    tab.addEventListener("keydown", (event) => {
      const now = tabs.indexOf(tab);
      const next = { ArrowRight: (now + 1) % tabs.length, ArrowLeft: (now - 1 + tabs.length) % tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      tabs[next].focus();
      open(tabs[next], true);
    });
  }
  window.addEventListener("hashchange", () => open(asked(), false));
  // htmx binds its panels when the document is ready; opening sooner would be missed.
  if (window.htmx && document.readyState === "complete") open(asked(), false);
  else {
    open(asked(), false);
    window.addEventListener("load", () => open(asked(), false), { once: true });
  }
}
