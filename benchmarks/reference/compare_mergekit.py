"""Whence's transfer against mergekit's task arithmetic: the same bf16 shards, the bits and the time.

    python compare_mergekit.py --whence ../../whence --mergekit VENV/bin/mergekit-yaml [--gigabytes .8]

Makes three models B, F, T (seeded, sharded, bf16; `--gigabytes` is all three together), lets both
tools compute T + (F - B), in turn, `--turns` times, and prints

  * how many outputs differ, by how many steps of the type (units in the last place), and from what:
    against the exact sum rounded once, and against mergekit's own order of roundings replayed;
  * wall time of the whole process, its ratio and spread, and the peak resident memory of each.

In mergekit the transfer is task arithmetic on T with F at weight 1 and B at weight -1:
T + (1 (F - T) + -1 (B - T)). It computes in the dtype of its configuration (`--dtype bfloat16`, its
default for bf16 models, rounds after each of the four operations; `float32` rounds each to fp32 and
the result once more). Whence computes in double and rounds once.

Never needed to build, test or run Whence. Versions: requirements-mergekit.txt.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

HIDDEN, INNER, HEADS, TOKENS = 1024, 2816, 16, 8192


def shapes(layers):
    yield "model.embed_tokens.weight", (TOKENS, HIDDEN)
    for i in range(layers):
        p = f"model.layers.{i}."
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield p + f"self_attn.{name}.weight", (HIDDEN, HIDDEN)
        yield p + "mlp.gate_proj.weight", (INNER, HIDDEN)
        yield p + "mlp.up_proj.weight", (INNER, HIDDEN)
        yield p + "mlp.down_proj.weight", (HIDDEN, INNER)
        yield p + "input_layernorm.weight", (HIDDEN,)
        yield p + "post_attention_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (TOKENS, HIDDEN)


def texts(directory, layers):
    from tokenizers import Tokenizer, models

    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
        "num_hidden_layers": layers, "vocab_size": TOKENS, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "eos_token_id": 0, "bos_token_id": 0,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=1))
    vocabulary = {f"t{i}": i for i in range(TOKENS)}
    Tokenizer(models.BPE(vocab=vocabulary, merges=[])).save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def make(root, gigabytes, shards, seed):
    """B is normal with deviation .02; F and T are B moved by .002 and .004."""
    per_layer = 2 * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER + 2 * HIDDEN)
    layers = max(1, round((gigabytes * 1e9 / 3 - 4 * TOKENS * HIDDEN) / per_layer))
    everything = list(shapes(layers))
    each = -(-len(everything) // shards)
    for name in ("base", "fine-tuned", "target"):
        directory = root / name
        directory.mkdir(parents=True)
        texts(directory, layers)
        index = {}
        for shard in range(shards):
            file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
            tensors = {}
            for number in range(shard * each, min(len(everything), (shard + 1) * each)):
                tensor, shape = everything[number]
                random = torch.Generator().manual_seed(seed + number)
                value = torch.randn(shape, generator=random) * .02
                moved = torch.randn(shape, generator=random)
                if name == "fine-tuned":
                    value += moved * .002
                elif name == "target":
                    value += torch.randn(shape, generator=random) * .004
                tensors[tensor] = value.to(torch.bfloat16)
                index[tensor] = file
            save_file(tensors, directory / file, metadata={"format": "pt"})
        (directory / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": index}))
    return layers


def run(command, log):
    """Seconds and peak resident MB of one process."""
    began = time.perf_counter()
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"{command[0]} failed; see {log}")
    return seconds, usage.ru_maxrss / 1e3


def tensors(directory):
    """Name to an open file that has it."""
    found = {}
    for file in sorted(directory.glob("*.safetensors")):
        opened = safe_open(file, framework="pt")
        for name in opened.keys():
            found[name] = opened
    return {name: (lambda opened=opened, name=name: opened.get_tensor(name)) for name, opened in found.items()}


def bits(tensor):
    return tensor.contiguous().view(torch.int16).numpy()


def ordered(b):
    """Neighbouring numbers of the type are neighbouring integers; both zeros are 0."""
    b = b.astype(np.int32)
    return np.where(b < 0, -(b & 0x7FFF), b)


def once(value):
    """float64 to the nearest bf16, ties to even, by integer arithmetic (normal numbers)."""
    raw = value.view(np.uint64)
    rounded = (raw + np.uint64((1 << 44) - 1) + ((raw >> np.uint64(45)) & np.uint64(1))) >> np.uint64(45)
    magnitude = (rounded & np.uint64((1 << 18) - 1)).astype(np.int64) - ((1023 - 127) << 7)
    small = magnitude < 0x80
    magnitude[small] = np.rint(np.abs(value[small]) * 2.0**133).astype(np.int64)
    sign = (raw >> np.uint64(63)).astype(np.int64) << 15
    return (magnitude | sign).astype(np.uint16).view(np.int16)


def exact(b, f, t):
    """T + (F - B), which double holds exactly for these, but F's own bits where T and B are the same."""
    value = once((t.double() + (f.double() - b.double())).numpy())
    return np.where(bits(t) == bits(b), bits(f), value)


