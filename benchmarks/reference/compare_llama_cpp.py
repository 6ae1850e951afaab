"""Holds a model behind llama-cpp-python against the same GGUF file in Whence's own process.

    pip install -r requirements-llama-cpp.txt     # compiles llama.cpp: needs cmake and a C++ compiler
    python compare_llama_cpp.py --whence "../../whence" --model M.gguf --input prompts.jsonl [--tolerance 1.0]

Starts llama_cpp.server (of the Python that runs this) on a free port of 127.0.0.1, attributes every line of
the input by exact leave-one-out once through it and once in process (fp32), and prints the differences of
L, groundedness and tau, in nats. Ends with 1 if a line is scored on one side only, or an L or a tau differs by
more than the tolerance. What is left of a difference is arithmetic: llama.cpp multiplies quantised weights
with activations rounded to 8 bits, Whence with whole ones. On fp32 weights .0043 nats of tau were seen (so
--tolerance 0.05 is good there), on 4-bit ones .60. Keep prompts short: the server sorts its
vocabulary in Python for each of their tokens.
Never needed to build, test or run Whence.
"""
import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ALIAS = "compared"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def served(url, process, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit("llama_cpp.server ended before it answered: see its output above")
        try:
            with urllib.request.urlopen(url + "/v1/models", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    sys.exit(f"llama_cpp.server did not answer within {seconds} s")


def attribute(options, *more):
    command = shlex.split(options.whence) + [
        "attribute", "--model", options.model, "--input", options.input, "--method", "exact-loo", "--json", *more]
    started = time.monotonic()
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    if run.returncode != 0 or not lines:
        sys.exit(f"'{shlex.join(command)}' ended with {run.returncode} after {len(lines)} results")
    return lines, time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--tolerance", type=float, default=1.0, help="nats")
    parser.add_argument("--context", type=int, default=2048, help="the server's n_ctx")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([
        sys.executable, "-m", "llama_cpp.server", "--model", options.model, "--model_alias", ALIAS,
        "--host", "127.0.0.1", "--port", str(port), "--logits_all", "true", "--n_ctx", str(options.context),
        "--n_threads", str(options.threads), "--verbose", "false"], stdout=sys.stderr)
    try:
        served(url, server)
        remote, remote_seconds = attribute(
            options, "--server", url, "--server-protocol", "llama-cpp", "--server-model", ALIAS)
    finally:
        server.terminate()
        server.wait(timeout=30)
    local, local_seconds = attribute(options, "--dtype", "fp32", "--device", "cpu")

    bad = 0
    worst_likelihood = worst_tau = largest = 0.0
    sources = 0
    for there, here in zip(remote, local, strict=True):
        name = here["responseId"]
        if there["responseId"] != name or there["status"] != here["status"]:
            bad += 1
            print(f"{name}: {there['status']} behind the server ({there.get('reason', '')}), {here['status']} here")
            continue
        if here["status"] != "SCORED":
            continue
        likelihood = abs(there["logLikelihood"] - here["logLikelihood"])
        taus = [(a["tau"], b["tau"]) for a, b in zip(there["sources"], here["sources"], strict=True)]
        tau = max((abs(a - b) for a, b in taus), default=0.0)
        sources += len(taus)
        largest = max([largest, *(abs(b) for _, b in taus)])
        worst_likelihood, worst_tau = max(worst_likelihood, likelihood), max(worst_tau, tau)
        top = [max(range(len(taus)), key=lambda i: taus[i][side], default=None) for side in (0, 1)]
        print(f"{name}: {here['promptTokens']} + {here['responseTokens']} tokens, L {there['logLikelihood']:.3f} / "
              f"{here['logLikelihood']:.3f}, groundedness {there['groundedness']:.3f} / {here['groundedness']:.3f}, "
              f"largest |difference of tau| {tau:.3f}, top source {'the same' if top[0] == top[1] else 'another'}")
        if likelihood > options.tolerance or tau > options.tolerance:
            bad += 1
    print(f"{len(local)} responses, {sources} sources, largest |tau| {largest:.3f}; largest difference of L "
          f"{worst_likelihood:.4f}, of tau {worst_tau:.4f} nats; {remote_seconds:.0f} s / {local_seconds:.0f} s")
    if bad:
        sys.exit(f"{bad} of {len(local)} responses differ by more than {options.tolerance} nats, or in status")


if __name__ == "__main__":
    main()
