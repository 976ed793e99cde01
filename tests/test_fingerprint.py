"""What the fingerprint says of kernels whose precision and order of summation are known."""

import json
from pathlib import Path

import pytest

from fastdl import cli
from fastdl.check import Request, sumtree
from fastdl.check.fingerprint import find_sum, fingerprints
from fastdl.spec import OPS, Sample

STRANGERS = Path(__file__).parent / "strangers" / "precision.py"


def of(name, op="matmul"):
    (found,) = fingerprints(Request((op,), kernel=f"{STRANGERS}:{name}"))
    return found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tf32", "inputs 11 bits (TF32), accumulator 24 bits (float32), numbers below"
         " 2^-136 lost"),
        ("bfloat16_inputs", "inputs 8 bits (bfloat16), accumulator 24 bits (float32)"),
        ("bfloat16_weights", "inputs 24 bits (float32) and 8 bits (bfloat16), accumulator 24"),
        ("float16_inputs", "inputs 11 bits (float16), accumulator 24 bits (float32), numbers"
         " below 2^-24 lost"),
        ("float16_accumulating", "accumulator 11 bits (float16)"),
        ("float64_accumulating", "inputs 24 bits (float32), accumulator 53 bits (float64)"),
        ("flushing", "accumulator 24 bits (float32), denormals flushed"),
        ("flushing_results", "accumulator 24 bits (float32), denormal results flushed"),
        ("sequential", "denormals kept, order: sequential, depth 128 of 128 terms (declared 128)"),
        ("reverse", "order: reverse, depth 128 of 128 terms"),
        ("pairwise", "order: pairwise, depth 8 of 128 terms"),
        ("lanes", "order: 16 interleaved lanes, depth 12 of 128 terms"),
        ("blocks", "order: blocks of 32, depth 35 of 128 terms"),
        ("blocks_of_pairs", "order: blocks of 16, each pairwise, depth 12 of 128 terms"),
        ("transposing", "1 times 1 is not 1"),
    ],
)  # fmt: skip
def test_each_is_named(name, said):
    assert said in str(of(name)), str(of(name))


@pytest.mark.parametrize("op", ["matmul", "sum", "mean", "conv2d", "scatter_add"])
def test_our_kernels_use_all_bits_of_their_dtype(op):
    found = list(fingerprints(Request((op,), isas=("baseline",))))
    assert {one.kernel.partition(":")[0] for one in found} == {"native", "numba"}
    for one in found:
        bits = {"float32": 24, "float64": 53, "bfloat16": 8}[one.dtype]
        assert not one.why and set(one.input_bits) == {bits}, one
        assert one.accumulator_bits >= max(bits, 24) and one.denormals == "denormals kept", one
        assert 0 < one.depth <= one.declared_depth, one


def test_native_matmul_is_the_same_on_every_instruction_set():
    found = [
        one
        for one in fingerprints(Request(("matmul",), backend="native"))
        if one.dtype != "bfloat16"
    ]
    assert len({(one.dtype, one.order, one.depth, one.denormals) for one in found}) == 2
    assert {one.order for one in found} == {"sequential"}


def test_bfloat16_is_summed_in_float32_and_nothing_flushed():
    """Also where an instruction adds the two terms of a pair in the other order."""
    pytest.importorskip("ml_dtypes")
    found = [
        one
        for one in fingerprints(Request(("matmul",), backend="native"))
        if one.dtype == "bfloat16"
    ]
    assert found
    for one in found:
        assert one.accumulator_bits == 24 and one.denormals == "denormals kept", one
        assert one.order.startswith("sequential") and one.depth <= one.declared_depth, one


def test_a_sum_of_rounded_weights_has_none():
    assert "rounded weights" in of("uneven_sum", "sum").why


def test_sums_that_divide_by_a_power_of_two_are_preferred():
    for one in fingerprints(Request(("interpolate", "avg_pool2d"), isas=("baseline",))):
        assert one.accumulator_bits == {"float32": 24, "float64": 53}[one.dtype], one


def test_what_is_no_sum_of_products_has_none(capsys):
    assert cli.main(["check", "exp", "softmax", "--fingerprint", "--backend", "native"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all("not a sum of products: no fingerprint" in line for line in lines)


def test_the_command_writes_json(tmp_path, capsys):
    file = tmp_path / "prints.json"
    words = ["check", "matmul", "--fingerprint", "--kernel", f"{STRANGERS}:tf32"]
    assert cli.main([*words, "--json", str(file)]) == 0
    (one,) = json.loads(file.read_text())["fingerprints"]
    assert one["input_bits"] == [11, 11] and one["accumulator_bits"] == 24
    assert one["text"] == capsys.readouterr().out.strip()
    assert cli.main([*words[:-1], "no_such_file.py:tf32"]) == 2


def test_terms_are_found_from_the_reference():
    found = find_sum(OPS["matmul"], Sample("", ((3, 4), (4, 5))), "float32")
    m, n = found.element
    assert found.places == ([4 * m + k for k in range(4)], [5 * k + n for k in range(4)])
    assert find_sum(OPS["exp"], Sample("", ((3,),)), "float32") is None
    mean = find_sum(OPS["mean"], Sample("", ((3, 4),), {"dim": (1,), "keepdim": False}), "float32")
    assert mean.coefficient == 0.25 and mean.count == 4


def lca_sizes(tree):
    """`under` of a known tree, as a sum would tell it."""

    def under(i, j):
        node = tree
        while True:
            inner = [p for p in node if not isinstance(p, int) and {i, j} <= {*sumtree.leaves(p)}]
            if not inner:
                return len(sumtree.leaves(node))
            node = inner[0]

    return under


@pytest.mark.parametrize(
    ("tree", "name", "depth"),
    [
        ((((0, 1), 2), 3), "sequential", 3),
        ((0, (1, (2, 3))), "reverse", 3),
        (((0, 1), (2, 3)), "pairwise", 2),
        (((0, 2), (1, 3)), "2 interleaved lanes", 2),
        (((((0, 1), 2), 3), (((4, 5), 6), 7)), "blocks of 4", 4),
        (((((0, 2), (4, 6)), ((8, 10), (12, 14))), (((1, 3), (5, 7)), ((9, 11), (13, 15)))),
         "2 interleaved lanes, each pairwise", 4),
        ((((((0, 2), 4), 6), ((8, 10), (12, 14))), ((((1, 3), 5), 7), ((9, 11), (13, 15)))),
         "another tree", 5),
        ((((0, 4), (2, 6)), ((1, 5), (3, 7))), "4 interleaved lanes", 3),
        (((((0, 2), 4), ((1, 3), 5)), 6), "2 interleaved lanes, then 1 more", 4),
        ((((2, 0), 1), 3), "sequential in another order of terms", 3),
        ((((0, 3), (1, 4)), ((2, 6), (5, 7))), "another tree", 3),
    ],
)  # fmt: skip
def test_trees_are_revealed_and_named(tree, name, depth):
    found = sumtree.revealed(len(sumtree.leaves(tree)), lca_sizes(tree))
    assert sumtree.order(found) == name and sumtree.depth(found) == depth


def test_a_fused_addition_is_revealed():
    tree = (((0, 1, 2, 3), 4, 5, 6), 7, 8, 9)
    found = sumtree.revealed(10, lca_sizes(tree))
    assert found == tree and sumtree.widest(found) == 4
