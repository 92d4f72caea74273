// Gives a keyboard and a screen reader what the admin's own markup leaves to the mouse and the eye.
"use strict";

// The boxes that select2 puts in the place of a choice get the name that the choice has.
function nameBoxes() {
  for (const box of document.querySelectorAll("select + .select2")) {
    const choice = box.previousElementSibling;
    const shown = box.querySelector("[role=textbox]");
    const label = choice.labels && choice.labels[0];
    if (label && shown) {
      label.id = label.id || `label-of-${choice.id}`;
      shown.setAttribute("aria-labelledby", label.id);
      box.querySelector("[role=combobox]").setAttribute("aria-labelledby", `${label.id} ${shown.id}`);
    } else {
      const name = choice.getAttribute("aria-label") || choice.title || choice.name;
      box.querySelectorAll("[role=textbox], [role=combobox]").forEach((part) => {
        part.removeAttribute("aria-labelledby");
        part.setAttribute("aria-label", name);
      });
    }
  }
}

// What opens a menu is reached by Tab and opened by Enter, which leads into the menu; Escape leads back.
const OPENERS = "[x-ref^=rowDropdown], [x-ref^=relatedWidgetWrapper], #changelist-actions [x-on\\:click]";

function menuOf(opener) {
  const name = opener.getAttribute("x-ref");
  const isAnchored = (menu) =>
    [...menu.attributes].some(({ name: key, value }) => key.startsWith("x-anchor") && value.match(/\w+/g).includes(name));
  return [...document.querySelectorAll("nav")].find(isAnchored);
}

function openByKeyboard(event) {
  if (event.key !== "Enter" && event.key !== " ") {
    return;
  }
  event.preventDefault();
  const opener = event.currentTarget;
  opener.click();
  setTimeout(() => {
    const menu = menuOf(opener);
    const first = menu && [...menu.querySelectorAll("a[href], button")].find((item) => item.offsetParent !== null);
    if (first) {
      first.focus();
      menu.addEventListener("keydown", ({ key }) => key === "Escape" && (opener.click(), opener.focus()), { once: true });
    }
  }, 200); // the menu fades in
}

function openMenusByKeyboard() {
  for (const opener of document.querySelectorAll(OPENERS)) {
    if (opener.tabIndex < 0 && !opener.querySelector("a, button, input")) {
      opener.tabIndex = 0;
      opener.setAttribute("role", "button");
      opener.setAttribute("aria-label", opener.getAttribute("aria-label") || "More actions");
      opener.addEventListener("keydown", openByKeyboard);
    }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  openMenusByKeyboard();
  if (window.django && window.django.jQuery) {
    window.django.jQuery(nameBoxes); // in its queue behind the admin's own script, which makes the boxes
  }
});
document.addEventListener("formset:added", () => setTimeout(() => (openMenusByKeyboard(), nameBoxes())));
