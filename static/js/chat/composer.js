/* Where one asks: what Enter does, a draft for each chat, sending that can be tried again safely. */
import { refresh } from "./thread.js";
import { toEnd } from "./scroll.js";

const form = document.getElementById("composer");
const field = form.elements.content;
const offline = document.getElementById("offline");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const isNew = form.dataset.draft === "new";
const draft = `draft:${form.dataset.draft}`;

/* A draft outlives the page, but not the tab's whole browser being signed out of: it is this browser's own. */
const store = {
  get: () => JSON.parse(localStorage.getItem(draft) ?? "null"),
  put: (kept) => (kept ? localStorage.setItem(draft, JSON.stringify(kept)) : localStorage.removeItem(draft)),
};

const kept = store.get();
if (kept && !field.value) {
  field.value = kept.text;
  if (kept.id) form.elements.client_id.value = kept.id;
}
const keep = () => store.put(field.value ? { text: field.value } : null);
field.addEventListener("input", () => {
  /* Other words are another question. */
  form.elements.client_id.value = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  keep();
});

field.addEventListener("keydown", (event) => {
  /* 229: the Enter that ends a composition in Safari. */
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  if (!send.hidden && field.value.trim()) form.requestSubmit(send);
});

function tell(text) {
  offline.textContent = text;
  offline.hidden = !text;
}

form.addEventListener("submit", async (event) => {
  const by = event.submitter;
  if (isNew) {
    /* A new chat is a new page. The server takes the same question once. */
    if (by?.name === "starter") return store.put(null);
    if (!field.value.trim()) return event.preventDefault();
    return store.put(null);
  }
  event.preventDefault();
  if (by === stop) return post(form.dataset.stop);
  if (!field.value.trim() || form.ariaBusy) return;
  form.ariaBusy = "true";
  const text = field.value;
  store.put({ text, id: form.elements.client_id.value });
  const sent = await ask(new FormData(form));
  form.ariaBusy = null;
  if (!sent) return;
  store.put(null);
  field.value = "";
  form.elements.client_id.value = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  tell("");
  toEnd();
  await refresh();
});

async function ask(data) {
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, headers: { "X-Fragment": "1" } });
    if (answer.ok) return true;
    const said = answer.headers.get("Content-Type")?.startsWith("application/json") ? await answer.json() : {};
    tell(said.message ?? offline.dataset.refused);
  } catch {
    tell(offline.dataset.unsent);
  }
  return false;
}

export async function post(url) {
  const data = new FormData();
  data.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  try {
    await fetch(url, { method: "POST", body: data, headers: { "X-Fragment": "1" } });
    await refresh();
  } catch {
    tell(offline.dataset.offline);
  }
}

document.addEventListener("chat:state", ({ detail }) => {
  send.hidden = detail.live;
  stop.hidden = !detail.live;
});
document.addEventListener("chat:connection", ({ detail }) => {
  if (!detail.isConnected) tell(offline.dataset.offline);
  else if (offline.textContent === offline.dataset.offline) tell("");
});

/* Who answers a new chat: its questions, and its name in the field. */
document.addEventListener("change", (event) => {
  if (event.target.name === "persona") choose(event.target);
});

function choose(face) {
  field.placeholder = face.dataset.name;
  for (const each of document.querySelectorAll("[data-starters]")) {
    each.toggleAttribute("data-chosen", each.dataset.starters === face.value);
  }
}
const chosen = document.querySelector("input[name=persona]:checked");
if (chosen) choose(chosen);
