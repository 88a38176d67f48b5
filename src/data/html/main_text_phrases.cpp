#include "data/html/main_text_phrases.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace fettle::data {
namespace {

constexpr std::string_view calls[] = {
    // English
    "read more", "read also", "also read", "read next", "read the full", "read our",
    "related:", "related story", "related stories", "related articles", "related article", "related posts",
    "related content", "related coverage", "related reading", "related topics", "related links", "more from",
    "more on this", "more stories", "more great", "more news", "more like this",
    "see more:", "see also:", "also see", "also:", "you may also", "you might also", "recommended",
    "don't miss", "don’t miss", "click here", "click on", "click to", "tap here", "sign up", "subscribe",
    "join our newsletter", "join our mailing", "get the latest", "get our", "get the app",
    "get a subscription", "want more", "follow us", "follow @", "like us", "find us on", "connect with us",
    "share this", "share on", "share via", "advertisement", "sponsored", "story continues",
    "article continues", "continue reading", "skip to", "leave a comment", "leave a reply", "post a comment",
    "tell us what you think", "what do you think", "let us know in the comments", "filed under",
    "tagged with", "tags:", "topics:", "categories:", "posted in", "download the app", "download our app",
    "watch:", "listen:", "watch the video", "join the conversation", "this slideshow requires", "print this",
    "email this", "view comments", "show comments", "load comments", "enable javascript", "please enable",
    "loading", "back to top", "jump to", "check out our", "for more information, visit", "contact the author",
    "have a tip", "send tips", "support our", "donate", "become a member", "already a subscriber", "log in",
    "register", "if you enjoyed", "if you liked", "thanks for reading", "reach the reporter",
    "follow the author",
    // German
    "lesen sie auch", "lesen sie mehr", "lesen sie hier", "lesen sie dazu", "lies auch", "mehr zum thema",
    "mehr dazu", "mehr zu", "auch interessant", "das könnte sie auch", "das könnte dich auch", "weiterlesen",
    "zum thema", "teilen", "anzeige", "schlagwörter", "schlagworte", "jetzt abonnieren",
    "newsletter abonnieren", "newsletter", "folgen sie uns", "kommentar schreiben", "kommentar verfassen",
    "siehe auch", "jetzt anmelden", "zur startseite", "nach oben",
    // French
    "lire aussi", "à lire", "a lire", "lire la suite", "voir aussi", "sur le même sujet", "à découvrir",
    "abonnez-vous", "inscrivez-vous", "partager", "laisser un commentaire", "suivez-nous", "publicité",
    "vous aimerez aussi", "retrouvez",
    // Spanish
    "leer más", "lee también", "lea también", "lee más", "lea más", "te puede interesar", "también te puede",
    "ver también", "suscríbete", "suscríbase", "compartir", "síguenos", "publicidad", "etiquetas",
    "más información", "deja un comentario",
    // Italian
    "leggi anche", "(leggi anche", "leggi tutto", "leggi di più", "ti potrebbe interessare",
    "potrebbe interessarti", "iscriviti", "condividi", "seguici", "lascia un commento", "pubblicità",
    // Portuguese
    "leia também", "leia mais", "veja também", "veja mais", "saiba mais", "compartilhe", "compartilhar",
    "você pode gostar", "você também pode", "assine", "siga-nos", "deixe um comentário", "deixe uma resposta",
    // Dutch
    "lees ook", "lees meer", "lees verder", "deel dit", "volg ons", "bekijk ook", "schrijf je in",
    // Scandinavian
    "läs också", "läs mer", "läs även", "les også", "les mer", "læs også", "læs mere", "dela", "del på",
    // Polish, Czech, Hungarian, Turkish, Indonesian, Vietnamese
    "czytaj też", "czytaj także", "czytaj więcej", "zobacz też", "zobacz także", "zobacz również",
    "przeczytaj także", "przeczytaj też", "udostępnij", "čtěte také", "přečtěte si", "sdílet", "olvassa el",
    "kapcsolódó", "ilgili haber", "abone ol", "baca juga", "baca selengkapnya", "bagikan", "xem thêm",
    "đọc thêm",
    // Russian, Ukrainian, Bulgarian, Greek
    "читайте также", "читайте нас", "читать далее", "читать также", "читайте ещё", "читайте еще",
    "смотрите также", "подписывайтесь", "подпишитесь", "поделиться", "по теме",
    "теги:", "метки:", "читайте також", "підписуйтесь", "поділитися", "прочетете още", "вижте още",
    "διαβάστε επίσης", "διαβάστε ακόμα", "δείτε επίσης",
    // Arabic, Hebrew, Persian
    "اقرأ أيضا", "إقرأ أيضا", "اقرأ المزيد", "شاهد أيضا", "קראו גם", "קרא עוד", "بیشتر بخوانید",
    // Chinese, Japanese, Korean
    "相关阅读", "延伸阅读", "推荐阅读", "相关文章", "相关新闻", "更多", "责任编辑", "分享到", "上一篇",
    "下一篇", "點擊", "相關文章", "延伸閱讀", "推薦閱讀", "分享", "関連記事", "関連リンク",
    "あわせて読みたい", "こちらもおすすめ", "シェア", "続きを読む", "관련기사", "관련 기사", "공유하기",
    "무단전재"};

constexpr std::string_view credits[] = {
    "photo:",        "photo by",        "photo credit",    "photo courtesy", "photograph:",
    "photograph by", "photos:",         "photos by",       "image:",         "image by",
    "image credit",  "image source",    "image copyright", "image caption",  "image courtesy",
    "images:",       "(photo",          "(image",          "(credit",        "(picture",
    "picture:",      "pictured:",       "credit:",         "credits:",       "video:",
    "illustration:", "illustration by", "screenshot:",     "getty images",   "courtesy of",
    "ap photo",      "(ap photo",       "media caption",   "play video",     "foto:",
    "fotos:",        "(foto",           "bild:",           "bilder:",        "bildquelle",
    "quelle:",       "crédit",          "crédits",         "photo :",        "фото:",
    "фото ",         "источник:",       "video thumbnail", "图片来源",       "写真：",
    "사진="};

constexpr std::string_view whens[] = {"published",
                                      "updated",
                                      "last updated",
                                      "last modified",
                                      "posted on",
                                      "posted by",
                                      "posted:",
                                      "written by",
                                      "first published",
                                      "by ",
                                      "created on",
                                      "date:",
                                      "veröffentlicht",
                                      "aktualisiert",
                                      "stand:",
                                      "von ",
                                      "publié",
                                      "mis à jour",
                                      "par ",
                                      "publicado",
                                      "actualizado",
                                      "por ",
                                      "pubblicato",
                                      "aggiornato",
                                      "di ",
                                      "gepubliceerd",
                                      "geplaatst",
                                      "door ",
                                      "publikováno",
                                      "opublikowano",
                                      "опубликовано",
                                      "обновлено",
                                      "автор:",
                                      "发布时间",
                                      "来源：",
                                      "作者：",
                                      "記者",
                                      "公開日",
                                      "更新日",
                                      "投稿日",
                                      "입력",
                                      "작성"};

constexpr std::string_view months[] = {
    "january",   "february",  "march",    "april",      "may",     "june",      "july",      "august",
    "september", "october",   "november", "december",   "jan",     "feb",       "mar",       "apr",
    "jun",       "jul",       "aug",      "sep",        "sept",    "oct",       "nov",       "dec",
    "januar",    "februar",   "märz",     "mai",        "juni",    "juli",      "oktober",   "dezember",
    "janvier",   "février",   "mars",     "avril",      "juin",    "juillet",   "août",      "septembre",
    "octobre",   "novembre",  "décembre", "enero",      "febrero", "marzo",     "abril",     "mayo",
    "junio",     "julio",     "agosto",   "septiembre", "octubre", "noviembre", "diciembre", "gennaio",
    "febbraio",  "aprile",    "maggio",   "giugno",     "luglio",  "settembre", "ottobre",   "dicembre",
    "janeiro",   "fevereiro", "março",    "maio",       "junho",   "julho",     "setembro",  "outubro",
    "novembro",  "dezembro",  "januari",  "februari",   "maart",   "augustus",  "января",    "февраля",
    "марта",     "апреля",    "мая",      "июня",       "июля",    "августа",   "сентября",  "октября",
    "ноября",    "декабря"};

constexpr std::string_view appendices[] = {"comments",
                                           "comment",
                                           "leave a comment",
                                           "leave a reply",
                                           "post a comment",
                                           "join the conversation",
                                           "join the discussion",
                                           "discussion",
                                           "what do you think",
                                           "responses",
                                           "reader comments",
                                           "view comments",
                                           "related",
                                           "related articles",
                                           "related stories",
                                           "related posts",
                                           "related news",
                                           "related content",
                                           "related reading",
                                           "related topics",
                                           "related links",
                                           "related coverage",
                                           "more from",
                                           "more stories",
                                           "more articles",
                                           "more news",
                                           "more on this",
                                           "more posts",
                                           "more great",
                                           "most read",
                                           "most popular",
                                           "most viewed",
                                           "popular posts",
                                           "popular articles",
                                           "popular stories",
                                           "trending",
                                           "latest news",
                                           "latest posts",
                                           "latest articles",
                                           "latest stories",
                                           "latest from",
                                           "recent posts",
                                           "recent articles",
                                           "recommended",
                                           "recommended for you",
                                           "recommended reading",
                                           "you may also like",
                                           "you might also like",
                                           "you may like",
                                           "you might like",
                                           "read next",
                                           "read more",
                                           "read also",
                                           "up next",
                                           "keep reading",
                                           "explore more",
                                           "editor's picks",
                                           "editors' picks",
                                           "editor’s picks",
                                           "editors’ picks",
                                           "don't miss",
                                           "don’t miss",
                                           "also on",
                                           "from our partners",
                                           "around the web",
                                           "from the web",
                                           "about the author",
                                           "about the authors",
                                           "about author",
                                           "meet the author",
                                           "author bio",
                                           "contributors",
                                           "share this",
                                           "share",
                                           "share article",
                                           "subscribe",
                                           "subscribe to",
                                           "sign up",
                                           "newsletter",
                                           "stay connected",
                                           "stay up to date",
                                           "stay informed",
                                           "follow us",
                                           "join our newsletter",
                                           "get the newsletter",
                                           "tags",
                                           "topics",
                                           "filed under",
                                           "kommentare",
                                           "kommentar",
                                           "diskussion",
                                           "schreibe einen kommentar",
                                           "das könnte",
                                           "mehr zum thema",
                                           "auch interessant",
                                           "ähnliche artikel",
                                           "ähnliche beiträge",
                                           "verwandte",
                                           "weitere artikel",
                                           "weitere beiträge",
                                           "weitere themen",
                                           "meistgelesen",
                                           "über den autor",
                                           "über die autorin",
                                           "schlagwörter",
                                           "commentaires",
                                           "laisser un commentaire",
                                           "sur le même sujet",
                                           "à lire aussi",
                                           "articles similaires",
                                           "articles liés",
                                           "vous aimerez",
                                           "les plus lus",
                                           "à propos de l'auteur",
                                           "comentarios",
                                           "deja un comentario",
                                           "deja una respuesta",
                                           "artículos relacionados",
                                           "noticias relacionadas",
                                           "entradas relacionadas",
                                           "te puede interesar",
                                           "también te puede",
                                           "lo más leído",
                                           "más leídas",
                                           "sobre el autor",
                                           "commenti",
                                           "lascia un commento",
                                           "articoli correlati",
                                           "potrebbe interessarti",
                                           "potrebbero interessarti",
                                           "ti potrebbe",
                                           "leggi anche",
                                           "i più letti",
                                           "sull'autore",
                                           "comentários",
                                           "deixe um comentário",
                                           "deixe uma resposta",
                                           "artigos relacionados",
                                           "notícias relacionadas",
                                           "veja também",
                                           "leia também",
                                           "você pode gostar",
                                           "posts relacionados",
                                           "mais lidas",
                                           "sobre o autor",
                                           "reacties",
                                           "geef een reactie",
                                           "gerelateerd",
                                           "lees ook",
                                           "meest gelezen",
                                           "komentarze",
                                           "zobacz także",
                                           "zobacz też",
                                           "czytaj także",
                                           "powiązane",
                                           "podobne",
                                           "najczęściej czytane",
                                           "komentáře",
                                           "související",
                                           "kommentarer",
                                           "relaterade",
                                           "relaterte",
                                           "kommentit",
                                           "lue myös",
                                           "yorumlar",
                                           "ilgili haberler",
                                           "artikel terkait",
                                           "baca juga",
                                           "komentar",
                                           "bình luận",
                                           "комментарии",
                                           "комментариев",
                                           "читайте также",
                                           "похожие",
                                           "по теме",
                                           "самое читаемое",
                                           "популярное",
                                           "смотрите также",
                                           "добавить комментарий",
                                           "новости по теме",
                                           "коментарі",
                                           "читайте також",
                                           "коментари",
                                           "σχετικά",
                                           "σχόλια",
                                           "التعليقات",
                                           "مقالات ذات صلة",
                                           "مواضيع ذات صلة",
                                           "اقرأ أيضا",
                                           "תגובות",
                                           "评论",
                                           "相关阅读",
                                           "相关文章",
                                           "相关新闻",
                                           "推荐阅读",
                                           "延伸阅读",
                                           "热门",
                                           "留言",
                                           "相關文章",
                                           "延伸閱讀",
                                           "コメント",
                                           "関連記事",
                                           "おすすめ記事",
                                           "人気記事",
                                           "この記事を書いた人",
                                           "댓글",
                                           "관련기사",
                                           "관련 기사"};

template <size_t N>
bool begins_with_any(std::string_view text, const std::string_view (&phrases)[N]) {
  return std::any_of(std::begin(phrases), std::end(phrases),
                     [&](std::string_view phrase) { return text.starts_with(phrase); });
}

/// Without marks that stand before the first word: dashes, arrows, brackets, bullets.
std::string_view without_marks(std::string_view text) {
  constexpr std::string_view marks[] = {" ", "-", "—", "–", "»",  ">", "•", "*", "|", "/",
                                        "→", "►", "▶", "“", "\"", "[", "#", ":", "+"};
  for (bool again = true; again;) {
    again = false;
    for (const auto mark : marks) {
      if (!text.starts_with(mark)) continue;
      text.remove_prefix(mark.size());
      again = true;
    }
  }
  return text;
}

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0;
}

