/* Runs as soon as the menu is there: before the first paint the areas stand as the person left them, and where one is can be seen. */
(function () {
  var kept = {};
  try {
    kept = JSON.parse(localStorage.getItem("desk.areas")) || {};
  } catch (refused) {
    document.documentElement.dataset.storage = "shut";
  }
  document.querySelectorAll("[data-area]").forEach(function (area) {
    if (area.dataset.area in kept && !area.querySelector("[aria-current]")) area.open = kept[area.dataset.area];
  });
  var now = document.querySelector(".nav [aria-current]");
  if (now) now.scrollIntoView({ block: "nearest" });
})();
