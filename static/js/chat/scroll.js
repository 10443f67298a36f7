/* Follows what is written while one is at the end, and never otherwise. */

const box = document.getElementById("scroll");
const button = document.getElementById("to-end");
const NEAR = 48;
let follows = true;

const isAtEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;

export function toEnd() {
  follows = true;
  box.scrollTop = box.scrollHeight;
}

/** Change the page in `change`, and stay at the end if one was there. */
export function following(change) {
  change();
  if (follows) box.scrollTop = box.scrollHeight;
  if (button) button.hidden = follows || isAtEnd();
}

/** Put something before what is read, without moving it. */
export function keeping(change) {
  const fromEnd = box.scrollHeight - box.scrollTop;
  change();
  box.scrollTop = box.scrollHeight - fromEnd;
}

box.addEventListener(
  "scroll",
  () => {
    follows = isAtEnd();
    if (button) button.hidden = follows;
  },
  { passive: true },
);
button?.addEventListener("click", toEnd);

/* The keyboard of a phone takes half of the page: stay where one was. */
if (document.getElementById("thread")) {
  new ResizeObserver(() => follows && (box.scrollTop = box.scrollHeight)).observe(box);
  toEnd();
}
