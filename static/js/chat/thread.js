/* The thread is what the server says it is: asked for again when something changed, message by message. */
import { decorate } from "./decorate.js";
import { following, keeping } from "./scroll.js";
import { connect } from "./live.js";

const chat = document.getElementById("chat");
const thread = document.getElementById("thread");
let asked = 0;

/** Ask for the thread again, and put what differs into the page. */
export async function refresh() {
  const turn = ++asked;
  const answer = await fetch(chat.dataset.thread, { headers: { "X-Fragment": "1" }, cache: "no-store" });
  if (!answer.ok || turn !== asked) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  following(() => {
    merge(fresh.getElementById("thread"));
    thread.dataset.version = fresh.getElementById("thread").dataset.version;
    for (const id of ["context-line", "inspector", "chat-head"]) swap(fresh, id);
  });
  listed(fresh.querySelector("h1").textContent);
  document.dispatchEvent(new CustomEvent("chat:state", { detail: { live: thread.querySelector("[data-live]") !== null } }));
}

/* The chat's row in the sidebar says what its head says. */
function listed(title) {
  const row = document.querySelector("#chats [aria-current]");
  if (!row) return;
  row.querySelector(".ellipsis").textContent = title;
  document.title = `${title} · Alchemyst`;
  if (!thread.querySelector("[data-live]")) row.querySelector(".alive")?.remove();
}

function swap(fresh, id) {
  const from = fresh.getElementById(id);
  const into = document.getElementById(id);
  /* Not under the hand of who is using it. */
  if (!from || !into || into.contains(document.activeElement) || into.querySelector("details[open]")) return;
  if (into.innerHTML !== from.innerHTML) into.innerHTML = from.innerHTML;
}

/* Keeps the messages that are still the same, those loaded earlier among them if they still come before. */
function merge(fresh) {
  const messages = [...fresh.querySelectorAll(":scope > [data-message]")];
  const first = messages[0];
  const older = [];
  if (first) {
    for (const each of thread.querySelectorAll(":scope > [data-message]")) {
      if (each.id === first.id) break;
      older.push(each);
    }
    const joins = older.at(-1)?.dataset.message === first.dataset.parent;
    if (!joins) older.length = 0;
  }
  const link = older.length ? thread.querySelector("#older") : fresh.querySelector("#older");
  const wanted = [...(link ? [link] : []), ...older, ...messages.map(kept)];
  wanted.forEach((each, place) => {
    if (thread.children[place] !== each) thread.insertBefore(each, thread.children[place] ?? null);
  });
  while (thread.children.length > wanted.length) thread.lastElementChild.remove();
  decorate(thread);
}

function kept(fresh) {
  const there = document.getElementById(fresh.id);
  if (there && there.dataset.version === fresh.dataset.version) return there;
  /* An answer that just ended: its words are there already, so only what stands around them changes. */
  const opened = there?.querySelector(".steps")?.open;
  const made = document.importNode(fresh, true);
  if (opened && made.querySelector(".steps")) made.querySelector(".steps").open = true;
  there?.remove();
  return made;
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("[data-older]");
  if (!link) return;
  event.preventDefault();
  if (link.ariaBusy) return;
  link.ariaBusy = "true";
  const answer = await fetch(link.dataset.older);
  if (!answer.ok) return (link.ariaBusy = null);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  keeping(() => {
    link.replaceWith(...document.importNode(fresh.getElementById("thread"), true).children);
    decorate(thread);
  });
});

/* Earlier messages come as one scrolls up to them. */
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) entry.target.click();
});
if (thread) {
  const watch = () => {
    seen.disconnect();
    const link = document.getElementById("older");
    if (link) seen.observe(link);
  };
  new MutationObserver(watch).observe(thread, { childList: true });
  requestAnimationFrame(watch);
  connect(chat.dataset.chat, refresh);
}
