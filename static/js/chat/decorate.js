/* What a script adds to messages: a copy button on each block of code. */

const template = document.getElementById("code-copy");

export function decorate(root) {
  for (const code of root.querySelectorAll(".prose .code")) {
    if (code.querySelector(".copy-button")) continue;
    code.append(template.content.cloneNode(true));
  }
}

decorate(document);
