// The panel beside a conversation: system prompt and sampling. An empty field leaves the choice to the server.
import { el, iconButton } from "/js/dom.js";
import { toast } from "/js/live.js";
import { remember } from "/js/preferences.js";

const sampling = [
  { key: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, help: "0 takes the likeliest token each time" },
  { key: "top_p", label: "Top p", min: 0, max: 1, step: 0.01, help: "keeps the likeliest tokens up to this probability" },
  { key: "top_k", label: "Top k", min: 0, max: 1000, step: 1, help: "keeps this many of the likeliest tokens" },
  { key: "min_p", label: "Min p", min: 0, max: 1, step: 0.01, help: "drops tokens below this part of the likeliest one" },
  { key: "max_tokens", label: "Longest answer", min: 1, max: 1000000, step: 1, help: "in tokens" },
  { key: "repetition_penalty", label: "Repetition penalty", min: 0.5, max: 2, step: 0.05, help: "1 is none" },
  { key: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: 0.1, help: "0 is none" },
  { key: "frequency_penalty", label: "Frequency penalty", min: -2, max: 2, step: 0.1, help: "0 is none" },
  { key: "seed", label: "Seed", min: 0, max: 2 ** 53 - 1, step: 1, help: "the same seed gives the same answer" },
];

/** The fields of a request that `settings` fix. */
export function samplingFields(settings) {
  const fields = {};
  for (const { key } of sampling) {
    if (typeof settings[key] === "number") fields[key] = settings[key];
  }
  const stop = (settings.stop ?? "").split("\n").filter((line) => line !== "");
  if (stop.length) fields.stop = stop;
  return { ...fields, ...extraFields(settings.extra ?? "") };
}

function extraFields(text) {
  try {
    const value = JSON.parse(text || "{}");
    return value && typeof value === "object" && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

function extraProblem(text) {
  if (!text.trim()) return "";
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? "" : "This must be a JSON object.";
  } catch {
    return "This is not valid JSON yet; it is not sent.";
  }
}

/** `changed(settings)` runs after each change; the panel edits the object it was given. */
export class SettingsPanel {
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
    this.settings = {};
    this.defaults = {};
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
  }

  get open() {
    return !this.root.hidden;
  }

  toggle(opener) {
    if (this.open) return this.close();
    this.opener = opener;
    this.root.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    this.root.querySelector("textarea")?.focus();
  }

  close() {
    if (!this.open) return;
    this.root.hidden = true;
    this.opener?.setAttribute("aria-expanded", "false");
    this.opener?.focus();
  }

  /** Shows and edits `settings` from now on. */
  show(settings) {
    this.settings = settings;
    this.root.replaceChildren(
      el("header", { class: "panel-head" }, el("h2", null, "Settings"), iconButton("close", "Close settings", () => this.close())),
      el("div", { class: "panel-body" },
        this.area("system", "System prompt", "What the model should know or be. Empty: none is sent.", 5),
        el("fieldset", { class: "sampling" }, el("legend", null, "Sampling"),
          el("p", { class: "help" }, "An empty field takes the model’s own value, shown in grey."), sampling.map((field) => this.number(field))),
        this.area("stop", "Stop at", "One text a line; the answer ends before it.", 2),
        this.extra(),
        el("div", { class: "panel-buttons" },
          el("button", { type: "button", class: "button", onclick: () => this.keep() }, "Keep for new chats"),
          el("button", { type: "button", class: "button", onclick: () => this.clear() }, "Clear all"))));
  }

  set(key, value) {
    if (value === "" || value === null) delete this.settings[key];
    else this.settings[key] = value;
    this.changed(this.settings);
  }

  area(key, label, help, rows) {
    const field = el("textarea", { id: `setting-${key}`, rows, value: this.settings[key] ?? "", spellcheck: "false",
                                   "aria-describedby": `help-${key}`, oninput: () => this.set(key, field.value) });
    return el("div", { class: "setting" }, el("label", { for: field.id }, label), field,
              el("p", { class: "help", id: `help-${key}` }, help));
  }

  /** The values in force where a field is empty. */
  setDefaults(defaults) {
    this.defaults = defaults;
    for (const { key } of sampling) {
      const field = document.getElementById(`setting-${key}`);
      if (field) field.placeholder = this.placeholder(key);
    }
  }

  placeholder(key) {
    const others = { max_tokens: "context", presence_penalty: 0, frequency_penalty: 0, seed: "random" };
    return String(this.defaults[key] ?? others[key] ?? "");
  }

  number({ key, label, min, max, step, help }) {
    const read = () => {
      field.setCustomValidity("");
      if (field.value === "") return this.set(key, null);
      const value = Number(field.value);
      if (Number.isFinite(value) && value >= min && value <= max) this.set(key, value);
      else field.setCustomValidity(`between ${min} and ${max}`);
      field.classList.toggle("invalid", !field.checkValidity());
    };
    const field = el("input", { id: `setting-${key}`, type: "number", inputmode: "decimal", min, max, step: step < 1 ? "any" : 1,
                                placeholder: this.placeholder(key), value: this.settings[key] ?? "", "aria-describedby": `help-${key}`,
                                oninput: read });
    return el("div", { class: "setting-row" },
      el("div", null, el("label", { for: field.id }, label), el("p", { class: "help", id: `help-${key}` }, help)), field);
  }

  extra() {
    const problem = el("p", { class: "help problem", role: "status" }, extraProblem(this.settings.extra ?? ""));
    const area = this.area("extra", "Further request fields", "A JSON object that joins every request, such as {\"logit_bias\": {}}.", 2);
    area.querySelector("textarea").addEventListener("input", (event) => {
      problem.textContent = extraProblem(event.target.value);
    });
    area.append(problem);
    return area;
  }

  keep() {
    remember("settings", this.settings);
    toast("New chats start with these settings.");
  }

  clear() {
    for (const key of Object.keys(this.settings)) delete this.settings[key];
    this.changed(this.settings);
    this.show(this.settings);
  }
}
