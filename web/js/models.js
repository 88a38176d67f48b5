// Which model answers: the list the server gives, and blends of adapters by weight ("calm:0.5+code:1.0").
import { el, icon } from "/js/dom.js";

/** The names in a blend, and their weights: "a:0.5+b" → [{name: "a", weight: 0.5}, {name: "b", weight: 1}]. */
export function parseBlend(model) {
  return model.split("+").map((part) => {
    const found = /^(.*):(-?\d+(?:\.\d+)?)$/.exec(part);
    return found ? { name: found[1], weight: Number(found[2]) } : { name: part, weight: 1 };
  });
}

export function formatBlend(parts) {
  const plain = parts.length === 1 && parts[0].weight === 1;
  return plain ? parts[0].name : parts.map(({ name, weight }) => `${name}:${weight}`).join("+");
}

/** The model's entry, or for a blend that of its first adapter; null when the server has no such model. */
export function findModel(models, id) {
  if (!id) return null;
  const exact = models.find((model) => model.id === id);
  if (exact) return exact;
  const parts = parseBlend(id).map(({ name }) => models.find((model) => model.id === name && model.parent));
  return parts.every(Boolean) ? { ...parts[0], id } : null;
}

let pickers = 0;

/** A button that names the model and opens the list. `picked(id)` runs on a choice. */
export class ModelPicker {
  constructor(picked) {
    this.picked = picked;
    this.models = [];
    this.current = null;
    this.label = el("span", { class: "picker-name" });
    this.list = el("div", { class: "popover", id: `picker-${pickers += 1}`, popover: "auto", role: "dialog", "aria-label": "Model" });
    this.button = el("button", { type: "button", class: "picker", popovertarget: this.list.id, "aria-haspopup": "dialog" },
                     this.label, icon("chevronDown"));
    this.root = el("div", { class: "picker-box" }, this.button, this.list);
    // Built before it shows: what a person sees and presses is not replaced under the hand.
    this.list.addEventListener("beforetoggle", (event) => event.newState === "open" && this.build());
    this.list.addEventListener("toggle", (event) => event.newState === "open" && this.opened());
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  update(models, current) {
    this.models = models;
    this.current = current;
    this.label.textContent = current ?? "No model";
    this.button.setAttribute("aria-label", `Model: ${current ?? "none"}`);
    this.button.disabled = models.length === 0;
  }

  opened() {
    const box = this.button.getBoundingClientRect();
    this.list.style.top = `${box.bottom + 6}px`;
    this.list.style.left = `${Math.max(8, Math.min(box.left, innerWidth - this.list.offsetWidth - 8))}px`;
    (this.list.querySelector("[aria-checked=true]") ?? this.list.querySelector("button"))?.focus();
  }

  build() {
    const bases = this.models.filter((model) => !model.parent);
    const adapters = this.models.filter((model) => model.parent);
    const group = (title, models) => models.length > 0 && el("div", { class: "picker-group", role: "group", "aria-label": title },
      el("h3", null, title), models.map((model) => this.option(model)));
    this.list.replaceChildren(...[group("Models", bases), group("Adapters", adapters), adapters.length > 1 && this.blend(adapters)]
      .filter(Boolean));
  }

  option(model) {
    const details = [model.parent && `on ${model.parent}`, model.context && `${model.context.toLocaleString("en")} tokens`]
      .filter(Boolean).join(" · ");
    return el("button", { type: "button", class: "picker-option", role: "radio", "aria-checked": String(model.id === this.current),
                          onclick: () => this.choose(model.id) },
      icon("check"), el("span", null, model.id, details && el("small", null, details)));
  }

  blend(adapters) {
    const parts = new Map(this.current && findModel(this.models, this.current)?.parent
      ? parseBlend(this.current).map(({ name, weight }) => [name, weight]) : []);
    const use = el("button", { type: "button", class: "button primary", onclick: () => this.choose(result()) }, "Use blend");
    const result = () => formatBlend([...parts].map(([name, weight]) => ({ name, weight })));
    const changed = () => {
      use.disabled = parts.size === 0;
      use.title = parts.size ? result() : "";
    };
    const rows = adapters.map(({ id }) => {
      const weight = el("input", { type: "number", step: "any", min: -4, max: 4, value: parts.get(id) ?? 1, "aria-label": `Weight of ${id}`,
                                   disabled: !parts.has(id), oninput: () => {
                                     if (Number.isFinite(weight.valueAsNumber)) parts.set(id, weight.valueAsNumber);
                                     changed();
                                   } });
      const box = el("input", { type: "checkbox", checked: parts.has(id), onchange: () => {
        weight.disabled = !box.checked;
        if (box.checked) parts.set(id, weight.valueAsNumber || 1);
        else parts.delete(id);
        changed();
      } });
      return el("div", { class: "blend-row" }, el("label", null, box, id), weight);
    });
    changed();
    return el("div", { class: "picker-group", role: "group", "aria-label": "Blend of adapters" }, el("h3", null, "Blend of adapters"), rows, use);
  }

  choose(id) {
    this.list.hidePopover();
    this.button.focus();
    this.picked(id);
  }

  key(event) {
    if (event.key === "Escape") event.stopPropagation();  // closes the list, stops no answer
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.type === "number") return;
    const options = [...this.list.querySelectorAll(".picker-option")];
    const at = options.indexOf(document.activeElement);
    options[(at + step + options.length) % options.length]?.focus();
    event.preventDefault();
  }
}
