// Puts the page together: what is shown (by the address after #), the connection, the keys of the whole page.
import { listModels } from "/js/api.js";
import { ArenaView } from "/js/arena.js";
import { ChatView } from "/js/chat.js";
import { filesDialog, keyDialog, shortcutsDialog } from "/js/dialogs.js";
import { el, iconButton } from "/js/dom.js";
import { toast } from "/js/live.js";
import { ModelPicker } from "/js/models.js";
import { recall, remember } from "/js/preferences.js";
import { ResultsView } from "/js/results.js";
import { SettingsPanel } from "/js/settings.js";
import { Sidebar } from "/js/sidebar.js";
import * as store from "/js/store.js";

const narrow = matchMedia("(max-width: 52rem)");
const longestPause = 15;

class Page {
  constructor() {
    this.models = [];
    this.pause = 1;
    const failed = (error) => this.failed(error);
    const models = () => this.models;
    this.sidebar = new Sidebar(document.getElementById("sidebar"), {
      newChat: () => this.newChat(), rename: (conversation, title) => this.rename(conversation, title),
      remove: (conversation) => this.remove(conversation), files: () => this.files(),
      keys: () => this.askKey(), shortcuts: shortcutsDialog, close: () => this.showSidebar(false) });
    this.settings = new SettingsPanel(document.getElementById("tune"), (settings) => this.settingsChanged(settings));
    this.arenaSettings = recall("arenaSettings", {});
    this.picker = new ModelPicker((id) => this.pick(id));
    this.chat = new ChatView({ models, defaultModel: () => this.defaultModel(), listChanged: () => this.showList(),
                               opened: (conversation) => this.named(conversation), askKey: () => this.askKey(), failed });
    this.arena = new ArenaView({ models, settings: () => this.arenaSettings, failed });
    this.results = new ResultsView({ failed });
    this.build();
  }

  build() {
    this.title = el("h1", { class: "view-title" });
    this.menu = iconButton("menu", "Conversations", () => this.showSidebar(!this.sidebarOpen), { "aria-controls": "sidebar" });
    this.tune = iconButton("tune", "Settings (Alt + S)", () => this.settings.toggle(this.tune), { "aria-controls": "tune", "aria-expanded": "false", "aria-label": "Settings" });
    this.bar = el("header", { class: "bar" }, this.menu, this.picker.root, this.title, this.tune);
    this.view = el("div", { class: "view" });
    document.getElementById("main").replaceChildren(this.bar, this.view);
    this.scrim = document.getElementById("scrim");
    this.scrim.addEventListener("click", () => this.showSidebar(false));
    this.showSidebar(!narrow.matches && recall("sidebar", true));
    narrow.addEventListener("change", () => this.showSidebar(!narrow.matches));
    addEventListener("hashchange", () => this.route());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  async start() {
    if (!await store.openStore()) {
      toast("This browser keeps no data for this page; conversations last until it is closed.", { kind: "error", seconds: 10 });
    }
    store.whenChangedElsewhere((id) => this.chat.running.has(id), (id) => this.changedElsewhere(id));
    await store.allConversations();
    this.route();
    await this.connect();
  }

  // ---- the connection

  async connect() {
    clearTimeout(this.timer);
    if (this.pause === 1) this.sidebar.setStatus("waiting", "Connecting…");
    try {
      this.models = await listModels();
      this.pause = 1;
      const count = this.models.length;
      this.sidebar.setStatus("good", `${count} model${count === 1 ? "" : "s"} ready`);
    } catch (error) {
      this.failed(error);
    }
    this.showModels();
  }

  failed(error) {
    if (error.status === 401) {
      this.sidebar.setStatus("bad", "A key is needed");
      this.askKey();
    } else if (error.status === 0) {
      this.sidebar.setStatus("bad", "Disconnected; trying again");
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.connect(), this.pause * 1000);
      this.pause = Math.min(this.pause * 2, longestPause);
    } else if (error.status === 404) {
      this.connect();
    }
  }

  askKey() {
    keyDialog(() => this.connect());
  }

  showModels() {
    this.picker.update(this.models, this.chat.model);
    const shown = this.models.find(({ id }) => id === this.chat.model) ?? this.models[0];
    this.settings.setDefaults(shown?.sampling ?? {});
    if (!this.chat.conversation.first.length) this.chat.renderEmpty();
    this.chat.renderFoot();
    this.arena.modelsChanged();
  }

  defaultModel() {
    const last = recall("model", null);
    return this.models.some(({ id }) => id === last) ? last : this.models[0]?.id ?? null;
  }

