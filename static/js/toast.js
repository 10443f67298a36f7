/* Toasts go after a while, but not while somebody reads or touches them. */

const SECONDS = 10;
const shown = document.getElementById("toasts");

function live(toast) {
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => toast.remove(), SECONDS * 1000);
  };
  const stay = () => clearTimeout(timer);
  for (const name of ["pointerenter", "focusin"]) toast.addEventListener(name, stay);
  for (const name of ["pointerleave", "focusout"]) toast.addEventListener(name, wait);
  const dismiss = toast.querySelector("[data-dismiss]");
  dismiss.hidden = false;
  dismiss.addEventListener("click", () => toast.remove());
  wait();
}

/** Show `text`; with `undo`, a function, offer the way back under the label `undoLabel`. */
export function toast(text, { undo, undoLabel } = {}) {
  const made = document.getElementById("toast").content.firstElementChild.cloneNode(true);
  made.querySelector(".toast-text").textContent = text;
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-small toast-undo";
    button.textContent = undoLabel;
    button.addEventListener("click", () => {
      made.remove();
      undo();
    });
    made.querySelector("[data-dismiss]").before(button);
  }
  shown.append(made);
  live(made);
  return made;
}

for (const made of shown.querySelectorAll("[data-toast]")) live(made);
