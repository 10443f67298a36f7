/* The theme is seen as it is chosen, before it is saved. */

document.addEventListener("change", (event) => {
  if (event.target.name === "theme") {
    document.documentElement.dataset.theme = event.target.value || "system";
  }
});
