/* What a person prefers, kept in the browser; a private window may refuse, then it lasts for the page. */
const here = new Map();

export function remembered(name) {
  try {
    return localStorage.getItem("desk." + name);
  } catch (refused) {
    return here.get(name) ?? null;
  }
}

export function remember(name, value) {
  here.set(name, value);
  try {
    localStorage.setItem("desk." + name, value);
  } catch (refused) {
    document.documentElement.dataset.storage = "shut";
  }
}
