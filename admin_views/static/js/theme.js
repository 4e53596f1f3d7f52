/* Light or dark, and how tall rows are. early.js has set both before the first paint. */
import { remember } from "./storage.js";

const root = document.documentElement;

export function wakeTheme() {
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-toggle]")) {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      remember("theme", root.dataset.theme);
    }
    if (event.target.closest("[data-density-toggle]")) {
      const dense = root.dataset.density !== "dense";
      if (dense) root.dataset.density = "dense";
      else delete root.dataset.density;
      remember("density", dense ? "dense" : "normal");
      showDensity();
    }
  });
  showDensity();
}

function showDensity() {
  for (const button of document.querySelectorAll("[data-density-toggle]")) button.setAttribute("aria-pressed", String(root.dataset.density === "dense"));
}
