/* Forms: fields of some kinds of record alone, unsaved changes, no double sending, the summary of errors, the list of sections. */
export function wakeForms(root) {
  root.querySelector("[data-error-summary]")?.focus();
  for (const form of root.querySelectorAll("form[data-dirty]")) watch(form);
  for (const field of root.querySelectorAll("[data-only-for]")) onlyFor(field);
  wakeSpy(root);
}

/* A field that is of no use for this kind of record stays away, unless it holds something. */
function onlyFor(field) {
  const kind = field.closest("form").elements[field.dataset.onlyFor];
  if (!kind) return;
  const values = [...field.querySelectorAll("[name]")];
  const show = () => {
    field.hidden = kind.value !== "" && kind.value !== field.dataset.onlyValue && values.every((one) => one.value === "");
    const section = field.closest("[data-section]");
    if (section === null) return;
    section.hidden = section.querySelector("[data-field]:not([hidden])") === null;
    const link = document.querySelector(`[data-spy][href="#${section.id}"]`);
    if (link) link.hidden = section.hidden;
  };
  kind.addEventListener("change", show);
  show();
}

function state(form) {
  return JSON.stringify([...new FormData(form)].map(([name, value]) => [name, value instanceof File ? value.name : value]));
}

function watch(form) {
  const say = form.querySelector("[data-dirty-say]");
  // A form that comes back with errors holds what isn't saved yet.
  const before = form.querySelector("[data-error-summary]") ? null : state(form);
  let sending = false;
  const dirty = () => state(form) !== before;
  const show = () => {
    if (say) say.hidden = !dirty();
  };
  form.addEventListener("input", show);
  form.addEventListener("change", show);
  form.addEventListener("submit", () => {
    sending = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!sending && dirty()) event.preventDefault();
  });
  window.addEventListener("pageshow", () => {
    sending = false;
  });
  show();
}

function wakeSpy(root) {
  const links = [...root.querySelectorAll("[data-spy]")];
  if (!links.length) return;
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links) link.classList.toggle("now", link.hash === "#" + entry.target.id);
    }
  }, { rootMargin: "-80px 0px -70% 0px" });
  for (const section of root.querySelectorAll("[data-section]")) seen.observe(section);
}

/* The button goes grey after the form is on its way; not before, or its own value would not be sent. */
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  const button = event.submitter?.matches("[data-submit]") ? event.submitter : null;
  if (button) setTimeout(() => { button.disabled = true; });
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const button of document.querySelectorAll("[data-submit]")) button.disabled = false;
});
