// What the votes say: win rates with their intervals, and the rows to train on.
import { preferenceRows, winTable } from "/js/api.js";
import { el, icon, saveFile } from "/js/dom.js";
import { toast } from "/js/live.js";

const percent = (part) => `${(100 * part).toFixed(0)}%`;

/** A rate as a dot on a line from 0 to 100 %, its interval as a bar. */
function intervalBar(rate, low, high) {
  const bar = el("span", { class: "interval-range" });
  bar.style.left = percent(low);
  bar.style.width = percent(high - low);
  const dot = el("span", { class: "interval-rate" });
  dot.style.left = percent(rate);
  return el("span", { class: "interval", "aria-hidden": "true" }, el("span", { class: "interval-half" }), bar, dot);
}

function table(caption, heads, rows) {
  return el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": caption }, el("table", { class: "results-table" },
    el("caption", null, caption),
    el("thead", null, el("tr", null, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", null, rows)));
}

function modelRow({ model, games, wins, losses, ties, win_rate: rate, low, high }) {
  return el("tr", null, el("th", { scope: "row" }, model), el("td", { class: "wide" }, intervalBar(rate, low, high)),
    el("td", null, percent(rate)), el("td", null, `${percent(low)} to ${percent(high)}`),
    [games, wins, losses, ties].map((count) => el("td", null, String(count))));
}

function pairRow({ a, b, games, a_wins: won, b_wins: lost, ties, a_win_rate: rate, low, high }) {
  return el("tr", null, el("th", { scope: "row" }, `${a} against ${b}`), el("td", { class: "wide" }, intervalBar(rate, low, high)),
    el("td", null, percent(rate)), el("td", null, `${percent(low)} to ${percent(high)}`),
    [games, won, lost, ties].map((count) => el("td", null, String(count))));
}

const counts = ["Games", "Won", "Lost", "Ties"];

export class ResultsView {
  /** app: {failed(error)} */
  constructor(app) {
    this.app = app;
    this.body = el("div", { class: "results" });
    this.root = el("section", { class: "scroller", "aria-label": "Results of the arena", tabindex: -1 }, this.body);
  }

  async open() {
    if (!this.body.childElementCount) this.body.replaceChildren(el("p", { class: "help", role: "status" }, "Loading…"));
    try {
      this.show(await winTable());
    } catch (error) {
      this.body.replaceChildren(el("div", { class: "empty" }, el("h2", null, "No results"), el("p", null, error.message),
        el("button", { type: "button", class: "button", onclick: () => this.open() }, "Try again")));
      this.app.failed(error);
    }
  }

  show({ votes, models = [], pairs = [] }) {
    if (!votes) {
      this.body.replaceChildren(el("div", { class: "empty" }, el("h2", null, "No votes yet"),
        el("p", null, "Vote in the ", el("a", { href: "#/arena" }, "arena"), "; the results appear here.")));
      return;
    }
    const sorted = [...models].sort((a, b) => b.win_rate - a.win_rate);
    this.body.replaceChildren(...[
      el("div", { class: "results-head" }, el("p", null, `${votes.toLocaleString("en")} vote${votes === 1 ? "" : "s"}. A tie counts half to each; intervals are Wilson’s at 95 %.`),
        el("button", { type: "button", class: "button", onclick: () => this.export() }, icon("download"), "Export rows")),
      table("Models", ["Model", "", "Win rate", "95 % interval", ...counts], sorted.map(modelRow)),
      pairs.length > 0 && table("Pairs", ["Pair", "", "First wins", "95 % interval", ...counts], pairs.map(pairRow))].filter(Boolean));
  }

  async export() {
    try {
      const rows = await preferenceRows();
      if (rows) saveFile("preferences.jsonl", "application/x-ndjson", rows);
      else toast("No vote has a winner yet, so there are no rows.");
    } catch (error) {
      toast(error.message, { kind: "error" });
      this.app.failed(error);
    }
  }
}
