// Conversations as files: JSON lines of `messages` or of ShareGPT, which fettle data and fettle train read.
import { fromMessages, toMessages } from "/js/conversation.js";

const toShareGpt = { system: "system", user: "human", assistant: "gpt", tool: "tool" };
const fromShareGpt = { system: "system", human: "user", user: "user", gpt: "assistant", chatgpt: "assistant",
                       bing: "assistant", bard: "assistant", model: "assistant", assistant: "assistant", tool: "tool" };

/** `format`: "messages" or "sharegpt". Conversations without an answer are left out. */
export function exportLines(conversations, format) {
  return conversations
    .map((conversation) => ({ conversation, messages: toMessages(conversation) }))
    .filter(({ messages }) => messages.some(({ role }) => role === "assistant"))
    .map(({ conversation, messages }) => `${JSON.stringify(row(conversation, messages, format))}\n`)
    .join("");
}

function row(conversation, messages, format) {
  const { id, title } = conversation;
  if (format === "messages") return { id, title, messages };
  return { id, title, conversations: messages.map(({ role, content }) => ({ from: toShareGpt[role] ?? role,
                                                                            value: content })) };
}

/** Reads JSON lines or one JSON array of rows. Returns {conversations, rejected: [{line, reason}]}. */
export function importRows(text) {
  const conversations = [];
  const rejected = [];
  for (const { line, value, reason } of rows(text)) {
    try {
      if (reason) throw new Error(reason);
      conversations.push(fromMessages(messagesOf(value), typeof value.title === "string" ? value.title : ""));
    } catch (error) {
      rejected.push({ line, reason: error.message });
    }
  }
  return { conversations, rejected };
}

function* rows(text) {
  const plain = text.replace(/^\uFEFF/, "");
  if (plain.trimStart().startsWith("[")) {
    try {
      yield* JSON.parse(plain).map((value, index) => ({ line: index + 1, value }));
      return;
    } catch {
      // Not one array: then each line stands for itself, and says what is wrong with it.
    }
  }
  for (const [index, line] of plain.split("\n").entries()) {
    if (!line.trim()) continue;
    try {
      yield { line: index + 1, value: JSON.parse(line) };
    } catch {
      yield { line: index + 1, reason: "not valid JSON" };
    }
  }
}

function messagesOf(value) {
  const turns = value?.messages ?? value?.conversations ?? value?.items;
  if (!Array.isArray(turns)) throw new Error("neither 'messages' nor 'conversations' is a list");
  const messages = turns.map((turn, index) => {
    const name = turn?.role ?? turn?.from;
    const role = fromShareGpt[String(name).toLowerCase()];
    if (!role) throw new Error(`turn ${index + 1} has the unknown role '${name}'`);
    return { role, content: contentOf(turn.content ?? turn.value, index) };
  });
  if (!messages.some(({ role }) => role === "user")) throw new Error("no turn is a user's");
  return messages;
}

function contentOf(content, index) {
  if (typeof content === "string") return content;
  if (Array.isArray(content) && content.every((part) => typeof part?.text === "string")) {
    return content.map((part) => part.text).join("");
  }
  throw new Error(`turn ${index + 1} has no text`);
}
