/* Whoever goes from a narrowed list to a record and back finds the list as it was: its address is kept for this tab. */
export function wakeBack() {
  const key = (path) => "desk.list " + path;
  try {
    if (document.querySelector("[data-list]")) sessionStorage.setItem(key(location.pathname), location.search);
    for (const link of document.querySelectorAll(".crumbs a, a[data-back], a[data-leave]")) {
      const search = !link.search && sessionStorage.getItem(key(link.pathname));
      if (search) link.search = search;
    }
  } catch (refused) {
    document.documentElement.dataset.storage = "shut"; // a private window: links lead to the whole list
  }
}
