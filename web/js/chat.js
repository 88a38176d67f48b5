// The conversation on the screen: sending, streaming, stopping, asking again, branching.
import { streamChat } from "/js/api.js";
import { Composer } from "/js/composer.js";
import { addTurn, newConversation, pathTo, requestMessages, show, shownTurns, variants } from "/js/conversation.js";
import { el, iconButton } from "/js/dom.js";
import { StreamAnnouncer, toast } from "/js/live.js";
import { endText, statsText, TurnView } from "/js/message.js";
import { findModel } from "/js/models.js";
import { recall } from "/js/preferences.js";
import { samplingFields } from "/js/settings.js";
import { save } from "/js/store.js";

const saveEvery = 1000;

export class ChatView {
  /** app: {models(), defaultModel(), listChanged(), opened(conversation), askKey(), failed(error)} */
  constructor(app) {
    this.app = app;
    this.running = new Map();  // conversation id → {controller, turn}: answers that grow, on the screen or not
    this.views = new Map();
    this.list = el("ol", { class: "turns", "aria-label": "Conversation" });
    this.empty = el("div", { class: "empty" });
    this.scroller = el("div", { class: "scroller", tabindex: -1 }, this.empty, this.list);
    this.toEnd = iconButton("arrowDown", "Go to the latest", () => this.scrollToEnd(), { class: "icon-button to-end", hidden: true });
    this.composer = new Composer({ label: "Message", placeholder: "Write a message", handlers: {
      send: (text) => this.send(text), stop: () => this.stop(), editLast: () => this.editLast() } });
    this.root = el("section", { class: "chat", "aria-label": "Chat" }, this.scroller,
                   el("div", { class: "composer-area" }, this.toEnd, this.composer.root));
    this.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.handlers = {
      edit: (turn, content) => this.edit(turn, content),
      regenerate: (turn) => this.answer(this.conversation, this.conversation.turns[turn.parent]),
      answer: (question) => this.answer(this.conversation, question),
      variant: (turn, step) => this.variant(turn, step),
      askKey: () => app.askKey(),
    };
    this.blank();
  }

  /** A conversation that is kept only once something was said. */
  blank() {
    this.open(newConversation(null, recall("settings", {})));
  }

  open(conversation) {
    this.conversation = conversation;
    this.views.clear();
    this.list.replaceChildren();
    this.following = true;
    this.render();
    this.scrollToEnd();
  }

  get model() {
    const chosen = this.conversation.model;
    return findModel(this.app.models(), chosen) ? chosen : this.app.defaultModel();
  }

  get busy() {
    return this.running.has(this.conversation.id);
  }

  setModel(id) {
    this.conversation.model = id;
    this.renderFoot();
    if (this.conversation.first.length) this.keep(this.conversation);
  }

  render() {
    const turns = shownTurns(this.conversation);
    this.empty.hidden = turns.length > 0;
    this.list.hidden = turns.length === 0;
    if (turns.length === 0) this.renderEmpty();
    const kept = new Set(turns.map((turn) => turn.id));
    for (const [id, view] of this.views) {
      if (kept.has(id)) continue;
      view.root.remove();
      this.views.delete(id);
    }
    turns.forEach((turn, index) => {
      const view = this.views.get(turn.id) ?? this.addView(turn);
      if (this.list.children[index] !== view.root) this.list.insertBefore(view.root, this.list.children[index] ?? null);
      view.update(turn, variants(this.conversation, turn));
    });
    this.renderFoot();
  }

  addView(turn) {
    const view = new TurnView(turn, this.handlers);
    this.views.set(turn.id, view);
    return view;
  }

  renderEmpty() {
    const none = this.app.models().length === 0;
    this.empty.replaceChildren(el("h2", null, none ? "No model yet" : "What shall we talk about?"),
      el("p", null, none ? "The list of models has not come from the server."
        : `${this.model} answers. Conversations stay in this browser.`));
  }

  renderFoot() {
    this.composer.setBusy(this.busy);
    const context = findModel(this.app.models(), this.model)?.context;
    const last = shownTurns(this.conversation).findLast((turn) => turn.stats?.exact);
    const used = last ? last.stats.promptTokens + last.stats.tokens : 0;
    this.composer.meter.textContent = used ? `${used.toLocaleString("en")}${context ? ` of ${context.toLocaleString("en")}` : ""} tokens of context` : "";
    this.composer.meter.classList.toggle("nearly-full", Boolean(context) && used > 0.9 * context);
  }

