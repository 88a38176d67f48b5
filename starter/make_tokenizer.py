#!/usr/bin/env python3
"""Trains the starter's tokenizer on its own texts: byte-level BPE of 1024 tokens, every digit a token of its own.

Usage: python3 starter/make_tokenizer.py     (needs the Python package `tokenizers`; writes architecture/tokenizer.json and
architecture/tokenizer_config.json; run make_data.py before)
"""
import gzip
import json
import pathlib

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

here = pathlib.Path(__file__).parent
texts = [json.loads(line)["text"] for line in gzip.open(here / "pretrain.jsonl.gz", "rt")]
for line in open(here / "sft.jsonl"):
    texts += [message["content"] for message in json.loads(line)["messages"]]
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1024, special_tokens=special, show_progress=False,
                                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
(here / "architecture" / "tokenizer.json").write_text(tokenizer.to_str(pretty=False))
template = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
(here / "architecture" / "tokenizer_config.json").write_text(json.dumps({
    "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": special[0], "eos_token": special[2], "pad_token": special[0],
    "clean_up_tokenization_spaces": False, "model_max_length": 512, "chat_template": template}, indent=2) + "\n")