def replayed(b, f, t, dtype):
    """mergekit's order of roundings."""
    b, f, t = b.to(dtype), f.to(dtype), t.to(dtype)
    return bits((t + torch.stack([f - t, -(b - t)]).sum(dim=0)).to(torch.bfloat16))


def count(one, other, into):
    steps = np.abs(ordered(one) - ordered(other))
    into["elements"] += steps.size
    into["same"] += int((one == other).sum())
    for name, where in (("1", steps == 1), ("2", steps == 2), ("more", steps > 2)):
        into[name] += int(where.sum())
    into["largest"] = max(into["largest"], int(steps.max(initial=0)))


def say(what, c):
    differ = c["elements"] - c["same"]
    print(f"{what}: {differ} of {c['elements']} differ ({100 * differ / c['elements']:.3f} %);"
          f" by 1 step {c['1']}, 2 steps {c['2']}, more {c['more']}, largest {c['largest']}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--whence", required=True, help="the launcher")
    options.add_argument("--mergekit", default="mergekit-yaml", help="its command")
    options.add_argument("--gigabytes", type=float, default=.8, help="all three models together")
    options.add_argument("--shards", type=int, default=2)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    options.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("whence-data/compare-mergekit"),
                         help="on the disk that counts; removed in the end")
    given = options.parse_args()
    root = given.directory.resolve()
    if root.exists():
        raise SystemExit(f"{root} exists: give another --directory, or remove it")
    layers = make(root, given.gigabytes, given.shards, given.seed)
    size = sum(f.stat().st_size for f in (root / "base").glob("*.safetensors"))
    print(f"three models of {size / 1e6:.0f} MB in {given.shards} shards, {layers} layers, bf16")
    paths = {name: str(root / name) for name in ("base", "fine-tuned", "target")}
    out = {"whence": root / "by-whence", "mergekit": root / "by-mergekit"}
    recipe = root / "recipe.yml"
    recipe.write_text(json.dumps({
        "merge_method": "task_arithmetic", "base_model": paths["target"],
        "models": [{"model": paths["fine-tuned"], "parameters": {"weight": 1.0}},
                   {"model": paths["base"], "parameters": {"weight": -1.0}}],
        "dtype": given.dtype, "out_dtype": "bfloat16"}))
    commands = {
        "whence": [given.whence, "transfer", "run", "--base", paths["base"], "--fine-tuned", paths["fine-tuned"],
                   "--target", paths["target"], "--output", str(out["whence"])],
        "mergekit": [given.mergekit, str(recipe), str(out["mergekit"]), "--no-write-model-card"],
    }
    subprocess.run([given.whence, "--version"], check=True, stdout=subprocess.DEVNULL)  # builds, if need be
    seconds = {name: [] for name in commands}
    memory = {name: [] for name in commands}
    for turn in range(given.turns):
        for name, command in commands.items():
            shutil.rmtree(out[name], ignore_errors=True)
            os.sync()
            took, peak = run(command, root / f"{name}.log")
            seconds[name].append(took)
            memory[name].append(peak)
    for name in commands:
        times = seconds[name]
        print(f"{name}: {', '.join(f'{t:.2f}' for t in times)} s, peak resident {max(memory[name]):.0f} MB")
    ratios = [m / w for w, m in zip(seconds["whence"], seconds["mergekit"])]
    print(f"mergekit / whence: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")

    sides = {name: tensors(root / name) for name in paths}
    results = {name: tensors(out[name]) for name in out}
    counts = {what: {k: 0 for k in ("elements", "same", "1", "2", "more", "largest")}
              for what in ("between", "whence", "mergekit", "replay")}
    dtype = getattr(torch, given.dtype)
    for name in sides["target"]:
        b, f, t = (sides[m][name]() for m in paths)
        ours, theirs = bits(results["whence"][name]()), bits(results["mergekit"][name]())
        wanted = exact(b, f, t)
        count(theirs, ours, counts["between"])
        count(ours, wanted, counts["whence"])
        count(theirs, wanted, counts["mergekit"])
        count(theirs, replayed(b, f, t, dtype), counts["replay"])
    say("mergekit against whence", counts["between"])
    say("whence against the exact sum rounded once", counts["whence"])
    say("mergekit against the exact sum rounded once", counts["mergekit"])
    say(f"mergekit against its formula in {given.dtype}, replayed", counts["replay"])
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
