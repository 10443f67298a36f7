/* Hears from the server over a WebSocket: that the chat changed, and what is being written in it. */
import { decorate } from "./decorate.js";
import { following } from "./scroll.js";

const LONGEST_PAUSE = 15_000;
let socket;
let pause = 500;
let waiting = [];
let frame = 0;

/** Follow the chat; `refresh` is called when something of it changed, and after a lost connection. */
export function connect(chat, refresh) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  let timer;
  let lost = false;

  function open() {
    clearTimeout(timer);
    const { version } = document.getElementById("thread").dataset;
    socket = new WebSocket(`${scheme}//${location.host}/ws/chat/${chat}/page?look=${version}`);
    socket.addEventListener("open", () => {
      pause = 500;
      tell(true);
      if (lost) refresh();
      lost = false;
    });
    socket.addEventListener("message", (event) => take(JSON.parse(event.data), refresh));
    socket.addEventListener("close", (event) => {
      if (event.code === 4401) return location.reload();
      if (event.code === 4404) return;
      lost = true;
      tell(navigator.onLine && pause < 2000);
      timer = setTimeout(open, pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    });
  }

  const again = () => {
    if (socket.readyState > WebSocket.OPEN) {
      pause = 500;
      open();
    }
  };
  addEventListener("online", again);
  addEventListener("offline", () => tell(false));
  document.addEventListener("visibilitychange", () => document.hidden || again());
  addEventListener("pageshow", (event) => event.persisted && refresh());
  open();
}

const tell = (isConnected) =>
  document.dispatchEvent(new CustomEvent("chat:connection", { detail: { isConnected } }));

function take(said, refresh) {
  if (said.op === "changed") return refresh();
  waiting.push(said);
  frame ||= requestAnimationFrame(draw);
  /* A hidden tab has no frames. */
  if (document.hidden) draw();
}

/* All that came since the last frame, at once: of the tails, the last one counts. */
function draw() {
  cancelAnimationFrame(frame);
  frame = 0;
  const all = waiting;
  waiting = [];
  following(() => {
    for (const said of all) write(said);
  });
}

function write({ op, message, html, text, at, to }) {
  const answer = document.getElementById(`m-${message}`);
  if (!answer?.dataset.live) return;
  const blocks = answer.querySelector(".blocks");
  if (op === "step") step(answer, text);
  /* After a reconnection blocks come again from the first one. */
  if (op === "blocks" && at >= Number(blocks.dataset.end ?? 0)) {
    if (at === 0) blocks.replaceChildren();
    blocks.insertAdjacentHTML("beforeend", html);
    blocks.dataset.end = to;
    decorate(answer);
  }
  if (op === "tail") answer.querySelector(".tail").innerHTML = html;
}

function step(answer, text) {
  const steps = answer.querySelector(".steps");
  steps.hidden = false;
  const list = steps.querySelector("ol");
  if ([...list.children].some((each) => each.textContent === text)) return;
  const item = document.createElement("li");
  item.textContent = text;
  list.append(item);
  steps.querySelector("summary").textContent = text;
}
