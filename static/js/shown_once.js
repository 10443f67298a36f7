/* A reload of the page that shows a key must not make another one. */

const { shownOnce } = document.querySelector("[data-shown-once]").dataset;
history.replaceState(null, "", shownOnce);
