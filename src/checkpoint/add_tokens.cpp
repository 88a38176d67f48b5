#include "checkpoint/add_tokens.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/ordered_json.h"
#include "base/random.h"
#include "checkpoint/save.h"
#include "kernels/quant.h"
#include "model/mapped_parameters.h"

namespace fettle {
namespace {

OrderedJson read_ordered(const fs::path& file) {
  return parse_ordered_json(read_file(file), file.string());
}

void check_texts(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) fail_usage("tokens.add: a token is empty");
    if (std::find(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(i), texts[i]) !=
        texts.begin() + static_cast<std::ptrdiff_t>(i))
      fail_usage("tokens.add: '{}' stands there twice", texts[i]);
    if (const auto id = tokenizer.id(texts[i]))
      fail_usage("tokens.add: '{}' is token {} of this model already; take it out", texts[i], *id);
  }
}

OrderedJson entry_of(const std::string& text, bool special) {
  return {{"content", text}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false},  {"special", special}};
}

/// Writes the tokenizer's files into `folder` with the tokens in them.
void write_grown_files(const fs::path& folder, const ModelToSave& model, const TokensToAdd& tokens,
                       const std::vector<int32_t>& ids) {
  write_tokenizer_files(folder, model);
  const fs::path json_file = folder / "tokenizer.json", config_file = folder / "tokenizer_config.json";
  if (!fs::exists(json_file)) write_file(json_file, model.tokenizer->to_json());
  OrderedJson json = read_ordered(json_file);
  OrderedJson config = fs::exists(config_file) ? read_ordered(config_file) : OrderedJson::object();
  for (size_t i = 0; i < ids.size(); ++i) {
    const OrderedJson entry = entry_of(tokens.texts[i], tokens.special);
    OrderedJson numbered = {{"id", ids[i]}};
    numbered.update(entry);
    json["added_tokens"].push_back(numbered);
    if (config.contains("added_tokens_decoder"))
      config["added_tokens_decoder"][std::to_string(ids[i])] = entry;
  }
  write_file(json_file, dump_json(json, 2) + "\n");
  if (fs::exists(config_file)) write_file(config_file, dump_json(config, 2) + "\n");
  const fs::path added_file = folder / "added_tokens.json";
  if (!fs::exists(added_file)) return;
  OrderedJson added = read_ordered(added_file);
  for (size_t i = 0; i < ids.size(); ++i) added[tokens.texts[i]] = ids[i];
  write_file(added_file, dump_json(added, 2) + "\n");
}

void read_row(const Tensor& table, int64_t row, std::vector<float>& out) {
  read_row(table, row, out.data());
}

/// Mean and deviation of each column over the first `rows` rows.
std::pair<std::vector<double>, std::vector<double>> column_statistics(const Tensor& table, int64_t rows) {
  const auto cols = static_cast<size_t>(table.cols);
  std::vector<double> mean(cols), square(cols);
  std::vector<float> row(cols);
  for (int64_t i = 0; i < rows; ++i) {
    read_row(table, i, row);
    for (size_t col = 0; col < cols; ++col) {
      mean[col] += double{row[col]};
      square[col] += double{row[col]} * double{row[col]};
    }
  }
  for (size_t col = 0; col < cols; ++col) {
    mean[col] /= static_cast<double>(rows);
    square[col] = std::sqrt(std::max(0.0, square[col] / static_cast<double>(rows) - mean[col] * mean[col]));
  }
  return {mean, square};
}

/// A copy of the table with room for `rows`, those of `ids` new. Quantised tables are unpacked.
Tensor grown_table(const Tensor& table, int64_t rows, int64_t known, const std::vector<int32_t>& ids,
                   RowInit init, uint64_t seed, Parameters& owner) {
  const DType dtype = is_quantized(table.dtype) ? DType::f32 : table.dtype;
  auto buffer = std::make_shared<Buffer>(row_bytes(dtype, rows * table.cols));
  const Tensor grown(buffer->data(), dtype, rows, table.cols);
  owner.keep_alive(std::move(buffer));
  const int64_t kept = std::min(table.rows, rows);
  const Tensor from = table.row_slice(0, kept), to = grown.row_slice(0, kept);
  convert_rows(from, dtype, {static_cast<std::byte*>(to.data), static_cast<size_t>(to.bytes())});
  const auto [mean, deviation] = column_statistics(table, std::min(known, table.rows));
  std::vector<float> row(mean.size());
  for (int64_t i = kept; i < rows; ++i)  // rows between the tokens there were and the new ones
    quantize_row(dtype, row.data(), grown.row_slice(i, i + 1).data, grown.cols);
  for (const int32_t id : ids) {
    Random random(seed, 0x746f6bULL, static_cast<uint64_t>(id) << 32);
    for (size_t col = 0; col < row.size(); ++col)
      row[col] =
          static_cast<float>(mean[col] + (init == RowInit::random ? deviation[col] * random.normal() : 0.0));
    quantize_row(dtype, row.data(), grown.row_slice(id, id + 1).data, grown.cols);
  }
  return grown;
}

Tensor grown_bias(const Tensor& bias, int64_t cols, Parameters& owner) {
  auto buffer = std::make_shared<Buffer>(row_bytes(DType::f32, cols));
  const Tensor grown(buffer->data(), DType::f32, 1, cols);
  owner.keep_alive(std::move(buffer));
  std::fill_n(grown.as<float>(), cols, 0.0F);
  dequantize_row(bias.dtype, bias.data, grown.as<float>(), std::min(bias.cols, cols));
  return grown;
}

}  // namespace

std::vector<int32_t> add_tokens(LoadedModel& model, const TokensToAdd& tokens, uint64_t seed) {
  FETTLE_CHECK(model.tokenizer != nullptr && !model.adapter);
  check_texts(*model.tokenizer, tokens.texts);
  const int32_t known = model.tokenizer->size();
  std::vector<int32_t> ids;
  for (size_t i = 0; i < tokens.texts.size(); ++i) ids.push_back(known + static_cast<int32_t>(i));

  auto files = std::make_shared<TemporaryFolder>();
  write_grown_files(files->path(), to_save(model), tokens, ids);
  model.tokenizer = Tokenizer::from_folder(files->path());
  model.tokenizer_folder = files->path();
  model.owned_files = std::move(files);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (model.tokenizer->id(tokens.texts[i]) != ids[i])
      fail(model.path.string(), "the tokenizer does not take '{}' as a token of its own", tokens.texts[i]);
  }

  const int64_t rows = std::max<int64_t>(model.config.vocab_size, known + static_cast<int64_t>(ids.size()));
  Parameters grown;
  for (const auto& parameter : model.parameters.all()) {
    const bool table = parameter->name == "embed.weight" || parameter->name == "head.weight";
    grown.add(parameter->name, table
                                   ? grown_table(parameter->value, rows, known, ids, tokens.init, seed, grown)
                               : parameter->name == "head.bias" ? grown_bias(parameter->value, rows, grown)
                                                                : parameter->value);
  }
  check_files(model.parameters);
  grown.keep_alive(std::make_shared<Parameters>(std::move(model.parameters)));
  model.parameters = std::move(grown);
  model.config.vocab_size = static_cast<int32_t>(rows);
  return ids;
}

}  // namespace fettle
