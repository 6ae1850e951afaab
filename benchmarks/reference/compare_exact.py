"""Runs Whence and the AttriBoT baseline in turn on the same prompt, and reports ratios.

    python compare_exact.py --whence "../../whence" --model M.gguf --input prompts.jsonl --line 2 \\
        --repeat 3 --dtype bf16 [--baseline kv,bf16,all,sdpa ...] [--faster splice --faster paragraph-splice]
        [--report exact-comparison.md]

Both score identical tokens (Whence writes the ids, the baseline reads them), with the same number of
threads. Turn by turn, K times: each baseline once, Whence once. A baseline keeps its model loaded
and has warmed up; Whence starts a process per turn, attributes the prompt twice and the second time
counts. So loading and warming up count on neither side. On a machine that does other things too
only the ratio of a turn means anything: a ratio is taken within each turn, and the spread is over turns.

--faster runs another method of Whence in the same turns, on the same tokens, and says how many times longer
the first baseline took.

Also reports the largest |tau(Whence) - tau(baseline)|; run it with --dtype fp32 for exactness.
Never needed to build, test or run Whence.
"""
import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# Threads that spin while they wait cost their own side dearly on a busy machine. Whence's launcher asks for passive
# waiting; the baseline gets the same. What libtorch keeps per shape stays at its own default for the baseline.
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", **os.environ}


