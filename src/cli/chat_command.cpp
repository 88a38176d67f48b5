#include <unistd.h>

#include <iostream>

#include "base/interrupt.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/key_options.h"
#include "verbs/generation.h"

namespace fettle::cli {
namespace {

struct ChatState {
  verbs::ModelChoice model;
  verbs::SamplingChoice sampling;
  verbs::EngineChoice engine;
  std::string system;
};

constexpr const char* help_text =
    "/help            this\n"
    "/reset           forget the conversation\n"
    "/undo            take back the last question and its answer\n"
    "/system TEXT     begin anew with this system message; without TEXT show it\n"
    "/save FILE       write the conversation as a row of `messages`\n"
    "/quit            leave (end of input does too)\n"
    "Ctrl-C           end the answer that is being written, or leave\n"
    "A line that ends with \\ goes on in the next.";

/// Answers go to standard output, everything that is not the model's goes to standard error.
class Chat {
 public:
  explicit Chat(ChatState& state)
      : state_(state),
        model_(state.model.open()),
        engine_(*model_, state.engine.options()),
        sampling_(state.sampling.over(model_->sampling_defaults())),
        terminal_(isatty(STDIN_FILENO) != 0) {
    model_->chat();
    reset(state.system);
  }

  void run() {
    if (terminal_) say(fmt::format("{}: /help shows the commands.", state_.model.model));
    std::string line;
    while (read(line)) {
      if (line.empty()) continue;
      try {
        if (line.front() == '/') {
          if (!command(line)) return;
        } else {
          answer(line);
        }
      } catch (const Error& error) {
        if (error.kind() == Error::Kind::interrupted) throw;
        if (!terminal_) throw;
        say(error.what());
      }
    }
    if (terminal_) say("");
  }

 private:
  void say(std::string_view text) { std::cerr << text << std::endl; }

  bool read(std::string& text) {
    text.clear();
    for (;;) {
      throw_if_interrupted();
      if (terminal_) std::cerr << (text.empty() ? "> " : ". ") << std::flush;
      std::string line;
      if (!std::getline(std::cin, line)) {
        throw_if_interrupted();
        return !text.empty();
      }
      if (!line.empty() && line.back() == '\r') line.pop_back();
      const bool goes_on = !line.empty() && line.back() == '\\';
      if (goes_on) line.back() = '\n';
      text += line;
      if (!goes_on) return true;
    }
  }

  void reset(const std::string& system) {
    messages_.clear();
    if (!system.empty()) messages_.push_back({"system", system, 1.0, nullptr});
  }

  std::string system() const {
    return !messages_.empty() && messages_.front().role == "system" ? messages_.front().content : "";
  }

  /// False: leave.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/help") {
      say(help_text);
    } else if (name == "/reset") {
      reset(system());
    } else if (name == "/undo") {
      while (!messages_.empty() && messages_.back().role == "assistant") messages_.pop_back();
      if (!messages_.empty() && messages_.back().role == "user") messages_.pop_back();
    } else if (name == "/system") {
      if (rest.empty()) {
        say(system().empty() ? "no system message" : system());
      } else {
        reset(rest);
      }
    } else if (name == "/save") {
      save(rest);
    } else {
      say(fmt::format("{}: no such command; /help shows them", name));
    }
    return true;
  }

  void save(const std::string& path) {
    if (path.empty()) fail("/save", "name the file to write");
    Json rows = Json::array();
    for (const Message& message : messages_) rows.push_back(message_to_json(message));
    write_file(path, dump_json(Json{{"messages", rows}}) + "\n");
    say(fmt::format("{} messages in {}", messages_.size(), path));
  }

  void answer(const std::string& question) {
    messages_.push_back({"user", question, 1.0, nullptr});
    GenerationRequest request;
    RenderOptions render;
    render.add_generation_prompt = true;
    request.prompt = encode_chat(*model_->tokenizer(), model_->chat(), messages_, render);
    request.sampling = sampling_;
    request.stop = state_.sampling.stop;
    request.max_tokens =
        state_.sampling.limit(static_cast<int64_t>(request.prompt.size()), engine_.context_length());
    std::string printed;
    request.on_delta = [&printed](const GenerationDelta& delta) {
      if (delta.text.empty()) return;
      print_part(delta.text);
      printed += delta.text;
    };
    GenerationResult result;
    try {
      result = engine_.generate(std::move(request));
      if (!result.error.empty()) fail("chat", "{}", result.error);
      printed = result.samples[0].text;
    } catch (const Error& error) {
      // Ctrl-C ends the answer; what there is of it stays.
      if (!terminal_ || error.kind() != Error::Kind::interrupted || !take_sigint()) {
        messages_.pop_back();
        throw;
      }
    }
    print_line("");
    messages_.push_back({"assistant", printed, 1.0, nullptr});
    // The same question again draws anew.
    ++sampling_.seed;
  }

  ChatState& state_;
  std::unique_ptr<OpenModel> model_;
  Engine engine_;
  SamplingOptions sampling_;
  bool terminal_;
  Messages messages_;
};

void run_chat(ChatState& state) {
  Chat(state).run();
}

}  // namespace

void add_chat_command(CLI::App& app) {
  auto& command =
      add_command(app, "chat", "Talk with a model in the terminal",
                  "  $ fettle chat --model starter\n"
                  "  $ fettle chat --model runs/dpo --system 'Answer in one sentence.' --temperature 0\n"
                  "  $ printf 'Who bakes bread?\\nAnd who eats it?\\n' | fettle chat --model starter");
  auto state = std::make_shared<ChatState>();
  state->engine.parallel = 1;
  add_key_options(command, verbs::model_keys(), state->model);
  command.add_option("--system", state->system, "A system message");
  add_key_options(command, verbs::sampling_keys(), state->sampling);
  add_key_options(command, verbs::engine_keys(), state->engine);
  command.get_option("--parallel")->default_str("1");
  on_run(command, state, run_chat);
}

}  // namespace fettle::cli
