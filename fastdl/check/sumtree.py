"""The tree of additions of a sum, from what two cancelling giants leave of it, and its name.

With M and −M in the places i and j and a unit everywhere else, M so large that it swallows all the
units, the result counts the units added after M and −M had met. All others lie under the lowest
common ancestor of i and j in the tree of additions; its sizes for some pairs give the whole tree.

Source: Xie, Gao, Zheng, Zhang: FPRev: Revealing the Order of Floating-Point Summation (2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

Tree = Any  # a leaf (the number of a term) or the tuple of what is added there, more than two fused


def revealed(count: int, under: Callable[[int, int], int]) -> Tree:
    """The tree of a sum of so many terms.

    `under(i, j)` is the number of terms under the addition at which the terms i and j meet.
    """
    known: dict[tuple[int, int], int] = {}

    def size(i: int, j: int) -> int:
        key = (min(i, j), max(i, j))
        if key not in known:
            known[key] = under(*key)
        return known[key]

    def build(terms: list[int]) -> Tree:
        first, *others = terms
        if len(others) > 2 and len({size(first, j) for j in others}) == 1:
            *others, first = terms  # a sum from the end, which the first term says nothing about
        tree: Tree = first
        for total in sorted({size(first, j) for j in others}):
            parts = [tree]
            rest = [j for j in others if size(first, j) == total]
            while rest:  # once, unless an addition takes more than two
                near = [j for j in rest if j == rest[0] or size(rest[0], j) < total]
                parts.append(build(near))
                rest = [j for j in rest if j not in near]
            tree = tuple(parts)
        return tree

    return build(list(range(count)))


def leaves(tree: Tree) -> list[int]:
    """The terms under a node, in ascending order."""
    return sorted(_leaves(tree))


def _leaves(tree: Tree) -> Iterator[int]:
    if isinstance(tree, int):
        yield tree
    else:
        for part in tree:
            yield from _leaves(part)


def depth(tree: Tree) -> int:
    """The most additions that a term goes through."""
    return 0 if isinstance(tree, int) else 1 + max(map(depth, tree))


def widest(tree: Tree) -> int:
    """The most numbers that one addition takes; 2 but for fused ones."""
    return 2 if isinstance(tree, int) else max(len(tree), *map(widest, tree))


def order(tree: Tree) -> str:
    """What kind of tree it is, in words: "sequential", "16 interleaved lanes", ..."""
    return _order(tree) or "another tree"


def _order(tree: Tree) -> str:
    terms = leaves(tree)
    sequence = _sequence(tree)
    if sequence is not None:
        if sequence == terms:
            return "sequential"
        backwards = sequence[::-1]
        if [*backwards[:-2], *sorted(backwards[-2:])] == terms:
            return "reverse"
        return "sequential in another order of terms"
    nodes = {tuple(leaves(node)): node for node in _nodes(tree)}
    count = len(terms)
    if depth(tree) == math.ceil(math.log2(count)) and all(
        terms.index(part[-1]) - terms.index(part[0]) == len(part) - 1 for part in nodes
    ):
        return "pairwise"
    split = {n: [nodes.get(tuple(terms[i::n])) for i in range(n)] for n in range(2, count // 2 + 1)}
    whole = {n: parts for n, parts in split.items() if all(p is not None for p in parts)}
    for lanes, parts in whole.items():
        if all(_sequence(p) == leaves(p) for p in parts):
            return f"{lanes} interleaved lanes"
    for lanes, parts in reversed(whole.items()):
        kinds = set(map(_order, parts))
        if len(kinds) == 1 and all(kinds):
            return f"{lanes} interleaved lanes, each {kinds.pop()}"
    for block in range(count // 2, 1, -1):
        cuts = [tuple(terms[i : i + block]) for i in range(0, count, block)]
        if all(cut in nodes for cut in cuts):
            inner = {_order(nodes[cut]) for cut in cuts if len(cut) == block}
            inside = inner.pop()
            if inside and not inner:
                return f"blocks of {block}" + f", each {inside}" * (inside != "sequential")
    return _with_stragglers(tree)


def _with_stragglers(tree: Tree) -> str:
    """A tree with a name to which the last terms (a tail, a bias) are added one by one."""
    more = 0
    while not isinstance(tree, int) and len(tree) == 2 and max(leaves(tree)) in tree:
        tree = next(part for part in tree if part != max(leaves(tree)))
        more += 1
    name = _order(tree) if more and not isinstance(tree, int) else ""
    return f"{name}, then {more} more" if name else ""


def _sequence(tree: Tree) -> list[int] | None:
    """The terms in the order in which they are added one by one; None if they are not."""
    last: list[int] = []
    while not isinstance(tree, int):
        single = [part for part in tree if isinstance(part, int)]
        if len(tree) != 2 or not single:
            return None
        if len(single) == 2:
            return [*sorted(single), *reversed(last)]
        last.append(single[0])
        tree = next(part for part in tree if not isinstance(part, int))
    return [tree, *reversed(last)]


def _nodes(tree: Tree) -> Iterator[Tree]:
    yield tree
    if not isinstance(tree, int):
        for part in tree:
            yield from _nodes(part)
