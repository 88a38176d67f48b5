// A conversation is a tree of turns: editing a turn or asking again adds a sibling, nothing is overwritten.
//
//   conversation: {id, title, named, created, updated, model, settings, turns: {id: turn}, chosen: {parent: id}}
//   turn:         {id, parent, role, content, created, model?, finish?, stats?, error?, children: [id]}
//
// `chosen` names the child that is shown below each turn ("" stands for the beginning). `finish` of an answer is
// "streaming" while it grows; one that is found so after a reload was cut off.
import { newId } from "/js/dom.js";

export function newConversation(model, settings) {
  const now = Date.now();
  return { id: newId(), title: "", named: false, created: now, updated: now, model,
           settings: structuredClone(settings), turns: {}, chosen: {}, first: [] };
}

function childrenOf(conversation, parent) {
  return parent === null ? conversation.first : conversation.turns[parent].children;
}

/** Adds a turn below `parent` (an id, or null for the beginning) and shows it. */
export function addTurn(conversation, parent, fields) {
  const turn = { id: newId(), parent, children: [], created: Date.now(), ...fields };
  conversation.turns[turn.id] = turn;
  childrenOf(conversation, parent).push(turn.id);
  show(conversation, turn);
  conversation.updated = turn.created;
  if (!conversation.named && turn.role === "user" && parent === null) conversation.title = titleFrom(turn.content);
  return turn;
}

export function titleFrom(text) {
  const line = text.trim().split("\n", 1)[0].replace(/\s+/g, " ");
  const letters = Array.from(line);
  return letters.length > 60 ? `${letters.slice(0, 59).join("").trimEnd()}…` : line;
}

/** Makes `turn` the one that is shown among its siblings. */
export function show(conversation, turn) {
  conversation.chosen[turn.parent ?? ""] = turn.id;
}

/** The turns on the screen, first to last. */
export function shownTurns(conversation) {
  const turns = [];
  let children = conversation.first;
  let key = "";
  while (children.length) {
    const id = conversation.chosen[key] ?? children[children.length - 1];
    turns.push(conversation.turns[id]);
    children = conversation.turns[id].children;
    key = id;
  }
  return turns;
}

/** The ids of `turn` and its siblings, oldest first. */
export function variants(conversation, turn) {
  return childrenOf(conversation, turn.parent);
}

/** From the beginning down to `turn`. */
export function pathTo(conversation, turn) {
  const path = [];
  for (let at = turn; at; at = at.parent === null ? null : conversation.turns[at.parent]) path.unshift(at);
  return path;
}

/** What the server is sent so that it answers `turn`, a user's; answers that failed before a word are left out. */
export function requestMessages(conversation, turn) {
  const messages = pathTo(conversation, turn).filter(({ content }) => content !== "")
    .map(({ role, content }) => ({ role, content }));
  const system = conversation.settings.system?.trim();
  return system ? [{ role: "system", content: system }, ...messages] : messages;
}

/** A conversation of plain messages, as an import brings it. A first system message becomes the system prompt. */
export function fromMessages(messages, title = "") {
  const conversation = newConversation(null, {});
  let parent = null;
  for (const { role, content } of messages) {
    if (role === "system" && parent === null) {
      conversation.settings.system = content;
    } else {
      parent = addTurn(conversation, parent, { role, content, finish: role === "assistant" ? "stop" : undefined }).id;
    }
  }
  if (title) Object.assign(conversation, { title, named: true });
  return conversation;
}

/** The shown branch as plain messages, the system prompt first; answers that failed are left out. */
export function toMessages(conversation) {
  const system = conversation.settings.system?.trim();
  const messages = shownTurns(conversation)
    .filter((turn) => turn.content !== "")
    .map(({ role, content }) => ({ role, content }));
  return system ? [{ role: "system", content: system }, ...messages] : messages;
}
