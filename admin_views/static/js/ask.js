/* Confirmation pages open as a dialog over the page: links and forms with data-ask. If anything is odd, the page itself is opened. */
import { wakeForms } from "./forms.js";
import { wakePickers } from "./picker.js";
import { wakeToast } from "./shell.js";

export function wakeAsk() {
  const dialog = document.querySelector("[data-ask-dialog]");
  if (!dialog) return;
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-ask]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (!(await show(dialog, () => fetch(link.href, { redirect: "manual" })))) location.href = link.href;
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-ask]")) return;
    event.preventDefault();
    const { submitter } = event;
    const sent = new FormData(form, submitter);
    // A button named "action" hides form.action, so the attribute is read.
    const to = form.getAttribute("action");
    if (await show(dialog, () => fetch(to, { method: "POST", body: new URLSearchParams(sent), redirect: "manual" }))) return;
    if (submitter?.name) {
      const kept = document.createElement("input");
      Object.assign(kept, { type: "hidden", name: submitter.name, value: submitter.value });
      form.append(kept);
    }
    HTMLFormElement.prototype.submit.call(form);
  });
  dialog.addEventListener("click", (event) => {
    const away = event.target === dialog || event.target.closest("[data-ask-close]");
    if (!away) return;
    event.preventDefault();
    dialog.close();
  });
}

async function show(dialog, ask) {
  let page;
  dialog.dataset.asking = ""; // what is typed until it is there is no key of the page
  try {
    const answer = await ask();
    if (!answer.ok) return false;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch (failed) {
    console.error("The question could not be fetched", failed);
    return false;
  } finally {
    delete dialog.dataset.asking;
  }
  const question = page.querySelector("[data-confirm]");
  if (!question) return false;
  for (const pop of document.querySelectorAll("[popover]:popover-open")) pop.hidePopover();
  dialog.replaceChildren(document.adoptNode(question));
  // The answer may have carried messages; fetching it has used them up.
  for (const toast of page.querySelectorAll("[data-toast]")) {
    const moved = document.adoptNode(toast);
    document.querySelector("[data-toasts]").append(moved);
    wakeToast(moved);
  }
  dialog.setAttribute("aria-label", dialog.querySelector("[data-confirm-title]").textContent);
  dialog.showModal();
  wakePickers(dialog);
  wakeForms(dialog);
  (dialog.querySelector(".fields :is(input, select, textarea):not([type=hidden])") ?? dialog.querySelector("[data-ask-close]")).focus();
  return true;
}