class Baseline:
    """attribot_reference.py with the model loaded, waiting for its turn."""

    def __init__(self, spec, options, ids, threads):
        self.cache, self.dtype, self.logits, self.attention = spec.split(",")
        self.name = f"AttriBoT reference, {'KV cache' if self.cache == 'kv' else 'naive'}, {self.dtype}, " \
                    f"logits {self.logits}, {self.attention}"
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "attribot_reference.py"), "--model", options.model, "--ids", ids,
             "--dtype", self.dtype, "--cache", self.cache, "--logits", self.logits, "--attention", self.attention,
             "--threads", str(threads), "--serve"],
            env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.about = self.answer()
        self.seconds, self.cpu, self.last = [], [], None

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name}: the reference ended without an answer; run attribot_reference.py by hand")
        return json.loads(line)

    def turn(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.last = self.answer()
        self.seconds.append(self.last["seconds"])
        self.cpu.append(sum(p["cpuSeconds"] for p in self.last["prompts"]))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def whence(options, *arguments):
    done = subprocess.run(shlex.split(options.whence) + list(arguments), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode != 0:
        sys.exit("whence failed: " + done.stderr.strip()[-400:])
    return done.stdout


def attributed(options, twice, method):
    """The second of two attributions of the same record."""
    lines = whence(options, "attribute", "--model", options.model, "--input", twice, "--dtype", options.dtype, "--method", method,
                   "--json").splitlines()
    last = json.loads(lines[-1])
    if last["status"] != "SCORED":
        sys.exit("whence did not score the prompt: " + last["reason"])
    return last


def record_at(path, line):
    with open(path, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            if number == line:
                return text.strip()
    sys.exit(f"{path} has no line {line}")


def spread(values, form="{:.2f}"):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--whence", required=True, help="command that starts the front door")
    p.add_argument("--model", required=True)
    p.add_argument("--input", required=True)
    p.add_argument("--line", type=int, default=1)
    p.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"], help="of Whence")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--baseline", action="append", metavar="CACHE,DTYPE,LOGITS,ATTENTION",
                   help="kv|none, bf16|fp32, all|scored, sdpa|eager; may be given more than once")
    p.add_argument("--once", action="append", default=[], metavar="CACHE,DTYPE,LOGITS,ATTENTION",
                   help="as --baseline, run in the first turn only (naive is slow)")
    p.add_argument("--faster", action="append", default=[], metavar="METHOD", help="of whence attribute --method")
    p.add_argument("--json", help="write all figures to this file")
    p.add_argument("--report", help="write a Markdown file")
    o = p.parse_args()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    started, load = datetime.datetime.now(datetime.timezone.utc), os.getloadavg()
    with tempfile.TemporaryDirectory() as scratch:
        record = record_at(o.input, o.line)
        twice, ids = os.path.join(scratch, "twice.jsonl"), os.path.join(scratch, "ids.jsonl")
        with open(twice, "w", encoding="utf-8") as f:
            f.write(record + "\n" + record + "\n")
        with open(os.path.join(scratch, "once.jsonl"), "w", encoding="utf-8") as f:
            f.write(record + "\n")
        whence(o, "bench", "exact", "--model", o.model, "--input", os.path.join(scratch, "once.jsonl"), "--dtype", o.dtype,
               "--repeat", "1", "--no-naive", "--dump-ids", ids, "--json")
        baselines = [Baseline(s, o, ids, threads) for s in o.baseline or [f"kv,{o.dtype},all,sdpa"]]
        once = [Baseline(s, o, ids, threads) for s in o.once]
        ours, last = [], None
        faster = {method: [] for method in o.faster}
        for turn in range(o.repeat):
            for b in baselines + (once if turn == 0 else []):
                b.turn()
                print(f"turn {turn + 1}: {b.name}: {b.seconds[-1]:.1f} s", file=sys.stderr, flush=True)
            last = attributed(o, twice, "exact-loo")
            ours.append(last["cost"]["seconds"])
            print(f"turn {turn + 1}: Whence {o.dtype}: {ours[-1]:.1f} s", file=sys.stderr, flush=True)
            for method, seconds in faster.items():
                seconds.append(attributed(o, twice, method)["cost"]["seconds"])
                print(f"turn {turn + 1}: Whence {o.dtype}, {method}: {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
        for b in baselines + once:
            b.close()
    rows = []
    for b in baselines + once:
        theirs = {(s["segment"], s["start"], s["end"]): s["tau"] for s in b.last["prompts"][0]["sources"]}
        mine = {(s["segment"], s["start"], s["end"]): s["tau"] for s in last["sources"]}
        if theirs.keys() != mine.keys():
            sys.exit("the two sides have other sources")
        rows.append({"baseline": b.name, "seconds": b.seconds, "cpuSeconds": b.cpu, "tokens": b.last["prompts"][0]["tokensComputed"],
                     "ratios": [t / m for t, m in zip(b.seconds, ours)],
                     "maxTauDifference": max(abs(theirs[k] - mine[k]) for k in mine),
                     "logLikelihoodDifference": abs(b.last["prompts"][0]["logLikelihood"] - last["logLikelihood"]),
                     "versions": b.about["versions"]})
    result = {"date": started.isoformat(timespec="seconds"), "processor": processor(), "threads": threads,
              "loadAverage": [load[0], os.getloadavg()[0]], "model": os.path.basename(o.model), "dtype": o.dtype,
              "tokens": last["promptTokens"] + last["responseTokens"], "sources": len(last["sources"]),
              "whenceSeconds": ours, "fasterSeconds": faster, "whenceTokens": last["cost"]["trunkTokens"] + last["cost"]["branchTokens"], "rows": rows}
    text = [f"Whence {o.dtype}: {spread(ours)} s, {result['whenceTokens']} tokens computed; "
            f"T = {result['tokens']}, {result['sources']} sources, {len(ours)} turns, {threads} threads", "",
            "| baseline | seconds | processor seconds | tokens computed | baseline / Whence | max tau difference, nats |", "|---|---|---|---|---|---|"]
    for r in rows:
        text.append(f"| {r['baseline']} | {spread(r['seconds'])} | {spread(r['cpuSeconds'])} | {r['tokens']} | {spread(r['ratios'])} | "
                    f"{r['maxTauDifference']:.2e} |")
    if faster:
        text += ["", f"| Whence {o.dtype} | seconds | {rows[0]['baseline']} / it | Whence's exact LOO / it |", "|---|---|---|---|"]
        for method, seconds in faster.items():
            text.append(f"| {method} | {spread(seconds)} | {spread([t / m for t, m in zip(rows[0]['seconds'], seconds)])} | "
                        f"{spread([t / m for t, m in zip(ours, seconds)])} |")
    print("\n".join(text))
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump(result, f)
    if o.report:
        os.makedirs(os.path.dirname(os.path.abspath(o.report)), exist_ok=True)
        command = "python compare_exact.py " + " ".join(
            shlex.quote(os.path.basename(a) if os.path.sep in a and not a.startswith("-") else a) for a in sys.argv[1:])
        versions = rows[0]["versions"]
        with open(o.report, "w", encoding="utf-8") as f:
            f.write("# Exact leave-one-out beside AttriBoT's algorithm\n\n"
                    f"Command, in benchmarks/reference: `{command}`\n\n| | |\n|---|---|\n"
                    f"| date | {result['date']} |\n| processor | {result['processor']}, {threads} threads on each side |\n"
                    f"| load average, start and end | {load[0]:.2f}, {result['loadAverage'][1]:.2f} |\n"
                    f"| model | {result['model']} |\n| baseline on | transformers {versions['transformers']}, torch "
                    f"{versions['torch']}, Python {versions['python']} |\n\n" + "\n".join(text) + "\n\n"
                    "A turn runs each baseline and Whence once, one after the other; ratios are taken within a turn; "
                    "in parentheses the range over turns.\n")


if __name__ == "__main__":
    main()
