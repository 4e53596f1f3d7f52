/* The frame: the drawer on a phone, folded areas, the search box, messages that come and go. */
import { remember, remembered } from "./storage.js";

const STAYS = 6000;

export function wakeShell() {
  wakeDrawer();
  wakeAreas();
  for (const button of document.querySelectorAll("[data-search-clear]")) {
    button.addEventListener("click", () => {
      const box = button.form.querySelector("[data-search]");
      box.value = "";
      button.form.requestSubmit();
    });
  }
  for (const toast of document.querySelectorAll("[data-toast]")) wakeToast(toast);
  for (const button of document.querySelectorAll("[data-reveal]")) {
    button.addEventListener("click", () => {
      const box = document.getElementById(button.dataset.reveal);
      const shown = box.type === "text";
      box.type = shown ? "password" : "text";
      button.setAttribute("aria-pressed", String(!shown));
    });
  }
}

function wakeDrawer() {
  const side = document.querySelector(".side");
  if (!side) return;
  const opener = document.querySelector("[data-drawer-open]");
  const shut = () => {
    if (!document.body.classList.contains("side-open")) return;
    document.body.classList.remove("side-open");
    opener.focus();
  };
  opener.addEventListener("click", (event) => {
    event.preventDefault();
    document.body.classList.add("side-open");
    side.querySelector("a[aria-current], .nav a").focus();
  });
  for (const button of document.querySelectorAll("[data-drawer-close]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      shut();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (!document.body.classList.contains("side-open")) return;
    if (event.key === "Escape") shut();
    if (event.key !== "Tab") return;
    const stops = [...side.querySelectorAll("a, summary")].filter((stop) => stop.checkVisibility());
    const edge = event.shiftKey ? stops[0] : stops.at(-1);
    if (document.activeElement === edge) {
      event.preventDefault();
      (event.shiftKey ? stops.at(-1) : stops[0]).focus();
    }
  });
}

/* areas.js has opened and folded them before the first paint. */
function wakeAreas() {
  for (const area of document.querySelectorAll("[data-area]")) {
    area.querySelector("summary").addEventListener("click", () => {
      remember("areas", JSON.stringify({ ...JSON.parse(remembered("areas") ?? "{}"), [area.dataset.area]: !area.open }));
    });
  }
}

/* Good news goes by itself; a warning or an error stays until it is closed. */
export function wakeToast(toast) {
  const close = () => toast.remove();
  toast.querySelector("[data-toast-close]").addEventListener("click", close);
  if (!["good", "info"].includes(toast.dataset.toast)) return;
  let timer = setTimeout(close, STAYS);
  for (const name of ["mouseenter", "focusin"]) toast.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["mouseleave", "focusout"]) {
    toast.addEventListener(name, () => {
      clearTimeout(timer);
      timer = setTimeout(close, STAYS);
    });
  }
}
