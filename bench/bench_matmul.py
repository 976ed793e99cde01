"""Matrix products beside every peer: squares, linear layers, few rows, transposes, odd sizes.

    python bench/bench_matmul.py [--threads 1,2] [--dtypes float32,float64,bfloat16,int8]
                                 [--groups squares,...]
                                 [--vs numpy,torch,...] [--json FILE] [--plot FILE]

Plain calls race plain calls (a @ b; ORT is fed both operands); the rows of the group `packed` race
calls whose right-hand side was packed beforehand. The ratio is that of the quickest peer to fastdl;
a row is lost below 0.97, and a tie is as much as can be where that peer runs at 95% of its floor.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path

from fastdl.bench import Contestant, circumstances, peers, race
from fastdl.bench.report import Report
from fastdl.bench.roofline import measure
from fastdl.spec import OPS, Sample

TIE = 0.97
AT_THE_FLOOR = 0.95


def product(name, m, k, n):
    return Sample(name, ((m, k), (k, n)))


SQUARES = [product(f"{n}^3", n, n, n) for n in (8, 32, 64, 128, 256, 512, 1024, 2048, 4096)]
LAYERS = [
    product("BERT-base projection", 512, 768, 768),
    product("BERT-base up", 512, 768, 3072),
    product("BERT-base down", 512, 3072, 768),
    product("GPT-2 qkv", 1024, 768, 2304),
    product("GPT-2 logits, 1 token", 1, 768, 50257),
    product("ResNet-50 classifier", 32, 2048, 1000),
    product("LSTM inputs", 1600, 128, 1024),
    product("LSTM step", 32, 256, 1024),
]
FEW = [product(f"{m} x 4096 x 4096", m, 4096, 4096) for m in (1, 2, 4, 8, 16, 32)] + [
    product(f"{m} x 768 x 3072", m, 768, 3072) for m in (1, 2, 4, 8, 16, 32)
]
ODD = [
    product("x".join(map(str, size)), *size)
    for size in ((31, 33, 35), (65, 63, 67), (100, 100, 100), (127, 129, 131), (255, 257, 253),
                 (333, 333, 333), (777, 555, 999), (1023, 1025, 1027))
]  # fmt: skip
TURNED = [(product(f"{n}^3, {name}", n, n, n), turned) for n in (64, 256, 1024)
          for name, turned in (("A^T B", [0]), ("A B^T", [1]), ("A^T B^T", [0, 1]))]  # fmt: skip
# Of bfloat16 what its users multiply; of 8-bit integers the sizes that `fastdl bench` times.
INTEGERS = [(sample, []) for sample in OPS["matmul_integer"].samples if sample.bench]
GROUPS_OF = {"bfloat16": ("squares", "layers", "few"), "int8": ("integers",)}
GROUPS = {
    "squares": [(sample, []) for sample in SQUARES],
    "layers": [(sample, []) for sample in LAYERS],
    "few": [
        *((sample, []) for sample in FEW),
        *((product(f"{m} x 4096 x 4096, B^T", m, 4096, 4096), [1]) for m in (1, 2, 8, 16)),
    ],
    "odd": [(sample, []) for sample in ODD],
    "transposed": TURNED,
    "packed": [(sample, []) for sample in (*SQUARES[2:], *LAYERS, *FEW)],
    "integers": INTEGERS,
}
FLOATS = tuple(group for group in GROUPS if group != "integers")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--dtypes", default="float32,float64,bfloat16,int8")
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--vs", default="numpy,torch,zentorch,jax,ort")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json")
    parser.add_argument("--plot", help="a picture of one thread's rows on the roofline")
    args = parser.parse_args()
    present = peers.installed()
    chosen = peers.choose([name for name in args.vs.split(",") if name in present])
    chosen = {name: v for name, v in chosen.items() if not name.endswith(("-nhwc", "-packed"))}
    packed = [f"{name}-packed" for name in chosen if f"{name}-packed" in present]
    report = Report(chosen, len(os.sched_getaffinity(0)), [])
    rows: list[dict] = []
    rooflines = {}
    for threads in map(int, args.threads.split(",")):
        roofline = rooflines[threads] = measure(threads)
        report.start(threads, roofline)
        contestants = [Contestant(name, threads) for name in (*chosen, *packed)]
        for dtype in args.dtypes.split(","):
            op = OPS["matmul_integer" if dtype == "int8" else "matmul"]
            groups = GROUPS_OF.get(dtype, FLOATS)
            for group in (g for g in args.groups.split(",") if g in groups):
                if group == "packed" and (dtype != "float32" or len(packed) < 2):
                    continue  # no peer packs others
                names = packed if group == "packed" else chosen
                taking_part = [c for c in contestants if c.name in names]
                for sample, turned in GROUPS[group]:
                    row = race(op, sample, dtype, taking_part, roofline,
                               turns=args.turns, seconds=0.06, transposed=turned)  # fmt: skip
                    results = row["results"].items()
                    row["results"] = {name.removesuffix("-packed"): r for name, r in results}
                    row |= {"threads": threads, "group": group}
                    rows.append(row)
                    report.row(row)
        for contestant in contestants:
            contestant.close()
    summary = summarise(rows)
    if args.json:
        record = {
            **circumstances(chosen), "command": " ".join(["python", *sys.argv]),
            "rooflines": {n: r._asdict() for n, r in rooflines.items()}, **summary, "rows": rows,
        }  # fmt: skip
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n")
    if args.plot:
        plot(args.plot, rows, rooflines)


def summarise(rows):
    """Ratios to the quickest peer of each row: what is lost, and the mean where there is room."""
    open_field, lost = [], []
    for row in rows:
        times = {name: result["median"] for name, result in row["results"].items()}
        own = times.pop("fastdl")
        best = min(times, key=times.get)
        row |= {"best": best, "ratio": times[best] / own}
        if row["ratio"] < TIE:
            lost.append(row)
        if row["floor"] / times[best] < AT_THE_FLOOR:
            open_field.append(row["ratio"])
    mean = math.exp(sum(map(math.log, open_field)) / len(open_field)) if open_field else math.nan
    print(
        f"{len(rows)} rows, {len(lost)} lost; over the {len(open_field)} whose quickest peer is not"
        f" at its floor the geometric mean is {mean:.2f}"
    )
    for row in sorted(lost, key=lambda row: row["ratio"]):
        print(f"lost: {row['group']}, {row['sample']}, {row['dtype']}, {row['threads']} thread(s):"
              f" {row['ratio']:.2f} of {row['best']}")  # fmt: skip
    return {"lost": len(lost), "open_rows": len(open_field), "geometric_mean": mean}


def plot(file, rows, rooflines):
    """Flops a second over flops a byte, one thread: fastdl's rows and each one's quickest peer."""
    import matplotlib.pyplot as plt

    threads = min(rooflines)
    dtypes = sorted({row["dtype"] for row in rows})
    figure, axes = plt.subplots(1, len(dtypes), figsize=(6.5 * len(dtypes), 4.5), squeeze=False)
    for axis, dtype in zip(axes[0], dtypes, strict=True):
        mine = [r for r in rows if r["dtype"] == dtype and r["threads"] == threads]
        intensity = [r["flops"] / r["bytes"] for r in mine]
        ends = [min(intensity) / 2, max(intensity) * 2]
        peak = rooflines[threads].flops[dtype] / 1e9
        for size, rate in rooflines[threads].bandwidth[1:]:
            roof = [min(peak, x * rate / 1e9) for x in (ends[0], peak * 1e9 / rate, ends[1])]
            axis.plot([ends[0], peak * 1e9 / rate, ends[1]], roof, color="0.75", lw=1, zorder=0)
            axis.annotate(f"{size >> 10} KiB", (ends[0], roof[0]), color="0.5", fontsize=7)
        for label, style in (("best", "x"), ("fastdl", "o")):
            rates = [r["flops"] / r["results"][r["best"] if label == "best" else label]["median"]
                     / 1e9 for r in mine]  # fmt: skip
            name = "quickest peer" if label == "best" else "fastdl"
            axis.plot(intensity, rates, style, label=name, ms=5, alpha=0.8)
        axis.set(xscale="log", yscale="log", xlabel="flops a byte", title=f"{dtype}, 1 thread")
        axis.set_ylabel("GFLOP/s")
        axis.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
