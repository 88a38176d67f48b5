// The arena: one prompt, two models side by side, names hidden until the vote.
import { sendVote, streamChat } from "/js/api.js";
import { Composer } from "/js/composer.js";
import { copyButton, el, icon } from "/js/dom.js";
import { announce, toast } from "/js/live.js";
import { MarkdownView } from "/js/markdown.js";
import { endText, statsText } from "/js/message.js";
import { recall, remember } from "/js/preferences.js";
import { samplingFields } from "/js/settings.js";

const verdicts = [
  { vote: "a", key: "1", label: "A is better" },
  { vote: "b", key: "2", label: "B is better" },
  { vote: "tie", key: "3", label: "Tie" },
  { vote: "both_bad", key: "4", label: "Both are bad" },
];
const any = "";

/** One answer: what streams in, and after the vote whose it was. */
class Side {
  constructor(title) {
    this.title = title;
    this.name = el("h3", { class: "side-name" }, title);
    this.verdict = el("span", { class: "side-verdict" });
    this.text = el("div", { class: "prose" });
    this.markdown = new MarkdownView(this.text);
    this.note = el("p", { class: "turn-note", hidden: true });
    this.stats = el("p", { class: "turn-stats" });
    this.root = el("article", { class: "arena-side", "aria-label": title },
      el("header", null, this.name, this.verdict, copyButton(`Copy ${title.toLowerCase()}`, () => this.content)), this.text, this.note, this.stats);
    this.reset(null);
  }

  reset(model) {
    Object.assign(this, { model, content: "", finish: null, result: null, error: null });
    this.name.textContent = this.title;
    this.verdict.textContent = "";
    this.stats.textContent = "";
    this.note.hidden = true;
    this.root.classList.remove("chosen", "turn-error");
    this.markdown.update("");
  }

  async run(request, signal) {
    this.root.classList.add("streaming", "waiting");
    try {
      const result = await streamChat({ ...request, model: this.model }, { signal, onText: (text) => this.grow(text) });
      Object.assign(this, { content: result.text, finish: result.finish, result });
    } catch (error) {
      Object.assign(this, { content: error.partial ?? "", finish: "error", error });
    }
    this.root.classList.remove("streaming", "waiting");
    this.markdown.update(this.content);
    const note = this.error?.message ?? endText(this.finish);
    this.note.hidden = !note;
    this.note.textContent = note;
    this.note.classList.toggle("turn-error", Boolean(this.error));
  }

  grow(text) {
    this.content = text;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.finish) return;
      this.root.classList.remove("waiting");
      this.markdown.update(this.content);
    });
  }

  /** Speed would give a model away as surely as its name, so it too waits for the vote. */
  reveal(verdict) {
    this.name.textContent = this.model;
    this.verdict.textContent = verdict;
    this.root.classList.toggle("chosen", verdict !== "");
    this.stats.textContent = statsText(this.result?.stats);
  }
}

export class ArenaView {
  /** app: {models(), settings(), failed(error)} */
  constructor(app) {
    this.app = app;
    this.controller = null;
    this.round = null;  // {messages, sent}: what is on the screen
    this.pickers = ["One model", "Other model"].map((label, index) => this.picker(label, index));
    this.question = el("p", { class: "arena-question plain-text", hidden: true });
    this.sides = [new Side("Answer A"), new Side("Answer B")];
    this.columns = el("div", { class: "arena-sides", hidden: true }, this.sides.map((side) => side.root));
    this.votes = el("div", { class: "votes", role: "group", tabindex: -1, "aria-label": "Your vote", hidden: true }, verdicts.map((verdict) => (
      el("button", { type: "button", class: "button", "aria-keyshortcuts": verdict.key, data: { vote: verdict.vote }, onclick: () => this.vote(verdict.vote) },
         verdict.label, el("kbd", { "aria-hidden": "true" }, verdict.key)))));
    this.outcome = el("div", { class: "arena-outcome", hidden: true });
    this.empty = el("div", { class: "empty" });
    this.composer = new Composer({ label: "Prompt for both models", placeholder: "Ask both the same", handlers: {
      send: (text) => this.ask(text), stop: () => this.stop() } });
    this.scroller = el("div", { class: "scroller" }, this.empty,
      el("div", { class: "arena-round" }, this.question, this.columns));
    this.root = el("section", { class: "chat arena", "aria-label": "Arena" }, el("div", { class: "arena-bar" }, this.pickers.map(({ box }) => box)),
      this.scroller, el("div", { class: "composer-area" }, this.votes, this.outcome, this.composer.root));
    document.addEventListener("keydown", (event) => this.key(event));
    this.modelsChanged();
  }

  picker(label, index) {
    const select = el("select", { id: `arena-model-${index}`, onchange: () => {
      remember("arena", this.pickers.map((picker) => picker.select.value));
      this.modelsChanged();
    } });
    return { select, box: el("div", { class: "arena-picker" }, el("label", { for: select.id }, label), select) };
  }

