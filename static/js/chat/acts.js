/* What is done with messages, without leaving the page: regenerate, edit, switch, pin, look into the context. */
import { refresh } from "./thread.js";
import { toast } from "../toast.js";

document.addEventListener("submit", async (event) => {
  const by = event.submitter;
  if (!by?.matches("[data-act], .inspector-act")) return;
  event.preventDefault();
  const form = event.target;
  const data = new FormData(form);
  if (by.name) data.set(by.name, by.value);
  by.disabled = true;
  try {
    const address = by.hasAttribute("formaction") ? by.formAction : form.action;
    const answer = await fetch(address, { method: "POST", body: data, headers: { "X-Fragment": "1" } });
    if (answer.ok) by.closest("[data-edit]")?.removeAttribute("open");
    else toast((await answer.json()).message);
    document.activeElement?.blur();
    await refresh();
  } catch {
    toast(document.getElementById("offline").dataset.offline);
  } finally {
    by.disabled = false;
  }
});

document.addEventListener("click", async (event) => {
  const cancel = event.target.closest?.("[data-close-edit]");
  if (cancel) cancel.closest("details").open = false;

  const link = event.target.closest?.("[data-given]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const answer = await fetch(link.dataset.given);
  if (!answer.ok) return;
  const pane = document.getElementById("inspector");
  pane.innerHTML = await answer.text();
  const opener = document.querySelector(".opens-inspector");
  if (opener?.offsetParent && !pane.matches(":popover-open")) pane.showPopover?.();
  pane.querySelector("h2")?.scrollIntoView({ block: "nearest" });
});

/* A title is changed where it stands. */
document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.matches?.("[data-rename][open]")) event.target.querySelector("input").select();
    if (event.target.matches?.("[data-edit][open]")) event.target.querySelector("textarea").focus();
  },
  true,
);
const rename = document.querySelector("[data-rename]");
if (rename && new URLSearchParams(location.search).has("rename")) {
  rename.open = true;
  history.replaceState(null, "", location.pathname);
}
