"""Exact leave-one-out context attribution as AttriBoT computes it, on transformers: the baseline.

Written from the paper (Liu, Kandpal, Raffel, "AttriBoT: A Bag of Tricks for Efficiently
Approximating Leave-One-Out Context Attribution", ICLR 2025):

    L(C)  = sum of log p(r_t | prompt(C), r_<t) over the response tokens, nats
    tau_i = L(C) - L(C without s_i)                                         (leave-one-out, eq. 1)

and, as the paper's first exact trick, the keys and values of the tokens before the removed source
are kept from the full prompt's pass ("key-value caching"); everything after them is computed again,
one source after another. The last prompt token is always computed again, so that the first
response token has a row of logits.

Two ways to give the prompts:
  --ids F    token ids that Whence wrote (`whence bench exact --dump-ids F`): both sides score
             identical tokens. This is the way for comparisons: transformers' conversion of some
             GGUF tokenizers differs from the file (digit splitting, a second BOS).
  --input F  JSONL records with explicit source spans; the model's own tokenizer is used.

--logits all     logits and the loss for every computed token, as the authors' public code does
                 through `labels`; this is the baseline that ratios are stated against
--logits scored  logits for the scored rows only: a stronger baseline

Prints one JSON object. Never needed to build, test or run Whence. Versions: requirements.txt.
"""
import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import DynamicCache

IGNORED = -100


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, help="Hugging Face directory or one GGUF file")
    where = p.add_mutually_exclusive_group(required=True)
    where.add_argument("--ids", help="token ids written by Whence, one JSON object per line")
    where.add_argument("--input", help="JSONL records with explicit spans")
    p.add_argument("--line", type=int, default=0, help="only this line, from 1")
    p.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    p.add_argument("--cache", choices=["kv", "none"], default="kv", help="none: naive, everything anew")
    p.add_argument("--logits", choices=["all", "scored"], default="all")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--repeat", type=int, default=1)
    p.add_argument("--serve", action="store_true",
                   help="keep the model loaded: run once per line read from standard input, print one "
                        "JSON object per run (for runs in turn with another program)")
    return p.parse_args()


def load(path, dtype, attention):
    kwargs = {"dtype": {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype],
              "attn_implementation": attention}
    if os.path.isfile(path):
        kwargs["gguf_file"] = os.path.basename(path)
        path = os.path.dirname(os.path.abspath(path))
    return AutoModelForCausalLM.from_pretrained(path, **kwargs).eval()


def tokenizer_of(path):
    if os.path.isfile(path):
        return AutoTokenizer.from_pretrained(os.path.dirname(os.path.abspath(path)), gguf_file=os.path.basename(path))
    return AutoTokenizer.from_pretrained(path)


