// The list of conversations: by day, searchable, renamed and removed in place.
import { el, icon, iconButton } from "/js/dom.js";
import { setTheme, recall } from "/js/preferences.js";

const day = 24 * 3600 * 1000;

function groupOf(time) {
  const today = new Date().setHours(0, 0, 0, 0);
  if (time >= today) return "Today";
  if (time >= today - day) return "Yesterday";
  if (time >= today - 6 * day) return "Last seven days";
  return new Date(time).toLocaleDateString("en", { month: "long", year: "numeric" });
}

const themes = { system: "Like the system", light: "Light", dark: "Dark" };
const themeIcons = { system: "system", light: "sun", dark: "moon" };

export class Sidebar {
  /** actions: {newChat(), rename(conversation, title), remove(conversation), files(), keys(), shortcuts(), close()} */
  constructor(root, actions) {
    this.root = root;
    this.actions = actions;
    this.conversations = [];
    this.renaming = null;
    this.search = el("input", { type: "search", placeholder: "Search", "aria-label": "Search conversations", autocomplete: "off",
                                oninput: () => this.renderList() });
    this.list = el("nav", { class: "conversation-list", "aria-label": "Conversations" });
    this.status = el("p", { class: "server-status", role: "status" });
    this.links = { chat: this.link("#/", "plus", "New chat"), arena: this.link("#/arena", "arena", "Arena"),
                   results: this.link("#/arena/results", "table", "Results") };
    this.links.chat.addEventListener("click", (event) => {
      event.preventDefault();
      actions.newChat();
    });
    root.replaceChildren(
      el("div", { class: "brand" }, el("span", { class: "brand-mark", "aria-hidden": "true" }, "f"), el("p", null, "fettle"),
         iconButton("close", "Close the list", () => actions.close(), { class: "icon-button only-phone" })),
      el("div", { class: "side-links" }, this.links.chat, this.links.arena, this.links.results),
      el("label", { class: "search" }, icon("search"), this.search), this.list, this.foot());
  }

  link(href, picture, label) {
    return el("a", { href, class: "side-link" }, icon(picture), label);
  }

  foot() {
    const theme = iconButton("system", "Theme", () => {
      const names = Object.keys(themes);
      setTheme(names[(names.indexOf(recall("theme", "system")) + 1) % names.length]);
      name();
    });
    const name = () => {
      const now = recall("theme", "system");
      theme.replaceChildren(icon(themeIcons[now]));
      theme.title = `Theme: ${themes[now]}`;
      theme.setAttribute("aria-label", theme.title);
    };
    name();
    return el("div", { class: "side-foot" }, this.status, el("div", { class: "side-tools" }, theme,
      iconButton("download", "Import and export", () => this.actions.files()),
      iconButton("key", "API key", () => this.actions.keys()),
      iconButton("keyboard", "Keyboard shortcuts", () => this.actions.shortcuts())));
  }

  /** `text` is shown beside the dot; `state`: "good", "waiting" or "bad". */
  setStatus(state, text) {
    this.status.dataset.state = state;
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  /** `current`: the id on the screen, `running`: ids whose answers grow, `place`: "chat", "arena" or "results". */
  update(conversations, current, running, place) {
    Object.assign(this, { conversations, current, running, place });
    for (const [name, link] of Object.entries(this.links)) {
      const here = name === place && (name !== "chat" || !conversations.some(({ id }) => id === current));
      link.classList.toggle("here", here);
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.renderList();
  }

  renderList() {
    if (this.renaming) return;
    const wanted = this.search.value.trim().toLowerCase();
    const found = this.conversations.filter((conversation) => !wanted || matches(conversation, wanted));
    const groups = new Map();
    for (const conversation of found) {
      const name = groupOf(conversation.updated);
      groups.set(name, [...(groups.get(name) ?? []), conversation]);
    }
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.list.replaceChildren(...[...groups].flatMap(([name, conversations]) => [
      el("h2", null, name), el("ul", null, conversations.map((conversation) => this.entry(conversation)))]));
    if (!found.length) this.list.append(el("p", { class: "help" }, wanted ? "Nothing found." : "Conversations appear here."));
    if (focused) this.list.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  entry(conversation) {
    const here = this.place === "chat" && conversation.id === this.current;
    const title = conversation.title || "Untitled";
    const row = el("li", { class: `entry${here ? " here" : ""}${this.running.has(conversation.id) ? " running" : ""}` },
      el("a", { href: `#/c/${conversation.id}`, title, "aria-current": here ? "page" : null, data: { key: `open-${conversation.id}` } }, title),
      iconButton("edit", `Rename “${title}”`, () => this.rename(row, conversation), { data: { key: `name-${conversation.id}` } }),
      iconButton("trash", `Delete “${title}”`, () => this.actions.remove(conversation)));
    return row;
  }

  rename(row, conversation) {
    const field = el("input", { class: "rename", value: conversation.title, "aria-label": "Title", maxlength: 200 });
    // Taking the field away makes it lose the focus, which closes it: only the first call counts.
    const close = (keep) => {
      if (this.renaming !== field) return;
      this.renaming = null;
      const title = field.value.trim();
      if (keep && title) this.actions.rename(conversation, title);
      this.renderList();
      this.list.querySelector(`[data-key="name-${conversation.id}"]`)?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();  // or it would press the button that gets the focus
        close(true);
      }
      if (event.key === "Escape") {
        event.stopPropagation();
        close(false);
      }
    });
    field.addEventListener("blur", () => close(true));
    this.renaming = field;
    row.replaceChildren(field);
    field.select();
  }
}

function matches(conversation, wanted) {
  return conversation.title.toLowerCase().includes(wanted)
    || Object.values(conversation.turns).some((turn) => turn.content.toLowerCase().includes(wanted));
}
