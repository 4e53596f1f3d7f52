/* The board: dropping a card presses the same button that stands in its menu. */
export function wakeBoard() {
  let card = null;
  const column = (event) => (card ? event.target.closest?.("[data-board] [data-stage]") : null);
  const mark = (over) => {
    for (const each of document.querySelectorAll("[data-board] .over")) each.classList.toggle("over", each === over);
    over?.classList.add("over");
  };
  document.addEventListener("dragstart", (event) => {
    card = event.target.closest?.("[data-card]") ?? null;
    if (card) event.dataTransfer.effectAllowed = "move";
  });
  document.addEventListener("dragend", () => {
    card = null;
    mark(null);
  });
  document.addEventListener("dragover", (event) => {
    const over = column(event);
    if (over) event.preventDefault();
    mark(over);
  });
  document.addEventListener("drop", (event) => {
    const over = column(event);
    if (!over) return;
    event.preventDefault();
    const way = card.querySelector(`[data-to="${over.dataset.stage}"]`);
    if (way) way.click();
  });
}
