// What the page says without being asked: to screen readers (live regions) and on the screen (toasts).
import { el, iconButton } from "/js/dom.js";

/** Read out by screen readers when they are idle. */
export function announce(text) {
  const region = document.getElementById("live");
  region.append(el("p", null, text));
  while (region.childElementCount > 20) region.firstChild.remove();
}

/** A short notice at the foot of the page. `action`: {label, run} adds a button. */
export function toast(text, { kind = "info", action, seconds = 5 } = {}) {
  const close = () => box.remove();
  const box = el("div", { class: `toast toast-${kind}` }, el("span", null, text),
    action && el("button", { type: "button", class: "link-button", onclick: () => { close(); action.run(); } },
                 action.label),
    iconButton("close", "Dismiss", close));
  document.getElementById("toasts").append(box);
  if (kind === "error") {
    document.getElementById("alerts").textContent = text;
  } else {
    announce(text);
  }
  setTimeout(close, seconds * 1000);
}

// What a screen reader should not spell out: marks of Markdown, addresses of links.
function speech(text) {
  return text.replace(/\]\([^\s()]*\)/g, "").replace(/[*_`#|[\]>~]+/g, " ").replace(/-{3,}/g, " ").replace(/\s+/g, " ").trim();
}

/**
 * Speaks a growing text in whole sentences, so that a screen reader follows the stream without being
 * interrupted at every token.
 */
export class StreamAnnouncer {
  constructor() {
    this.spoken = 0;
    this.last = 0;
  }

  update(text) {
    const now = performance.now();
    if (now - this.last < 1500) return;
    const fresh = text.slice(this.spoken);
    const end = Math.max(...[". ", "! ", "? ", ".\n", ":\n", "\n\n", "。"].map((mark) => fresh.lastIndexOf(mark)));
    if (end < 0) return;
    this.last = now;
    this.spoken += end + 1;
    announce(speech(fresh.slice(0, end + 1)));
  }

  finish(text, note) {
    const rest = speech(text.slice(this.spoken));
    if (rest) announce(rest);
    announce(note);
  }
}
