/* Runs before the first paint, so that theme and row height never flash. Kept small on purpose. */
(function () {
  var root = document.documentElement;
  root.classList.add("js");
  try {
    var theme = localStorage.getItem("desk.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("desk.density") === "dense") root.dataset.density = "dense";
  } catch (refused) {
    /* Storage is shut (private window): the system's theme and the normal rows stand. */
    root.dataset.storage = "shut";
  }
})();