  pick(id) {
    remember("model", id);
    this.chat.setModel(id);
    this.showModels();
  }

  // ---- what is shown

  route() {
    const [, place = "", id] = location.hash.split("/");
    if (place === "arena") {
      this.place = id === "results" ? "results" : "arena";
      this.show(this.place === "results" ? this.results.root : this.arena.root);
      this.settings.show(this.arenaSettings);
      if (this.place === "results") this.results.open();
      else this.arena.composer.resize();
    } else {
      this.place = "chat";
      const wanted = place === "c" ? store.conversation(id) : null;
      if (place === "c" && !wanted) return this.newChat();
      if (wanted && wanted !== this.chat.conversation) this.chat.open(wanted);
      if (!wanted && this.chat.conversation.first.length) this.chat.blank();
      this.show(this.chat.root);
      this.chat.scrollToEnd();
      this.settings.show(this.chat.conversation.settings);
      this.chat.composer.resize();
      this.chat.composer.focus();
    }
    if (narrow.matches) this.showSidebar(false);
    this.showModels();
    this.showList();
    return undefined;
  }

  show(root) {
    this.picker.root.hidden = this.place !== "chat";
    this.tune.hidden = this.place === "results";
    if (this.place === "results") this.settings.close();
    if (this.view.firstChild !== root) this.view.replaceChildren(root);
  }

  async showList() {
    const conversations = await store.allConversations();
    this.sidebar.update(conversations, this.chat.conversation.id, this.chat.running, this.place);
    const title = { arena: "Arena", results: "Results" }[this.place] ?? this.chat.conversation.title;
    this.title.textContent = title || "New chat";
    document.title = title ? `${title} · fettle` : "fettle";
  }

  showSidebar(open) {
    document.body.classList.toggle("sliding", this.sidebarOpen !== undefined);
    this.sidebarOpen = open;
    document.body.classList.toggle("with-sidebar", open);
    this.menu.setAttribute("aria-expanded", String(open));
    this.scrim.hidden = !(open && narrow.matches);
    document.getElementById("sidebar").inert = !open;
    document.getElementById("main").inert = open && narrow.matches;
    if (!narrow.matches) remember("sidebar", open);
    else if (open) this.sidebar.search.focus();
  }

  // ---- conversations

  newChat() {
    this.chat.blank();
    if (location.hash === "#/" || location.hash === "") this.route();
    else location.hash = "#/";
  }

  named(conversation) {
    const hash = `#/c/${conversation.id}`;
    if (conversation === this.chat.conversation && location.hash !== hash) history.replaceState(null, "", hash);
    this.showModels();
    this.showList();
  }

  async rename(conversation, title) {
    Object.assign(conversation, { title, named: true });
    await store.save(conversation);
    this.showList();
  }

  async remove(conversation) {
    this.chat.forget(conversation);
    await store.remove(conversation.id);
    if (conversation === this.chat.conversation) this.newChat();
    this.showList();
    toast("Conversation deleted.", { seconds: 8, action: { label: "Undo", run: async () => {
      await store.save(conversation);
      this.showList();
    } } });
  }

  async changedElsewhere(id) {
    if (id === this.chat.conversation.id) {
      const stored = store.conversation(id);
      if (stored) this.chat.open(stored);
      else this.newChat();
    }
    this.showList();
  }

  async files() {
    const current = this.chat.conversation.first.length && this.place === "chat" ? this.chat.conversation : null;
    filesDialog({ all: await store.allConversations(), current, imported: async (conversations) => {
      for (const conversation of conversations) await store.save(conversation);
      this.showList();
    } });
  }

  settingsChanged(settings) {
    if (this.place === "chat") this.chat.settingsChanged();
    else remember("arenaSettings", settings);
  }

  // ---- keys

  key(event) {
    const typing = event.target.closest?.("input, textarea, select");
    const here = this.place === "arena" ? this.arena : this.chat;
    if (event.key === "Escape") {
      here.stop();
      if (narrow.matches) this.showSidebar(false);
    } else if (event.altKey && event.code === "KeyN") this.newChat();
    else if (event.altKey && event.code === "KeyR" && this.place === "chat") this.chat.regenerateLast();
    else if (event.altKey && event.code === "KeyS" && this.place !== "results") this.settings.toggle(this.tune);
    else if ((event.ctrlKey || event.metaKey) && event.code === "KeyK") {
      this.showSidebar(true);
      this.sidebar.search.focus();
    } else if (!typing && event.key === "/") here.composer.focus();
    else if (!typing && event.key === "?") shortcutsDialog();
    else return;
    if (event.key !== "Escape") event.preventDefault();
  }
}

new Page().start();