  send(text) {
    if (!this.model) {
      this.composer.restore(text);
      toast("There is no model to answer yet.", { kind: "error" });
      return;
    }
    const conversation = this.conversation;
    const parent = shownTurns(conversation).at(-1)?.id ?? null;
    this.following = true;
    this.answer(conversation, addTurn(conversation, parent, { role: "user", content: text }));
  }

  async edit(turn, content) {
    const conversation = this.conversation;
    await this.settled(conversation);
    const changed = addTurn(conversation, turn.parent, { role: turn.role, content, model: turn.model,
                                                         finish: turn.role === "assistant" ? "stop" : undefined });
    if (turn.role === "user") return this.answer(conversation, changed);
    this.render();
    return this.keep(conversation);
  }

  variant(turn, step) {
    if (this.busy) return;
    const ids = variants(this.conversation, turn);
    const next = this.conversation.turns[ids[ids.indexOf(turn.id) + step]];
    show(this.conversation, next);
    this.render();
    this.views.get(next.id)?.root.querySelector(`[aria-label="${step < 0 ? "Previous" : "Next"} version"]`)?.focus();
    this.keep(this.conversation);
  }

  /** Ends the answer that grows in `conversation`, if one does. */
  async settled(conversation) {
    const run = this.running.get(conversation.id);
    run?.controller.abort();
    await run?.ended;
  }

  /** Asks for an answer to `question`, a user's turn, as a new variant below it. */
  async answer(conversation, question) {
    if (!question) return;
    await this.settled(conversation);
    for (const turn of pathTo(conversation, question)) show(conversation, turn);
    const model = this.model;
    conversation.model = model;
    const request = { model, messages: requestMessages(conversation, question), ...samplingFields(conversation.settings) };
    const turn = addTurn(conversation, question.id, { role: "assistant", content: "", model, finish: "streaming" });
    const run = { controller: new AbortController(), turn, speaker: new StreamAnnouncer(), saved: performance.now() };
    this.running.set(conversation.id, run);
    run.ended = this.stream(conversation, turn, run, request).finally(() => this.running.delete(conversation.id));
    this.render();
    this.follow();
    this.keep(conversation);
    this.app.opened(conversation);
    await run.ended;
    if (conversation === this.conversation) {
      this.render();
      this.follow();
    }
    if (run.forgotten) return;
    conversation.updated = Date.now();
    await this.keep(conversation);
  }

  async stream(conversation, turn, run, request) {
    try {
      const { text, finish, stats } = await streamChat(request, {
        signal: run.controller.signal,
        onText: (text, stats) => this.grow(conversation, turn, run, text, stats),
      });
      Object.assign(turn, { content: text, finish, stats });
      run.speaker.finish(text, `${endText(finish) || "Answer complete."} ${statsText(stats)}`);
    } catch (error) {
      Object.assign(turn, { content: error.partial ?? turn.content, finish: "error",
                            error: { message: error.message, status: error.status ?? 0 } });
      run.speaker.finish(turn.content, `Error: ${error.message}`);
      this.app.failed(error);
    }
  }

  // Many tokens may come between two frames; the page is drawn once a frame.
  grow(conversation, turn, run, text, stats) {
    Object.assign(turn, { content: text, stats });
    run.frame ??= requestAnimationFrame(() => {
      run.frame = null;
      if (conversation !== this.conversation || turn.finish !== "streaming") return;
      this.views.get(turn.id)?.update(turn, variants(conversation, turn));
      run.speaker.update(turn.content);
      this.follow();
    });
    if (performance.now() - run.saved < saveEvery) return;
    run.saved = performance.now();
    this.keep(conversation);
  }

  stop() {
    this.running.get(this.conversation.id)?.controller.abort();
  }

  /** Ends what runs in a conversation that is being removed. */
  forget(conversation) {
    const run = this.running.get(conversation.id);
    if (!run) return;
    run.forgotten = true;
    run.controller.abort();
  }

  editLast() {
    const last = shownTurns(this.conversation).findLast((turn) => turn.role === "user");
    this.views.get(last?.id)?.edit();
    return Boolean(last);
  }

  regenerateLast() {
    const last = shownTurns(this.conversation).findLast((turn) => turn.role === "user");
    if (last) this.answer(this.conversation, last);
  }

  settingsChanged() {
    if (this.conversation.first.length) this.keep(this.conversation);
  }

  async keep(conversation) {
    try {
      await save(conversation);
    } catch (error) {
      toast(`This conversation could not be kept: ${error.message}`, { kind: "error" });
    }
    this.app.listChanged();
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.following = scrollHeight - scrollTop - clientHeight < 80;
    this.toEnd.hidden = this.following;
  }

  follow() {
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  scrollToEnd() {
    this.following = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.toEnd.hidden = true;
  }
}