def prompts_from_ids(path, line):
    with open(path, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            if line in (0, number) and text.strip():
                yield json.loads(text)


def utf16_cut(text, start, end):
    raw = text.encode("utf-16-le")
    return (raw[: 2 * start] + raw[2 * end:]).decode("utf-16-le")


def prompts_from_records(path, line, tokenizer):
    """Removal of a source is deletion of its characters, tokenised anew. The end token is what the
    template writes after an assistant's turn: the eos_token of converted GGUF tokenizers may be another."""
    def end_token(messages):
        text = tokenizer.apply_chat_template(messages + [{"role": "assistant", "content": "\u241f"}], tokenize=False)
        return tokenizer(text.rsplit("\u241f", 1)[1], add_special_tokens=False).input_ids[:1]

    def encode(record, cut=None):
        messages = []
        for message in record["messages"]:
            content = message["content"]
            parts = [{"text": content}] if isinstance(content, str) else content
            texts = [utf16_cut(p["text"], *cut[1:]) if cut and p.get("id") == cut[0] else p["text"] for p in parts]
            messages.append({"role": message["role"], "content": "".join(texts)})
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False).input_ids
        response = tokenizer(record["response"], add_special_tokens=False).input_ids
        if record.get("finishReason") == "stop":
            response += end_token(messages)
        return {"ids": prompt + response, "scoredFrom": len(prompt)}

    with open(path, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            if line not in (0, number) or not text.strip():
                continue
            record = json.loads(text)
            sources = []
            for message in record["messages"]:
                for part in message["content"] if isinstance(message["content"], list) else []:
                    for start, end in part.get("sources", []):
                        sources.append({"segment": part["id"], "start": start, "end": end,
                                        **encode(record, (part["id"], start, end))})
            if not sources:
                sys.exit(f"{path} line {number} has no explicit spans: dump its ids with Whence and give --ids")
            yield {"responseId": record["responseId"], "full": encode(record), "sources": sources}


class KeyValueCache:
    """Keys and values of one sequence, handed out as prefixes."""

    def __init__(self, ids, past):
        self.ids = ids
        self.layers = [(layer.keys, layer.values) for layer in past.layers]

    def prefix(self, ids, at_most):
        length = 0
        while length < at_most and length < len(self.ids) and self.ids[length] == ids[length]:
            length += 1
        cache = DynamicCache()
        for index, (keys, values) in enumerate(self.layers):
            cache.update(keys[:, :, :length], values[:, :, :length], index)
        return length, cache


@torch.inference_mode()
def log_likelihood(model, sequence, logits, cache):
    """Returns (nats, tokens computed, the cache after the pass or None)."""
    ids, first = sequence["ids"], sequence["scoredFrom"]
    start, past = cache.prefix(ids, first - 1) if isinstance(cache, KeyValueCache) else (0, None)
    use_cache = cache is not None
    if use_cache and past is None:
        past = DynamicCache()
    inputs = torch.tensor([ids[start:]])
    scored = torch.tensor(ids[first:])
    if logits == "all":
        labels = inputs.clone()
        labels[0, : first - start] = IGNORED
        out = model(input_ids=inputs, labels=labels, past_key_values=past, use_cache=use_cache)
        nats = -out.loss.double().item() * len(scored)
    else:
        out = model(input_ids=inputs, past_key_values=past, use_cache=use_cache, logits_to_keep=len(scored) + 1)
        rows = torch.log_softmax(out.logits[0, :-1].float(), -1)
        nats = rows.gather(1, scored[:, None]).double().sum().item()
    return nats, len(ids) - start, (KeyValueCache(ids, out.past_key_values) if use_cache else None)


def attribute(model, prompt, options):
    begun, processor = time.perf_counter(), time.process_time()
    whole, tokens, cache = log_likelihood(model, prompt["full"], options.logits, options.cache == "kv" or None)
    full_seconds = time.perf_counter() - begun
    sources = []
    for source in prompt["sources"]:
        s = time.perf_counter()
        nats, computed, _ = log_likelihood(model, source, options.logits, cache)
        tokens += computed
        sources.append({"segment": source["segment"], "start": source["start"], "end": source["end"],
                        "tau": whole - nats, "tokens": computed, "seconds": time.perf_counter() - s})
    return {"responseId": prompt["responseId"], "tokens": len(prompt["full"]["ids"]),
            "responseTokens": len(prompt["full"]["ids"]) - prompt["full"]["scoredFrom"],
            "logLikelihood": whole, "tokensComputed": tokens, "fullPassSeconds": full_seconds,
            "seconds": time.perf_counter() - begun, "cpuSeconds": time.process_time() - processor, "sources": sources}


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = load(options.model, options.dtype, options.attention)
    if options.ids:
        prompts = list(prompts_from_ids(options.ids, options.line))
    else:
        prompts = list(prompts_from_records(options.input, options.line, tokenizer_of(options.model)))
    if not prompts:
        sys.exit("no prompt was read")
    log_likelihood(model, prompts[0]["full"], options.logits, options.cache == "kv" or None)  # warm up
    about = {"baseline": "AttriBoT exact leave-one-out, our reference on transformers",
             "model": os.path.basename(options.model), "dtype": options.dtype, "attention": options.attention,
             "cache": options.cache, "logits": options.logits, "threads": options.threads,
             "versions": {"python": platform.python_version(), "torch": torch.__version__,
                          "transformers": transformers.__version__}}

    def run():
        results = [attribute(model, prompt, options) for prompt in prompts]
        return {**about, "seconds": sum(r["seconds"] for r in results), "prompts": results,
                "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    if options.serve:
        print(json.dumps({"ready": True, **about}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(run()), flush=True)
        return
    runs = [run() for _ in range(options.repeat)]
    last = runs[-1]
    last["secondsOfRuns"] = [r["seconds"] for r in runs]
    last["secondsMedian"] = statistics.median(last["secondsOfRuns"])
    print(json.dumps(last))


if __name__ == "__main__":
    main()
