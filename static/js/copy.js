/* Copy buttons: what they copy is the code around them, or what they point at. */

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  /* Over plain http on another machine there is no clipboard object. */
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const selector = button.dataset.copy;
  const source = selector ? document.querySelector(selector) : button.closest(".code").querySelector("code");
  await write(source.value ?? source.textContent);
  const label = (button.dataset.label ??= button.textContent);
  button.textContent = button.dataset.copied;
  setTimeout(() => (button.textContent = label), 2000);
});
