"""The bench's table: one line a row, medians with spread, ratios to every peer, losses in red."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console

from .. import _native
from .roofline import Roofline


class Report:
    """Prints rows as they come."""

    def __init__(self, contestants: dict[str, str], cores: int, skipped: list[int]):
        self.console = Console(soft_wrap=True)
        self.peers = [name for name in contestants if name != "fastdl"]
        versions = ", ".join(f"{name} {version}" for name, version in contestants.items())
        self.console.print(f"contestants: {versions}; {_native.isa()}, {cores} core(s)")
        if not self.peers:
            self.console.print("no peer is installed, so there is nothing to race against")
        for threads in skipped:
            self.console.print(f"{threads} threads skipped: this machine has {cores} core(s)")

    def start(self, threads: int, roofline: Roofline) -> None:
        """The head of one number of threads."""
        flops = ", ".join(f"{d} {f / 1e9:.0f} GFLOP/s" for d, f in roofline.flops.items())
        rates = ", ".join(f"{_size(s)}: {r / 1e9:.0f}" for s, r in roofline.bandwidth)
        self.console.rule(f"{threads} thread(s)")
        self.console.print(f"measured roofline: {flops}; read GB/s at {rates}")
        self.console.print(
            f"{'op':<24}{'sample':<32}{'dtype':<9}{'fastdl':>10}{'spread':>8}{'rate':>14}"
            f"{'% roof':>8}"
            "  time of each peer / fastdl's (above 1: fastdl is faster)",
            style="bold",
        )

    def row(self, row: dict[str, Any]) -> None:
        """One row of the table."""
        results = row["results"]
        own = results.get("fastdl")
        if own is None:
            return
        spread = (own["high"] - own["low"]) / own["median"]
        rate = roof = ""
        if "flops" in row:
            rate = (
                f"{row['flops'] / own['median'] / 1e9:.1f} GFLOP/s"
                if row["flops"] > 4 * row["bytes"]
                else f"{row['bytes'] / own['median'] / 1e9:.1f} GB/s"
            )
            roof = f"{row['floor'] / own['median']:.0%}"
        ratios = []
        for name in self.peers:
            if name in results:
                ratio = results[name]["median"] / own["median"]
                colour = "green" if ratio >= 1.03 else "red" if ratio < 0.97 else "yellow"
                ratios.append(f"{name} [{colour}]{ratio:.2f}[/]")
        self.console.print(
            f"{row['op']:<24}{row['sample']:<32}{row['dtype']:<9}{_time(own['median']):>10}{spread:>8.0%}"
            f"{rate:>14}{roof:>8}  {'  '.join(ratios)}",
            highlight=False,
        )

    def finish(self, rows: list[dict[str, Any]]) -> None:
        """The geometric mean and the number of losses against each peer."""
        for name in self.peers:
            ratios = [
                row["results"][name]["median"] / row["results"]["fastdl"]["median"]
                for row in rows
                if {name, "fastdl"} <= row["results"].keys()
            ]
            if ratios:
                mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
                lost = sum(r < 0.97 for r in ratios)
                self.console.print(
                    f"against {name}: {len(ratios)} rows, geometric mean {mean:.2f},"
                    f" slowest {min(ratios):.2f}, {lost} lost"
                )


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"
