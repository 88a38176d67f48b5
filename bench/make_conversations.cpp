// Conversations in any amount, for measuring passes over more data than memory holds: several languages and lengths, exact and
// near duplicates, refusals. The same rows for the same numbers.
//   make_conversations MEGABYTES FILE.jsonl [SEED]
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// SplitMix64: quicker than the disk, which base/random.h is not.
class Random {
 public:
  __extension__ using Wide = unsigned __int128;
  explicit Random(uint64_t seed, uint64_t stream) : state_(seed * 0xD1342543DE82EF95u + stream * 0x9E6C63D0876A9A63u) {}
  uint64_t operator()() {
    uint64_t value = state_ += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
  }
  uint64_t below(uint64_t bound) { return static_cast<uint64_t>((static_cast<Wide>((*this)()) * bound) >> 64); }
  double uniform() { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

using namespace std::string_view_literals;

struct Language {
  std::string_view name, words, refusal;
};

constexpr std::array languages{
    Language{"en",
             "the of and to in is that it was for on are with as they be at this have from or one had by word but not what all were when your can "
             "said there use each which she how their will other about out many then them these some her would make like him into time has look two "
             "more write see number way could people than first water been call who oil now find long down day did get come made may part because "
             "river engine garden answer question bread winter station music letter money doctor window teacher village problem machine light"sv,
             "I'm sorry, but as an AI language model I cannot help with that."sv},
    Language{"de",
             "der die das und ist nicht ein eine zu mit den von auf für sich dem des im auch als an nach wie aus er sie wir ihr aber oder wenn nur "
             "noch bei einen um am sind haben wird werden kann über so hat war schon mehr durch man sein sehr wieder gegen vom ihre muss ohne zwischen "
             "immer heute Jahr Frau Kind Haus Wasser Straße Antwort Frage Brot Winter Bahnhof Musik Brief Geld Ärztin Fenster Lehrer Dorf Maschine"sv,
             "Es tut mir leid, dabei kann ich nicht helfen."sv},
    Language{"fr",
             "le la les de des un une et est en que qui dans pour pas sur au avec son sa ce il elle nous vous ils mais ou où plus par tout bien être "
             "avoir fait cette sans peut très même aussi comme leur deux entre encore après avant toujours jamais maison eau rue année femme enfant "
             "réponse question pain hiver gare musique lettre argent médecin fenêtre professeur village machine lumière jardin livre"sv,
             "Je suis désolé, je ne peux pas vous aider."sv},
    Language{"es",
             "el la los las de que y en un una es no se por con para su al lo como más pero sus le ya o este sí porque esta entre cuando muy sin "
             "sobre también me hasta hay donde quien desde todo nos durante todos uno les ni contra otros ese eso ante ellos casa agua calle año mujer "
             "niño respuesta pregunta pan invierno estación música carta dinero médico ventana maestro pueblo máquina luz jardín libro"sv,
             "Lo siento, no puedo ayudar con eso."sv},
    Language{"ru",
             "и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой что от так о для ты же год человек только себя один "
             "как такой мочь говорить другой первый время если когда дом вода улица женщина ребёнок ответ вопрос хлеб зима вокзал музыка письмо деньги "
             "врач окно учитель деревня машина свет сад книга день жизнь рука работа слово место друг"sv,
             "Извините, я не могу с этим помочь."sv}};

/// Where the words of a language begin.
class Words {
 public:
  explicit Words(std::string_view all) {
    for (size_t at = 0; at < all.size();) {
      const size_t end = std::min(all.find(' ', at), all.size());
      words_.push_back(all.substr(at, end - at));
      at = end + 1;
    }
  }
  std::string_view draw(Random& random) const { return words_[random.below(words_.size())]; }

 private:
  std::vector<std::string_view> words_;
};

std::span<const Words> words_of_languages() {
  static const std::vector<Words> all = [] {
    std::vector<Words> made;
    for (const auto& language : languages) made.emplace_back(language.words);
    return made;
  }();
  return all;
}

void add_name(std::string& text, Random& random) {
  uint64_t letters = random();
  for (uint64_t left = 3 + random.below(8); left > 0; --left, letters >>= 5) text += static_cast<char>('a' + letters % 26);
}

/// A passage of about `size` bytes. One word in six is a name that stands nowhere else. Word `odd` is another one.
void add_passage(std::string& text, Random& random, const Words& words, size_t size, int64_t odd) {
  const size_t end = text.size() + size;
  for (int64_t word = 0; text.size() < end; ++word) {
    if (word > 0) text += word % 13 == 0 ? (word % 5 == 0 ? ".\\n\\n"sv : ". "sv) : " "sv;
    if (random.below(6) == 0) {
      add_name(text, random);
    } else {
      text += words.draw(random);
    }
    if (word == odd) text += "-changed";
  }
}

/// The turns of conversation `number`: 1 to 3 exchanges, answers of 100 bytes to 30 kB, 2 kB a row on average. With `odd`, one word
/// of the first answer is another one.
void add_turns(std::string& text, uint64_t seed, uint64_t number, int64_t odd) {
  Random random(seed, number);
  const size_t language = random.below(8) < 4 ? 0 : 1 + random.below(languages.size() - 1);
  const Words& words = words_of_languages()[language];
  const uint64_t exchanges = 1 + random.below(3) * random.below(2);
  text += "\"messages\":[";
  for (uint64_t i = 0; i < exchanges; ++i) {
    text += i == 0 ? R"({"role":"user","content":")" : R"(,{"role":"user","content":")";
    add_passage(text, random, words, 30 + random.below(200), -1);
    text += R"("},{"role":"assistant","content":")";
    const double size = 100 * std::exp(random.uniform() * random.uniform() * 5.8);
    add_passage(text, random, words, static_cast<size_t>(size), i == 0 ? odd : -1);
    if (random.below(50) == 0) {
      text += ' ';
      text += languages[language].refusal;
    }
    text += "\"}";
  }
  text += ']';
}

int make(uint64_t megabytes, const char* path, uint64_t seed) {
  std::FILE* file = std::fopen(path, "wb");
  if (file == nullptr) {
    std::perror(path);
    return 1;
  }
  Random random(seed, ~uint64_t{0});
  std::string text;
  uint64_t written = 0, exact = 0, near = 0, number = 0;
  bool whole = true;
  for (; written < megabytes * 1000000 && whole; ++number) {
    text = "{\"id\":\"" + std::to_string(number) + "\",";
    const uint64_t kind = random.below(20), earlier = random.below(number + 1);
    add_turns(text, seed, kind < 2 ? earlier : number, kind == 1 ? static_cast<int64_t>(random.below(20)) : -1);
    text += "}\n";
    exact += kind == 0;
    near += kind == 1;
    whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    written += text.size();
  }
  whole = std::fclose(file) == 0 && whole;
  if (!whole) std::perror(path);
  std::printf("%s: %llu rows, %llu bytes; about %llu exact and %llu near duplicates of earlier rows\n", path,
              static_cast<unsigned long long>(number), static_cast<unsigned long long>(written), static_cast<unsigned long long>(exact),
              static_cast<unsigned long long>(near));
  return whole ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "make_conversations MEGABYTES FILE.jsonl [SEED]\n");
    return 2;
  }
  return make(std::strtoull(argv[1], nullptr, 10), argv[2], argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1);
}
