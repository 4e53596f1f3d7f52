/* The builder of rules: whom the rule means is asked anew after each change, and the newest answer counts. */
export function wakeRule() {
  const form = document.querySelector("form[data-tell]");
  if (!form) return;
  let timer;
  let asking;
  const tell = async () => {
    clearTimeout(timer);
    asking?.abort();
    asking = new AbortController();
    try {
      const answer = await fetch(form.dataset.tell, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: asking.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Each part goes to its place; a node may have been taken out meanwhile.
      for (const part of page.querySelectorAll("[data-told]")) {
        const place = document.getElementById(part.id);
        if (!place) continue;
        place.replaceChildren(...part.childNodes);
        window.htmx.process(place);
      }
    } catch (failed) {
      if (failed.name !== "AbortError") console.error("Whom the rule means could not be asked", failed);
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(tell, 400);
  });
  document.body.addEventListener("desk:rule", tell);
}
