"use strict";
// An improvement only: the page is complete without it.
for (const box of document.querySelectorAll(".filter")) {
  const input = box.querySelector("input");
  const output = box.querySelector("output");
  const items = box.nextElementSibling.children;
  box.hidden = items.length < 20;
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    let shown = 0;
    for (const item of items) {
      item.hidden = !item.textContent.toLowerCase().includes(wanted);
      shown += item.hidden ? 0 : 1;
    }
    output.textContent = wanted ? ` ${shown} of ${items.length}` : "";
  });
}
const folded = new Set();
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open])")) {
    part.open = true;
    folded.add(part);
  }
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
  folded.clear();
});
