// The field at the foot of the page: Enter sends, Shift+Enter begins a line, Esc stops.
import { el, icon } from "/js/dom.js";

// On a touch keyboard there is no Shift+Enter, so Enter begins a line and the button sends.
const touch = matchMedia("(hover: none) and (pointer: coarse)");

export class Composer {
  /** handlers: {send(text), stop(), editLast()} */
  constructor({ label, placeholder, handlers }) {
    this.handlers = handlers;
    this.busy = false;
    this.field = el("textarea", { id: "composer-text", rows: 1, "aria-label": label, placeholder,
                                  autocomplete: "off", enterkeyhint: touch.matches ? "enter" : "send" });
    this.button = el("button", { type: "submit", class: "send-button" });
    this.hint = el("span", { class: "composer-hint" });
    this.meter = el("span", { class: "composer-meter" });
    this.root = el("form", { class: "composer" },
      el("div", { class: "composer-box" }, this.field, this.button),
      el("div", { class: "composer-foot" }, this.hint, this.meter));
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.busy ? handlers.stop() : this.send();
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("input", () => this.resize());
    this.setBusy(false);
  }

  key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch.matches) {
      event.preventDefault();
      if (!this.busy) this.send();
    } else if (event.key === "ArrowUp" && this.field.value === "" && !this.busy) {
      if (this.handlers.editLast?.()) event.preventDefault();
    }
  }

  send() {
    const text = this.field.value.trim();
    if (!text) return;
    this.field.value = "";
    this.resize();
    this.handlers.send(text);
  }

  /** Puts text back that could not be sent, unless something new was typed. */
  restore(text) {
    if (this.field.value === "") this.field.value = text;
    this.resize();
  }

  setBusy(busy) {
    this.busy = busy;
    const label = busy ? "Stop (Esc)" : "Send (Enter)";
    this.button.replaceChildren(icon(busy ? "stop" : "arrowUp"));
    this.button.setAttribute("aria-label", busy ? "Stop" : "Send");
    this.button.title = label;
    this.button.classList.toggle("stopping", busy);
    this.resize();
  }

  resize() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, innerHeight * 0.4)}px`;
    this.button.disabled = !this.busy && this.field.value.trim() === "";
    this.hint.textContent = this.busy ? "Esc to stop" : touch.matches ? "" : "Enter to send, Shift + Enter for a new line";
  }

  focus() {
    if (!touch.matches) this.field.focus();
  }
}
