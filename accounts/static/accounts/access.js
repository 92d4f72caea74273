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

// An icon is a word in a font of pictures: beside other words it is not read out.
function hideIcons() {
  for (const icon of document.querySelectorAll(ICONS)) {
    const owner = icon.closest("a, button, h1, h2, h3, td, th, label");
    if (owner && wordsOf(owner)) {
      icon.setAttribute("aria-hidden", "true");
    }
  }
}

const ICONS = ".material-symbols-outlined";

function wordsOf(element) {
  const copy = element.cloneNode(true);
  copy.querySelectorAll(ICONS).forEach((icon) => icon.remove());
  return element.matches(ICONS) ? "" : copy.textContent.trim();
}

// What a click opens is reached by Tab and opened by Enter, which leads into its menu; Escape leads back.
const CLICKED = "[x-on\\:click]";
const FOCUSABLE = "a[href], button, input, select, textarea";

function menuOf(opener) {
  const name = opener.getAttribute("x-ref");
  const isAnchored = (menu) =>
    [...menu.attributes].some(({ name: key, value }) => key.startsWith("x-anchor") && (value.match(/\w+/g) || []).includes(name));
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

function openByTab() {
  for (const opener of document.querySelectorAll(CLICKED)) {
    const isReached = opener.matches(`[tabindex], label, ${FOCUSABLE}`) || opener.querySelector(FOCUSABLE);
    if (!isReached) {
      opener.tabIndex = 0;
      opener.setAttribute("role", "button");
      if (!wordsOf(opener) && !opener.title) {
        opener.setAttribute("aria-label", NAMES[opener.textContent.trim()] || "More actions");
      }
      opener.addEventListener("keydown", openByKeyboard);
    }
  }
}

const NAMES = { dock_to_right: "Sidebar", manage_search: "Search", close: "Close", menu: "Menu" };

document.addEventListener("DOMContentLoaded", () => {
  openByTab();
  hideIcons();
  if (window.django && window.django.jQuery) {
    window.django.jQuery(nameBoxes); // in its queue behind the admin's own script, which makes the boxes
  }
});
document.addEventListener("formset:added", () => setTimeout(() => (openByTab(), nameBoxes())));
