/* Keys: Ctrl K searches, Ctrl Shift O starts anew, Esc stops, ? tells which keys there are. */

const finder = document.getElementById("finder");
const keys = document.getElementById("keys");
const stop = document.getElementById("stop");

const isTyping = (target) => target.closest?.("input, textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    find();
  } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    document.querySelector("[data-key=new]").click();
  } else if (event.key === "?" && !isTyping(event.target)) {
    event.preventDefault();
    keys.showModal();
  } else if (event.key === "Escape" && !event.defaultPrevented) {
    escape(event);
  }
});

function escape(event) {
  const open = document.querySelector("dialog[open], [data-rename][open], [data-edit][open]");
  if (open instanceof HTMLDetailsElement) {
    event.preventDefault();
    open.open = false;
    open.querySelector("summary").focus();
  } else if (!open && !stop.hidden) {
    stop.click();
  }
}

function find() {
  finder.showModal();
  finder.querySelector("input").select();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-key=search]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  find();
});

/* Arrows walk through what was found. */
finder.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const places = [finder.querySelector("input"), ...finder.querySelectorAll("#found a")];
  const next = places.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
  event.preventDefault();
  places[(next + places.length) % places.length].focus();
});
