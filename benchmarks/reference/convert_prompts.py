"""HotpotQA and SQuAD 2.0 examples to prompts in Whence's JSONL format. Needs only Python.

    python convert_prompts.py hotpotqa-60.jsonl [--line 2] [--answers answers.jsonl | --gold] > prompts.jsonl

Input, one example per line: HotpotQA {id, question, answer, paragraphs: [{title, sentences}]}, SQuAD
{id, question, answer, title, paragraphs: [text]}. The prompt is AttriBoT's:

    Answer the question based on the provided context:

    Context:
    <paragraphs, an empty line between them>

    Question: <question>

with one retrieved part per paragraph; its title is metadata, not text. HotpotQA's sentences become
explicit source spans; a sentence owns the space after it. SQuAD's are left to the partitioner.

Answers: --answers takes JSONL with responseId, response and finishReason (what `whence generate` writes);
--gold takes the data set's short answer; --response T the same text for all; with none of them
the record has no response and is input for `whence generate`.
"""
import argparse
import json
import sys

INSTRUCTION = "Answer the question based on the provided context:\n\nContext:\n"


def utf16_length(text):
    return len(text.encode("utf-16-le")) // 2


def retrieved(paragraph, index, title):
    if isinstance(paragraph, str):
        return {"kind": "retrieved", "id": f"doc-{index}", "title": title, "trust": "retrieved", "text": paragraph}
    text, spans = "", []
    sentences = [s.strip() for s in paragraph["sentences"] if s.strip()]
    for number, sentence in enumerate(sentences):
        start = utf16_length(text)
        text += sentence + (" " if number + 1 < len(sentences) else "")
        spans.append([start, utf16_length(text)])
    return {"kind": "retrieved", "id": f"doc-{index}", "title": paragraph["title"], "trust": "retrieved",
            "text": text, "sources": spans}


def record(example):
    parts = [{"kind": "instruction", "text": INSTRUCTION}]
    paragraphs = [retrieved(p, i, example.get("title", "")) for i, p in enumerate(example["paragraphs"])]
    for number, part in enumerate(paragraphs):
        if number + 1 < len(paragraphs):
            part["text"] += "\n\n"
        parts.append(part)
    parts.append({"kind": "question", "text": "\n\nQuestion: " + example["question"]})
    return {"responseId": example["id"], "messages": [{"role": "user", "content": parts}]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data")
    p.add_argument("--line", type=int, default=0, help="only this line, from 1")
    answer = p.add_mutually_exclusive_group()
    answer.add_argument("--answers")
    answer.add_argument("--gold", action="store_true")
    answer.add_argument("--response")
    o = p.parse_args()
    answers = {}
    if o.answers:
        with open(o.answers, encoding="utf-8") as f:
            for text in f:
                if text.strip():
                    answered = json.loads(text)
                    answers[answered["responseId"]] = answered
    with open(o.data, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            if o.line not in (0, number) or not text.strip():
                continue
            example = json.loads(text)
            out = record(example)
            if o.answers:
                if example["id"] not in answers:
                    sys.exit(f"{o.answers} has no answer for {example['id']} ({o.data} line {number})")
                out["response"] = answers[example["id"]]["response"]
                out["finishReason"] = answers[example["id"]].get("finishReason", "")
            elif o.gold or o.response is not None:
                out["response"] = example["answer"] if o.gold else o.response
                out["finishReason"] = "stop"
            print(json.dumps(out, ensure_ascii=False))


if __name__ == "__main__":
    main()
