#!/usr/bin/env python3
"""Writes the questions that the quickstart asks, in the project's JSONL format, without responses.

    make_samples.py hotpotqa-60.jsonl squad2-60.jsonl > qa-24.jsonl

Input: 60 questions each of HotpotQA (distractor setting; fields id, question, answer, type,
paragraphs[{title, sentences[], gold[]}]) and SQuAD 2.0 (id, title, question, answer,
answerParagraph, paragraphs[]). Nothing is chosen by what a model makes of it: the 18 HotpotQA
questions and the 6 SQuAD questions (one per article) whose supporting paragraphs are shortest,
each with its supporting paragraphs and with others of the same question as long as the context
stays under MAX_CONTEXT characters. Python 3.8 or later, no packages.
"""
import hashlib
import json
import sys

HOTPOT, SQUAD = 18, 6
MAX_QUESTION = 130
MAX_CONTEXT = 1500
OCCURRED_AT = "2026-01-01T00:00:00Z"
BEFORE = "Read these documents.\n\n"
AFTER = "\nAnswer in one short sentence."


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def order(key):
    """A fixed shuffle."""
    return hashlib.sha256(key.encode()).hexdigest()


def context(record_id, supporting, others):
    """Supporting paragraphs and as many others as fit, shuffled: (title, text) each."""
    chosen, size = list(supporting), sum(len(text) for _, text in supporting)
    for title, text in others:
        if size + len(text) <= MAX_CONTEXT:
            chosen.append((title, text))
            size += len(text)
    return sorted(chosen, key=lambda paragraph: order(record_id + paragraph[1]))


def hotpot(record):
    def paragraph(p):
        return p["title"], " ".join(s.strip() for s in p["sentences"])

    supporting = [paragraph(p) for p in record["paragraphs"] if any(p["gold"])]
    others = [paragraph(p) for p in record["paragraphs"] if not any(p["gold"])]
    return record, "hotpotqa", supporting, others


def squad(record):
    title = record["title"].replace("_", " ")
    paragraphs = [(title, text.strip()) for text in record["paragraphs"]]
    at = record["answerParagraph"]
    return record, "squad2", [paragraphs[at]], paragraphs[:at] + paragraphs[at + 1:]


def shortest(candidates, n, group):
    """The n candidates with the least supporting text, at most one per group."""
    chosen, seen = [], set()
    for candidate in sorted(candidates, key=lambda c: sum(len(text) for _, text in c[2])):
        record = candidate[0]
        if len(record["question"]) <= MAX_QUESTION and group(record) not in seen:
            seen.add(group(record))
            chosen.append(candidate)
    return chosen[:n]


def line(candidate):
    record, dataset, supporting, others = candidate
    parts = [{"kind": "instruction", "trust": "operator", "text": BEFORE}]
    for number, (title, text) in enumerate(context(record["id"], supporting, others), 1):
        parts.append({
            "kind": "retrieved", "id": f"doc-{number}", "title": title, "trust": "retrieved",
            "text": f"{text}\n\n"})
    parts.append({
        "kind": "question", "id": "question", "trust": "user_supplied",
        "text": "Question: " + " ".join(record["question"].split())})
    parts.append({"kind": "instruction", "trust": "operator", "text": AFTER})
    return {
        "responseId": f"{dataset}-{record['id'][:8]}",
        "occurredAt": OCCURRED_AT,
        "messages": [{"role": "user", "content": parts}],
        "attributes": {"dataset": dataset, "reference": record["answer"]}}


def length(sample):
    return sum(len(part["text"]) for part in sample["messages"][0]["content"])


def main(hotpot_path, squad_path):
    hotpots = shortest(map(hotpot, read(hotpot_path)), HOTPOT, lambda record: record["id"])
    squads = shortest(map(squad, read(squad_path)), SQUAD, lambda record: record["title"])
    long, short = (sorted(map(line, some), key=length) for some in (hotpots, squads))
    while long:  # three of HotpotQA, then one of SQuAD; the shortest come first
        for sample in long[:HOTPOT // SQUAD] + short[:1]:
            print(json.dumps(sample, ensure_ascii=False))
        del long[:HOTPOT // SQUAD], short[:1]


if __name__ == "__main__":
    main(*sys.argv[1:])