/// A number and the name of a month among few words, or day, month and year in numbers.
bool is_date(std::string_view text) {
  int numbers = 0, words = 0, joined = 0;
  bool has_month = false, after_number = false;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    if (std::isdigit(static_cast<unsigned char>(text[i])) != 0) {
      while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
      ++numbers;
      joined += after_number;
      after_number = end < text.size() && (text[end] == '.' || text[end] == '/' || text[end] == '-');
      if (after_number) ++end;
    } else {
      after_number = false;
      while (end < text.size() && is_letter(text[end])) ++end;
      const auto word = text.substr(i, end - i);
      has_month = has_month || std::find(std::begin(months), std::end(months), word) != std::end(months);
      words += !word.empty();
      end += word.empty();
    }
    i = end;
  }
  const bool begins_with_number = !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) != 0;
  return (has_month && numbers >= 1 && words <= 5) || (joined >= 2 && (words <= 4 || begins_with_number));
}

}  // namespace

bool is_call(std::string_view text) {
  return begins_with_any(without_marks(text), calls);
}

bool is_promotion(std::string_view text) {
  constexpr std::string_view lists[] = {"newsletter",   "mailing list", "sign up for", "sign up to",
                                        "subscribe to", "subscription", "free trial",  "our app"};
  constexpr std::string_view networks[] = {"twitter",  "facebook",  "instagram", "youtube",
                                           "linkedin", "telegram",  "whatsapp",  "pinterest",
                                           "tiktok",   "вконтакте", "bluesky"};
  constexpr std::string_view follow[] = {"follow",  "folgen",  "folge ", "suivez", "síguenos",
                                         "sígue",   "seguici", "siga",   "volg ",  "подпис",
                                         "join us", "like us", "find us"};
  const auto holds = [&](std::string_view word) { return text.find(word) != std::string_view::npos; };
  if (std::any_of(std::begin(lists), std::end(lists), holds)) return true;
  return std::any_of(std::begin(networks), std::end(networks), holds) &&
         std::any_of(std::begin(follow), std::end(follow), holds);
}

bool is_credit(std::string_view text) {
  return begins_with_any(without_marks(text), credits);
}

bool is_date_or_author(std::string_view text) {
  text = without_marks(text);
  if (begins_with_any(text, whens)) return true;
  return is_date(text);
}

bool begins_appendix(std::string_view text) {
  text = without_marks(text);
  for (const auto phrase : appendices) {
    if (!text.starts_with(phrase)) continue;
    const auto rest = text.substr(phrase.size());
    if (rest.empty() || !is_letter(rest[0])) return true;
  }
  return false;
}

}  // namespace fettle::data
