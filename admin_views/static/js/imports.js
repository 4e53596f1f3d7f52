/* The import wizard: the drop zone, the template of the chosen entity, 'read again', columns left out, the end of a job said aloud. */
export function wakeImports() {
  for (const zone of document.querySelectorAll("[data-drop]")) wakeDrop(zone);
  const entity = document.querySelector("[data-entity]");
  const template = document.querySelector("[data-template-link]");
  entity?.addEventListener("change", () => {
    const url = entity.selectedOptions[0].dataset.template;
    if (!template) return;
    template.parentElement.hidden = !url;
    if (url) template.href = url;
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-again]")) event.target.closest("section").querySelector(".card-foot").classList.add("due");
    if (event.target.matches("[data-target]")) event.target.closest(".map-row").classList.toggle("map-off", !event.target.value);
  });
  const say = document.querySelector("[data-say]");
  let state = document.querySelector("[data-job-state]")?.dataset.jobState;
  document.addEventListener("htmx:afterSwap", () => {
    const now = document.querySelector("[data-job-state]")?.dataset.jobState;
    if (say && now && now !== state) say.textContent = now;
    state = now;
  });
}

function wakeDrop(zone) {
  const input = zone.querySelector("input[type=file]");
  const text = zone.querySelector("[data-drop-text]");
  const hint = zone.querySelector("[data-drop-hint]");
  // The input covers the zone, so the browser itself takes what is dropped on it.
  for (const name of ["dragenter", "dragover"]) zone.addEventListener(name, () => zone.classList.add("drop-over"));
  for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => zone.classList.remove("drop-over"));
  const show = () => {
    const file = input.files[0];
    zone.classList.toggle("drop-full", Boolean(file));
    if (!file) return;
    const strong = document.createElement("strong");
    strong.textContent = file.name;
    text.replaceChildren(strong);
    hint.textContent = `${size(file.size)} · choose or drop another one to replace it`;
  };
  input.addEventListener("change", show);
  window.addEventListener("pageshow", show);
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
