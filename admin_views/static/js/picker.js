/* <select data-picker data-url="…/lookup/"> searches the server, which answers {"items": [{"id", "text", "hint"}]} to ?q=. */
export function wakePickers(root) {
  if (!window.TomSelect) return;
  for (const select of root.querySelectorAll("select[data-picker]")) {
    if (!select.tomselect) wake(select);
  }
}

function wake(select) {
  const url = select.dataset.url;
  const label = select.labels[0]?.firstChild?.textContent?.trim() ?? select.getAttribute("aria-label") ?? "";
  const picker = new window.TomSelect(select, {
    plugins: select.multiple ? { remove_button: { label: "×", title: "Remove" } } : { clear_button: { title: "Clear", html: () => `<button type="button" class="clear-button" tabindex="-1" aria-label="Clear ${escape(label)}">×</button>` } },
    valueField: "id",
    labelField: "text",
    searchField: ["text", "hint"],
    placeholder: select.dataset.placeholder ?? "Type to search",
    maxOptions: 50,
    allowEmptyOption: false,
    closeAfterSelect: !select.multiple,
    hidePlaceholder: true,
    preload: url ? "focus" : false,
    loadThrottle: 200,
    ...(url ? searched(url) : {}),
    render: {
      option: (item, esc) => `<div><span>${esc(item.text)}</span>${item.hint ? `<span class="muted small">${esc(item.hint)}</span>` : ""}</div>`,
      item: (item, esc) => `<div>${esc(item.text)}</div>`,
      no_results: () => '<div class="no-results">Nothing found</div>',
      loading: () => '<div class="picker-say">Searching…</div>',
    },
  });
  // The select stays in the page to be sent; whoever is led to it (a link of the error summary) lands in the picker.
  select.setAttribute("aria-hidden", "true");
  select.addEventListener("focus", () => picker.focus());
}

/* The server has searched already: what its last answer holds is shown, all of it and in its order. */
function searched(url) {
  let answered = new Set();
  return {
    score: () => (item) => (answered.has(String(item.id)) ? 1 : 0),
    sortField: [{ field: "$order" }],
    shouldLoad: () => true,
    load: (text, done) => load(url, text, (items) => {
      answered = new Set((items ?? []).map((item) => String(item.id)));
      done(items);
    }),
  };
}

async function load(url, text, done) {
  try {
    const to = new URL(url, location.href);
    to.searchParams.set("q", text);
    const answer = await fetch(to, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    done((await answer.json()).items);
  } catch (failed) {
    // The list then says 'Nothing found'; the console keeps the cause.
    console.error("The picker could not ask", url, failed);
    done();
  }
}

function escape(text) {
  const box = document.createElement("i");
  box.textContent = text;
  return box.innerHTML.replaceAll('"', "&quot;");
}
