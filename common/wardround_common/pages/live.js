// Keeps the part of a page that is live up to date. Without it, or without scripts, loading the page again does.
"use strict";
const live = document.getElementById("live");
if (live && "EventSource" in window) {
  const told = new EventSource(window.location.href);
  let shown = null;
  told.onmessage = (event) => {
    if (live.contains(document.activeElement) && shown !== null) return; // do not take a link from under the keyboard
    if (event.data !== shown) live.innerHTML = event.data;
    shown = event.data;
  };
  told.addEventListener("over", () => told.close());
  window.addEventListener("pagehide", () => told.close());
}
