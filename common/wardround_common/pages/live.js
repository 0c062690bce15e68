// Keeps the part of a page that is live up to date. Without it, or without scripts, loading the page again does.
"use strict";
const live = document.getElementById("live");
const nameOf = (one) => one.getAttribute("href") || one.getAttribute("aria-label");

function show(content) {
  const held = live.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const scrolled = [...live.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  live.innerHTML = content;
  [...live.querySelectorAll(".scroll")].forEach((one, place) => { one.scrollLeft = scrolled[place] || 0; });
  if (held) { // the keyboard stays where it was
    const same = [...live.querySelectorAll("[href], [tabindex]")].find((one) => nameOf(one) === held);
    if (same) same.focus({ preventScroll: true });
  }
}

if (live && "EventSource" in window) {
  const told = new EventSource(window.location.href);
  let shown = null;
  told.onmessage = (event) => {
    if (event.data !== shown) show(event.data);
    shown = event.data;
  };
  told.addEventListener("over", () => told.close());
  window.addEventListener("pagehide", () => told.close());
}
