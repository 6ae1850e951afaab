"""Whence's EK-FAC factors and influence against kronfluence's: the same model, layers, documents, machine.

    python compare_kronfluence.py --whence ../../whence --model M --corpus F.jsonl [--documents 64]

M is a directory as Hugging Face writes it, or a GGUF file, which transformers converts first. F.jsonl
has passages ("paragraphs" of the prompt sets, or "text"); documents are pieces of them of --tokens
tokens without digits: transformers' conversion of some GGUF tokenizers splits digits otherwise than
the file says, and both sides are to see the same tokens.

  * factors: covariances of inputs and output gradients (labels drawn from the model), their
    eigenvectors, eigenvalues corrected, for the MLP layers, fp32, of the first --factor-documents; tokens a second
  * documents: Whence builds its index (whitened gradients, sketched and kept), kronfluence scores
    one response against all documents and keeps nothing; documents a second
  * self-influences: an index keeps each document's own gradient, whitened. What comes nearest in
    kronfluence is its self-influence, which turns each gradient into the eigenbasis and back (an
    index does not turn back, about half of these products). The first --self-documents (0: none),
    one at a time since it takes seconds for each; the loading of the factors is included
  * agreement: Pearson's and Spearman's correlation of the influences of all documents on that
    response, which quotes a text that is none of them, damping .1 of each layer's mean eigenvalue
    on both sides, by exact gradients. Labels are drawn on each side by itself, so factors differ by
    chance: `--seeds` repeats Whence's with another seed and says how far two of its own are apart.
    That both read the same tokens is checked by the response's log-likelihood.

Seconds are of the job alone, without the start of Python and of the JVM and the loading of the model
where the tool tells them apart (kronfluence), and of the whole process where not (Whence). Whence's
buffers of a model of this size want more than its default heap: WHENCE_JAVA_OPTS=-Xmx6g.
Never needed to build, test or run Whence. Versions: requirements-kronfluence.txt.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import numpy as np
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from transformers import AutoModelForCausalLM, AutoTokenizer

IGNORED = -100


def passages(path):
    for line in open(path, encoding="utf-8"):
        record = json.loads(line)
        if "text" in record:
            yield record["text"]
        for paragraph in record.get("paragraphs", []):
            yield paragraph if isinstance(paragraph, str) else " ".join(paragraph["sentences"])


def documents(path, tokenizer, count, length):
    """Texts of exactly `length` tokens that encode to the same tokens again."""
    found = []
    for text in passages(path):
        for piece in re.split(r"\d+", text):
            ids = tokenizer(piece, add_special_tokens=False)["input_ids"]
            for start in range(0, len(ids) - length + 1, length):
                own = ids[start:start + length]
                cut = tokenizer.decode(own)
                if tokenizer(cut, add_special_tokens=False)["input_ids"] == own and cut not in found:
                    found.append(cut)
                if len(found) == count:
                    return found
    raise SystemExit(f"only {len(found)} passages of {length} tokens; ask for fewer --documents or --tokens")


class Ids(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        ids, scored_from = self.rows[i]
        labels = [IGNORED] * scored_from + ids[scored_from:]
        return {
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor(labels),
            "attention_mask": torch.ones(len(ids), dtype=torch.long),
        }


class NextToken(Task):
    def __init__(self, names):
        super().__init__()
        self.names = names

    def compute_train_loss(self, batch, model, sample=False):
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        rows = logits[:, :-1].reshape(-1, logits.size(-1)).float()
        labels = batch["labels"][:, 1:].reshape(-1)
        if sample:
            with torch.no_grad():
                drawn = torch.multinomial(torch.softmax(rows.detach(), -1), 1).flatten()
                labels = torch.where(labels == IGNORED, labels, drawn)
        return torch.nn.functional.cross_entropy(rows, labels, ignore_index=IGNORED, reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self):
        return self.names

    def get_attention_mask(self, batch):
        return batch["attention_mask"]


def kronfluence(model, rows, query, work, batch, own, fitted):
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and ".mlp." in name]
    task = NextToken(names)
    analyzer = Analyzer("k", prepare_model(model, task), task, cpu=True, disable_tqdm=True, output_dir=str(work / "k"))
    train = Ids(rows)
    start = time.perf_counter()
    analyzer.fit_all_factors(
        "f", Ids(rows[:fitted]), per_device_batch_size=batch, factor_args=FactorArguments(strategy="ekfac"), overwrite_output_dir=True)
    factors = time.perf_counter() - start
    start = time.perf_counter()
    analyzer.compute_pairwise_scores(
        "s", "f", query_dataset=Ids([query]), train_dataset=train, per_device_query_batch_size=1,
        per_device_train_batch_size=batch, score_args=ScoreArguments(damping_factor=None), overwrite_output_dir=True)
    scores = time.perf_counter() - start
    start = time.perf_counter()
    if own > 0:
        analyzer.compute_self_scores(
            "own", "f", train_dataset=Ids(rows[:own]), per_device_train_batch_size=1,
            score_args=ScoreArguments(damping_factor=None), overwrite_output_dir=True)
    selves = time.perf_counter() - start
    return factors, scores, selves, analyzer.load_pairwise_scores("s")["all_modules"][0].double().numpy()


def run(whence, *arguments):
    start = time.perf_counter()
    done = subprocess.run([str(whence), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return time.perf_counter() - start, done.stdout


def whence_side(whence, model, work, count, seed, dtype):
    for name in ("factors", "index"):
        shutil.rmtree(work / name, ignore_errors=True)
    factors, _ = run(whence, "influence", "factors", "--model", model, "--corpus", work / "fitted.jsonl",
                     "--layers", "mlp", "--output", work / "factors", "--seed", seed)
    index, _ = run(whence, "influence", "index", "--model", model, "--factors", work / "factors",
                   "--corpus", work / "corpus.jsonl", "--output", work / "index", *(["--dtype", dtype] if dtype != "fp32" else []))
    _, out = run(whence, "influence", "query", "--index", work / "index", "--model", model,
                 "--input", work / "responses.jsonl", "--top", count, "--rerank", count, "--lambda", "0.1x", "--json")
    result = json.loads(out.splitlines()[-1])
    scores = np.full(count, np.nan)
    for one in result["positive"] + result["negative"]:
        if one["exact"]:
            scores[one["line"] - 1] = one["influence"]
    return factors, index, scores, result


def pearson(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def spearman(a, b):
    return pearson(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=pathlib.Path)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--corpus", required=True, type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64, help="of each document")
    parser.add_argument("--factor-documents", type=int, default=0, help="that factors are computed of, the first ones; 0: all")
    parser.add_argument("--batch", type=int, default=4, help="kronfluence's documents at once")
    parser.add_argument("--self-documents", type=int, default=8, help="whose self-influence kronfluence computes")
    parser.add_argument("--dtype", default="fp32", choices=("fp32", "bf16"), help="of the products of Whence's index; kronfluence's are in fp32")
    parser.add_argument("--seeds", type=int, default=1, help="of Whence's labels, from 1 on")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("kronfluence-work"))
    a = parser.parse_args()
    threads = os.cpu_count()
    torch.set_num_threads(threads)
    work = a.work.resolve()
    work.mkdir(parents=True, exist_ok=True)

    directory = a.model.resolve()
    if directory.is_file():
        converted = work / f"{directory.stem}-{directory.stat().st_size}"
        if not (converted / "config.json").exists():
            source = {"pretrained_model_name_or_path": str(directory.parent), "gguf_file": directory.name}
            AutoTokenizer.from_pretrained(**source).save_pretrained(converted)
            AutoModelForCausalLM.from_pretrained(**source, torch_dtype=torch.float32).save_pretrained(converted)
        directory = converted
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32, attn_implementation="eager")
    model.config.use_cache = False
    model.eval()

    *texts, asked = documents(a.corpus, tokenizer, a.documents + 1, a.tokens)
    fitted = min(a.factor_documents or a.documents, a.documents)
    for name, some in (("corpus", texts), ("fitted", texts[:fitted])):
        with open(work / f"{name}.jsonl", "w", encoding="utf-8") as out:
            for i, text in enumerate(some):
                out.write(json.dumps({"id": f"d{i}", "text": text}) + "\n")
    rows = [(tokenizer(text, add_special_tokens=False)["input_ids"], 1) for text in texts]

    question = "What is it about? " + asked
    response = asked.split(". ")[0].strip()
    messages = [{"role": "user", "content": question}]
    with open(work / "responses.jsonl", "w", encoding="utf-8") as out:
        out.write(json.dumps({"responseId": "r", "messages": messages, "response": response}) + "\n")
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    head = tokenizer(prompt, add_special_tokens=False)["input_ids"]

    factors, index, scores, result = whence_side(a.whence.resolve(), directory, work, a.documents, 1, a.dtype)
    query, difference = None, None
    for end in ("", "<|im_end|>"):
        ids = head + tokenizer(response + end, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, len(head) - 1:-1].log_softmax(-1)
        likelihood = float(logits.gather(1, torch.tensor(ids[len(head):])[:, None]).sum())
        gap = abs(likelihood - result["logLikelihood"])
        if query is None or gap < difference:
            query, difference = (ids, len(head)), gap
    if not difference <= 1e-2:
        raise SystemExit(f"the two sides do not see the same response: log-likelihoods are {difference} nats apart")

    own = min(a.self_documents, a.documents)
    k_factors, k_scores, k_selves, theirs = kronfluence(model, rows, query, work, a.batch, own, fitted)
    known = np.isfinite(scores)
    tokens = fitted * a.tokens
    print(f"{a.documents} documents of {a.tokens} tokens, factors of {fitted}, MLP layers, fp32 (Whence's index: {a.dtype}), {threads} threads, torch {torch.__version__}")
    print(f"response: {len(query[0]) - query[1]} tokens, log-likelihoods {difference:.1e} nats apart\n")
    print("| | factors, s | tokens/s | documents, s | documents/s |\n|---|---|---|---|---|")
    for name, f, d in (("Whence (whole processes)", factors, index), ("kronfluence (jobs alone)", k_factors, k_scores)):
        print(f"| {name} | {f:.1f} | {tokens / f:.1f} | {d:.1f} | {a.documents / d:.2f} |")
    print(f"\nkronfluence's seconds over Whence's: factors {k_factors / factors:.1f}x, documents {k_scores / index:.1f}x")
    if own > 0:
        print(f"kronfluence's self-influences of {own} documents: {k_selves:.1f} s, {own / k_selves:.2f} documents/s")
    print(f"influences of {int(known.sum())} documents, Whence and kronfluence: Pearson {pearson(scores[known], theirs[known]):.4f},"
          f" Spearman {spearman(scores[known], theirs[known]):.4f}")
    for seed in range(2, a.seeds + 1):
        _, _, again, _ = whence_side(a.whence.resolve(), directory, work, a.documents, seed, a.dtype)
        both = known & np.isfinite(again)
        print(f"Whence with seed 1 and {seed}: Pearson {pearson(scores[both], again[both]):.4f},"
              f" Spearman {spearman(scores[both], again[both]):.4f}")


if __name__ == "__main__":
    main()