  modelsChanged() {
    const models = this.app.models().map(({ id }) => id);
    const wanted = recall("arena", [any, any]);
    this.pickers.forEach(({ select }, index) => {
      const other = wanted[1 - index];
      select.replaceChildren(el("option", { value: any }, "Any"),
        ...models.map((id) => el("option", { value: id, disabled: id === other }, id)));
      select.value = models.includes(wanted[index]) ? wanted[index] : any;
      select.disabled = this.controller !== null;
    });
    this.renderEmpty(models);
  }

  renderEmpty(models) {
    const enough = models.length > 1;
    this.composer.root.hidden = !enough;
    this.empty.hidden = this.round !== null && enough;
    if (this.round) return;
    this.empty.replaceChildren(...(enough
      ? [el("h2", null, "Which answer is better?"),
         el("p", null, "Both models get the same prompt. You see their names once you have voted; each vote becomes a row of prompt, chosen and rejected.")]
      : [el("h2", null, "The arena needs two models"),
         el("p", null, "This server has ", models.length === 1 ? "one" : "none", ". Start it with an adapter to compare it with its base:"),
         el("pre", { class: "command" }, "fettle serve --model M --adapter NAME=PATH")]));
  }

  draw() {
    const models = this.app.models().map(({ id }) => id);
    const fixed = this.pickers.map(({ select }) => select.value);
    const pick = (wanted, taken) => wanted || models.filter((id) => !taken.includes(id))[Math.floor(Math.random() * (models.length - taken.length))];
    const first = pick(fixed[0], fixed[1] ? [fixed[1]] : []);
    const pair = [first, pick(fixed[1], [first])];
    return Math.random() < 0.5 ? pair : pair.reverse();
  }

  async ask(text) {
    if (this.controller) return;
    const settings = this.app.settings();
    const system = settings.system?.trim();
    this.round = { messages: [...(system ? [{ role: "system", content: system }] : []), { role: "user", content: text }], sent: false };
    this.controller = new AbortController();
    this.question.textContent = text;
    this.outcome.hidden = true;
    this.showVotes(false);
    this.draw().forEach((model, index) => this.sides[index].reset(model));
    this.question.hidden = this.columns.hidden = false;
    this.composer.setBusy(true);
    this.modelsChanged();
    announce("Both models are answering.");
    const request = { messages: this.round.messages, ...samplingFields(settings) };
    await Promise.all(this.sides.map((side) => side.run(request, this.controller.signal)));
    this.controller = null;
    this.composer.setBusy(false);
    this.modelsChanged();
    this.finished();
  }

  finished() {
    const error = this.sides.find((side) => side.error)?.error;
    if (error) this.app.failed(error);
    const whole = this.sides.every((side) => side.finish === "stop" || side.finish === "length");
    this.showVotes(whole);
    if (whole) {
      announce(`Answer A: ${this.sides[0].content}`);
      announce(`Answer B: ${this.sides[1].content}`);
      announce("Vote with 1 for A, 2 for B, 3 for a tie, 4 if both are bad.");
      if (document.activeElement === document.body || document.activeElement === this.composer.field) this.votes.focus();
    } else {
      this.showOutcome("Only two whole answers can be compared.");
    }
  }

  showVotes(on) {
    this.votes.hidden = !on;
    this.composer.root.hidden = on;
  }

  stop() {
    this.controller?.abort();
  }

  async vote(vote) {
    if (!this.round || this.round.sent || this.votes.hidden) return;
    this.round.sent = true;
    this.setVotesDisabled(true);
    const side = ({ model, content }) => ({ model, content });
    try {
      await sendVote({ messages: this.round.messages, a: side(this.sides[0]), b: side(this.sides[1]), vote });
    } catch (error) {
      this.round.sent = false;
      this.setVotesDisabled(false);
      toast(`The vote was not stored. ${error.message}`, { kind: "error", action: { label: "Try again", run: () => this.vote(vote) } });
      this.app.failed(error);
      return;
    }
    this.setVotesDisabled(false);
    this.sides[0].reveal(vote === "a" ? "Your choice" : "");
    this.sides[1].reveal(vote === "b" ? "Your choice" : "");
    this.showVotes(false);
    this.showOutcome(`Stored. A was ${this.sides[0].model}, B was ${this.sides[1].model}.`);
    this.composer.focus();
  }

  setVotesDisabled(disabled) {
    for (const button of this.votes.children) button.disabled = disabled;
  }

  showOutcome(text) {
    const again = this.round.messages.at(-1).content;
    this.outcome.hidden = false;
    this.outcome.replaceChildren(icon("check"), el("span", null, text),
      el("button", { type: "button", class: "link-button", onclick: () => this.ask(again) }, "Same prompt again"),
      el("a", { class: "link-button", href: "#/arena/results" }, "Results"));
    announce(text);
  }

  key(event) {
    const typing = event.target.closest?.("input, textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !this.root.isConnected) return;
    const verdict = verdicts.find(({ key }) => key === event.key);
    if (verdict && !this.votes.hidden) {
      event.preventDefault();
      this.vote(verdict.vote);
    }
  }
}
