// One turn on the screen: its text, its variants, what can be done with it, what it cost.
import { copyButton, el, icon, iconButton } from "/js/dom.js";
import { MarkdownView } from "/js/markdown.js";

/** "312 tokens · 24.5 tokens/s · first after 0.42 s"; counts that are only pieces so far carry "about". */
export function statsText(stats) {
  if (!stats || stats.firstSeconds === null) return "";
  const parts = [`${stats.exact ? "" : "about "}${stats.tokens.toLocaleString("en")} token${stats.tokens === 1 ? "" : "s"}`];
  if (stats.perSecond !== null) parts.push(`${stats.perSecond.toFixed(stats.perSecond < 10 ? 1 : 0)} tokens/s`);
  parts.push(`first after ${stats.firstSeconds.toFixed(2)} s`);
  return parts.join(" · ");
}

const ends = {
  length: "Ended at the token limit.",
  stopped: "Stopped.",
  cut: "Cut off when the page was closed.",
};

/** Why an answer ended, where that is not simply its end; "" otherwise. */
export function endText(finish) {
  return ends[finish] ?? "";
}

/**
 * handlers: {edit(turn, content), regenerate(turn), answer(question), variant(turn, step), askKey()}. The view shows what update()
 * was last given.
 */
export class TurnView {
  constructor(turn, handlers) {
    this.handlers = handlers;
    this.turn = turn;
    this.user = turn.role === "user";
    this.text = el("div", { class: this.user ? "turn-text plain-text" : "turn-text prose" });
    this.markdown = this.user ? null : new MarkdownView(this.text);
    this.note = el("p", { class: "turn-note", hidden: true });
    this.stats = el("span", { class: "turn-stats" });
    this.variants = el("span", { class: "variants", hidden: true });
    this.actions = el("div", { class: "turn-actions" }, this.buttons(), this.variants, this.stats);
    this.name = el("h2", { class: "turn-name" });
    this.body = el("div", { class: "turn-body" }, this.text, this.note);
    this.root = el("li", { class: `turn turn-${turn.role}`, data: { id: turn.id } }, this.name, this.body, this.actions);
  }

  buttons() {
    const kind = this.user ? "message" : "answer";
    return [
      copyButton(`Copy ${kind}`, () => this.turn.content),
      iconButton("edit", `Edit ${kind}`, () => this.edit()),
      !this.user && iconButton("redo", "Answer again", () => this.handlers.regenerate(this.turn)),
    ];
  }

  /** `siblings`: the ids of all variants of this turn. */
  update(turn, siblings) {
    this.turn = turn;
    const streaming = turn.finish === "streaming";
    this.root.classList.toggle("streaming", streaming);
    this.root.classList.toggle("waiting", streaming && turn.content === "");
    this.name.textContent = this.user ? "You" : turn.model ?? (turn.role === "tool" ? "Tool" : "Assistant");
    this.name.classList.toggle("hidden-text", this.user);
    if (this.user) this.text.textContent = turn.content;
    else this.markdown.update(turn.content);
    this.stats.textContent = statsText(turn.stats);
    this.showNote();
    this.showVariants(siblings);
  }

  showNote() {
    const { error, finish, children } = this.turn;
    const unanswered = this.user && children.length === 0;
    const text = unanswered ? "Not answered yet." : error?.message ?? endText(finish);
    this.note.hidden = text === "";
    this.note.classList.toggle("turn-error", Boolean(error));
    this.note.replaceChildren();
    if (error) this.note.append(icon("warning"));
    this.note.append(text);
    if (error?.status === 401) this.note.append(this.offer("Enter a key", () => this.handlers.askKey()));
    else if (unanswered) this.note.append(this.offer("Answer", () => this.handlers.answer(this.turn)));
    else if (error || finish === "cut") this.note.append(this.offer("Try again", () => this.handlers.regenerate(this.turn)));
  }

  offer(label, onclick) {
    return el("button", { type: "button", class: "link-button", onclick }, label);
  }

  showVariants(siblings) {
    const index = siblings.indexOf(this.turn.id);
    this.variants.hidden = siblings.length < 2;
    if (this.variants.hidden) return;
    const step = (name, label, by) => iconButton(name, label, () => this.handlers.variant(this.turn, by),
                                                 { disabled: !siblings[index + by], "aria-disabled": siblings[index + by] ? null : "true" });
    const label = `${index + 1} / ${siblings.length}`;
    if (this.variants.dataset.label === label) return;
    this.variants.dataset.label = label;
    this.variants.replaceChildren(step("chevronLeft", "Previous version", -1),
      el("span", { "aria-label": `Version ${index + 1} of ${siblings.length}` }, label),
      step("chevronRight", "Next version", 1));
  }

  /** Turns the text into a field; saving makes a new branch, the old one stays. */
  edit() {
    if (this.body.querySelector(".edit-field")) return;
    const field = el("textarea", { class: "edit-field", "aria-label": this.user ? "Edit message" : "Edit answer",
                                   value: this.turn.content, rows: Math.min(14, this.turn.content.split("\n").length + 1) });
    const close = () => {
      form.remove();
      this.text.hidden = false;
      this.actions.hidden = false;
      this.actions.querySelector("[aria-label^=Edit]")?.focus();
    };
    const save = () => {
      const content = field.value.trim();
      if (!content) return;
      close();
      if (content !== this.turn.content) this.handlers.edit(this.turn, content);
    };
    const form = el("div", { class: "edit-form" }, field, el("div", { class: "edit-buttons" },
      el("button", { type: "button", class: "button", onclick: close }, "Cancel"),
      el("button", { type: "button", class: "button primary", onclick: save }, this.user ? "Send" : "Save")));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && (this.user || event.ctrlKey)) {
        event.preventDefault();
        save();
      }
    });
    this.text.hidden = true;
    this.actions.hidden = true;
    this.body.prepend(form);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}
