"""The native core by itself: threads, memory, arrays, instruction sets."""

import ctypes
import faulthandler
import gc
import mmap
import os
import platform
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastdl import _native


@pytest.fixture(autouse=True)
def as_found():
    """Every test leaves the settings of the process as it found them."""
    threads, isa = _native.num_threads(), _native.isa()
    yield
    _native.set_num_threads(threads)
    _native.set_isa(isa)
    _native.set_memory_mode("normal")


def in_child(work) -> int:
    """Runs `work` in a forked child; its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FASTDL_", "OMP_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def tasks() -> set[str]:
    return set(os.listdir("/proc/self/task"))


# Threads


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8])
def test_each_chunk_runs_exactly_once(threads):
    _native.set_num_threads(threads)
    assert _native.num_threads() == threads
    for chunks in (0, 1, 2, 7, 1000):
        assert _native._count(chunks) == [1] * chunks


def test_the_pool_grows_and_shrinks():
    before = tasks()
    for n in (4, 2, 8, 1, 3):
        _native.set_num_threads(n)
        _native._burn(16, 10_000)
        assert len(tasks() - before) <= n - 1
    _native.set_num_threads(1)
    assert not tasks() - before


@pytest.mark.parametrize("n", [0, -1, 10**6])
def test_a_senseless_number_of_threads_is_refused(n):
    with pytest.raises(ValueError, match="number of threads must be from 1"):
        _native.set_num_threads(n)


def test_the_workers_take_part():
    for threads in (1, 2, 5):
        _native.set_num_threads(threads)
        took_part = 0
        for _ in range(20):  # the machine may be busy
            took_part = max(took_part, len(_native._burn(100, 100_000)))
            if took_part >= min(threads, 2):
                break
        assert min(threads, 2) <= took_part <= threads
    _native.set_num_threads(5)
    assert len(_native._burn(100, 10)) == 1  # too little work to share
    assert len(_native._burn(3, 1_000_000)) <= 3


def test_workers_round_as_the_caller_does():
    libm = ctypes.CDLL("libm.so.6")
    nearest, upward = 0, 0x800 if platform.machine() == "x86_64" else 0x400000
    _native.set_num_threads(2)
    _native._burn(20, 100_000)
    for mode in (upward, nearest):
        assert libm.fesetround(mode) == 0
        try:
            expected = _native.mxcsr()
            modes = [_native._burn(20, 100_000) for _ in range(10)]
        finally:
            libm.fesetround(nearest)
        assert {m for each in modes for m in each} == {expected}


def test_nested_regions_run_in_their_chunk():
    _native.set_num_threads(4)
    assert _native._count_nested(20, 30) == 600


def test_exceptions_of_chunks_reach_the_caller():
    for threads in (1, 3):
        _native.set_num_threads(threads)
        for _ in range(50):
            with pytest.raises(RuntimeError, match="a chunk failed"):
                _native._burn(8, 5_000, True)
            assert _native._count(5) == [1] * 5


def test_python_threads_call_at_once():
    _native.set_num_threads(2)
    wrong = []

    def call():
        for _ in range(300):
            if _native._count(9) != [1] * 9:
                wrong.append(1)

    callers = [threading.Thread(target=call) for _ in range(8)]
    for t in callers:
        t.start()
    for i in range(100):
        _native.set_num_threads(1 + i % 3)
    for t in callers:
        t.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_use():
    _native.set_num_threads(3)
    for _ in range(200):
        _native._burn(4, 5_000)  # the workers are awake when the process forks

        def work():
            assert _native.num_threads() == 3
            assert _native._count(50) == [1] * 50
            _native.empty((1000,))[:] = 1

        assert in_child(work) == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_another_thread_computes():
    _native.set_num_threads(2)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            _native._burn(20, 50_000)
            _native.empty((100,))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(50):
            assert in_child(lambda: _native._count(50) == [1] * 50 and _native.empty((100,))) == 0
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_in_a_long_job(threads):
    code = f"""
import os, signal, threading, time
from fastdl import _native
_native.set_num_threads({threads})
sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.2, interrupt).start()
try:
    _native._burn(20_000, 1_000_000)
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
assert _native._count(10) == [1] * 10
"""
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 0.2


def test_workers_take_no_signals():
    _native.set_num_threads(4)
    before = tasks()
    _native._burn(16, 10_000)
    for task in tasks() - before:
        with open(f"/proc/self/task/{task}/status") as status:
            blocked = next(line for line in status if line.startswith("SigBlk"))
        assert int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"FASTDL_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5,2"}, 5),
        ({"OMP_NUM_THREADS": "5", "FASTDL_NUM_THREADS": "2"}, 2),
        ({}, len(os.sched_getaffinity(0))),
    ],
)
def test_number_of_threads_at_import(environment, threads):
    code = "from fastdl import _native; _native._burn(64, 10_000); print(_native.num_threads())"
    result = run_python(code, **environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{threads}\n", "")


@pytest.mark.parametrize("value", ["0", "two", "3x", "-1"])
def test_bad_number_of_threads_in_the_environment(value):
    result = run_python("from fastdl import _native", FASTDL_NUM_THREADS=value)
    assert result.returncode == 1
    assert f"FASTDL_NUM_THREADS={value}" in result.stderr


# Instruction sets


def test_every_runnable_isa_can_be_set():
    names = _native.runnable_isas()
    assert names[0] == "baseline"
    assert names[-1] == _native.best_isa()
    for name in names:
        _native.set_isa(name)
        assert _native.isa() == name


@pytest.mark.parametrize("name", ["avx9", "", "AVX2"])
def test_unknown_isa(name):
    before = _native.isa()
    with pytest.raises(ValueError, match="choose from baseline"):
        _native.set_isa(name)
    assert _native.isa() == before


def test_isa_of_the_environment():
    for name in _native.runnable_isas():
        result = run_python("from fastdl import _native; print(_native.isa())", FASTDL_ISA=name)
        assert (result.stdout, result.stderr) == (name + "\n", "")
    result = run_python("from fastdl import _native", FASTDL_ISA="avx9")
    assert result.returncode == 1
    assert "ImportError" in result.stderr
    assert "FASTDL_ISA" in result.stderr
    assert "choose from baseline" in result.stderr


# Memory


def test_arrays_made_by_the_allocator():
    names = ("bool", "uint8", "int32", "int64", "float32", "float64")
    for name in names:
        for shape in ((), (0,), (3, 0, 2), (5,), (2, 3, 4), (1,) * 16, (700, 1000)):
            a = _native.empty(shape, name)
            assert type(a) is np.ndarray
            assert (a.shape, a.dtype) == (shape, np.dtype(name))
            assert a.strides == np.empty(shape, name).strides or a.size == 0
            flags = a.flags
            assert flags.c_contiguous
            assert flags.writeable
            assert flags.aligned
            assert not flags.owndata
            assert a.ctypes.data % 64 == 0
            a[...] = 1
            assert (a == 1).all()


def test_channels_last():
    a = _native.empty((2, 3, 5, 7), "float64", channels_last=True)
    assert a.shape == (2, 3, 5, 7)
    assert a.transpose(0, 2, 3, 1).flags.c_contiguous
    assert not a.flags.c_contiguous


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2,), "float16"), "dtype 'float16' is not one of"),
        (((-1,),), "negative dimension"),
        (((1,) * 17,), "16 dimensions"),
        (((2, 3), "float32", True), "channels_last"),
    ],
)
def test_bad_arrays(arguments, message):
    with pytest.raises(ValueError, match=message):
        _native.empty(*arguments)
    for shape in (3, [3], None, (2.5,), ("2",)):
        with pytest.raises(TypeError):
            _native.empty(shape)


@pytest.mark.parametrize("shape", [(2**62,), (2**31, 2**31, 2**31), (2**44,)])
def test_too_large_is_a_memory_error(shape):
    before = _native.memory_stats()["in_use"]
    with pytest.raises(MemoryError):
        _native.empty(shape)
    assert _native.memory_stats()["in_use"] == before


def test_dtypes_of_empty():
    for name in ("bool", "uint8", "int32", "int64", "float32", "float64", "longlong"):
        a = _native.empty((2,), np.dtype(name))
        assert a.dtype == np.dtype(name)
    for dtype in (">f4", "float16", "complex64", "int8", "uint32", "S4", "O", "M8[s]"):
        assert _native.empty((2,), np.dtype(dtype)) is NotImplemented
    assert _native.empty((2,), None) is NotImplemented


def test_views_read_numpy_as_it_is():
    base = np.arange(240, dtype=np.float64).reshape(4, 5, 12)
    frozen = base.view()
    frozen.flags.writeable = False
    for a in (
        base,
        base[::-1, 1:, ::3],
        base.transpose(2, 0, 1)[5],
        np.broadcast_to(base[0], (7, 5, 12)),
        frozen,
        base[:0],
        np.array(3, np.int32),
        base[0, 0, :3].astype(np.longlong),
        base > 3,
        base.astype(np.uint8)[..., 1::2],
    ):
        strides = [s // a.itemsize for s in a.strides]
        expected = (a.ctypes.data, a.itemsize, list(a.shape), strides, a.flags.writeable)
        assert _native._view(a) == expected


def test_views_decline():
    base = np.zeros((3, 4), np.float32)
    record = np.zeros(4, np.dtype([("a", "f4"), ("b", "u1"), ("c", "f4")]))
    pairs = np.zeros(4, np.dtype([("a", "f8"), ("b", "f4")]))
    for x in (
        None,
        3.0,
        [1.0],
        np.float32(1),
        base.astype(">f4"),
        base.astype(np.float16),
        base.astype(np.complex64),
        base.astype(object),
        base.astype(np.uint16),
        base.view(np.recarray),
        np.ma.array(base),
        np.zeros(5, np.uint8)[1:].view(np.float32),
        record["c"],
        pairs["a"],
        np.zeros((1,) * 17),
    ):
        assert _native._view(x) is NotImplemented


def test_may_overlap():
    x = np.zeros((6, 8))
    assert _native._may_overlap(x, x)
    assert _native._may_overlap(x[::2], x[1::2])  # by ranges: conservative
    assert _native._may_overlap(x[::-1], x[5:])
    assert not _native._may_overlap(x[:3], x[3:])
    assert not _native._may_overlap(x[2::-1], x[3:])
    assert not _native._may_overlap(x[:3][::-1, ::-1], x[5:3:-1])
    assert not _native._may_overlap(x[:0], x)
    assert not _native._may_overlap(x, x.copy())


def test_an_array_can_be_frozen_and_thawed():
    a = _native.empty((4,))
    a.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1
    a.flags.writeable = True
    a[0] = 1


def test_blocks_are_used_again():
    a = _native.empty((1000,))
    address = a.ctypes.data
    view = a[10:]
    del a
    b = _native.empty((1000,))
    assert b.ctypes.data != address  # the view still holds it
    del view
    assert _native.empty((1000,)).ctypes.data == address


def test_the_cache_is_bounded_and_can_be_emptied():
    _native.empty_cache()
    gc.collect()
    start = _native.memory_stats()
    assert start["cached"] == 0
    blocks = [_native.empty((size,), "uint8") for size in range(1, 3_000_000, 9973)]
    assert _native.memory_stats()["in_use"] - start["in_use"] >= sum(b.nbytes for b in blocks)
    del blocks
    assert _native.memory_stats()["in_use"] == start["in_use"]
    limit = start["limit"]
    for fraction in (0.7, 0.6, 0.5, 1.5):  # untouched pages cost nothing
        block = _native.empty((int(limit * fraction),), "uint8")
        del block
        assert _native.memory_stats()["cached"] <= limit
    _native.empty_cache()
    assert _native.memory_stats()["cached"] == 0


def test_size_classes_hold_what_was_asked_for():
    _native.set_memory_mode("poison", 0x5A)
    for power in range(26):
        for off in (-1, 0, 1):
            size = max(0, (1 << power) + off)
            a = None
            before = _native.memory_stats()["in_use"]
            a = _native.empty((size,), "uint8")
            taken = _native.memory_stats()["in_use"] - before
            assert size <= taken <= max(64, size * 1.25 + 64, min(2 * size, size + (2 << 20)))
            a[...] = 1
            if size >= 2 << 20:
                assert a.ctypes.data % (2 << 20) == 0


def test_poison():
    for pattern in (0xFF, 0x7B):
        _native.set_memory_mode("poison", pattern)
        for shape in ((3,), (1000,), (600, 1000)):
            a = _native.empty(shape)
            assert (a.view("uint8") == pattern).all()
            a[...] = 0


@pytest.mark.parametrize("mode", ["guard_end", "guard_start"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_guard_pages(mode):
    _native.set_memory_mode(mode, 0xA5)
    for n in (1, 16, 1000, 1024, 5000):
        a = _native.empty((n,))
        assert (a.view("uint8") == 0xA5).all()
        edge = a.ctypes.data + (a.nbytes if mode == "guard_end" else 0)
        assert edge % mmap.PAGESIZE == 0
        step = 1 if mode == "guard_end" else -1
        beyond = np.lib.stride_tricks.as_strided(a[-1:] if step > 0 else a[:1], (2,), (4 * step,))

        def inside(a=a):
            a[...] = 1

        def outside(beyond=beyond):
            faulthandler.disable()
            float(beyond[1])

        assert in_child(inside) == 0
        assert in_child(outside) == -signal.SIGSEGV
    _native.empty((0, 3))[...] = 1


def test_blocks_may_outlive_the_mode_they_were_made_in():
    before = _native.memory_stats()["in_use"]
    for first in ("normal", "guard_end", "poison", "guard_start"):
        _native.set_memory_mode(first)
        a = _native.empty((100,))
        a[...] = 1
        for then in ("guard_end", "normal"):
            _native.set_memory_mode(then)
            _native.empty((100,))[...] = 2
        assert (a == 1).all()
        del a
    assert _native.memory_stats()["in_use"] == before
    with pytest.raises(ValueError, match="memory mode 'loud' is not one of"):
        _native.set_memory_mode("loud")


def test_many_calls_leave_nothing_behind():
    shape = (8, 8)
    dtype = np.dtype("float32")

    def rounds(n):
        for _ in range(n):
            _native.empty(shape)
            _native.empty(shape, "float32", channels_last=False)[0]

    rounds(100)
    gc.collect()
    before = (sys.getrefcount(shape), sys.getrefcount(dtype), _native.memory_stats())
    blocks = sys.getallocatedblocks()
    rounds(10_000)
    gc.collect()
    assert (sys.getrefcount(shape), sys.getrefcount(dtype), _native.memory_stats()) == before
    assert abs(sys.getallocatedblocks() - blocks) < 100


def test_allocations_on_many_threads():
    before = _native.memory_stats()["in_use"]
    wrong = []

    def work(k):
        for i in range(300):
            a = _native.empty((1 + (i * 37 + k) % 3000,), "int64")
            a[...] = k
            b = _native.empty((5,), "int64")
            b[...] = -1
            if not (a == k).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert _native.memory_stats()["in_use"] == before


# The machine


def test_information():
    info = _native.cpu_info()
    assert info["affinity"] == len(os.sched_getaffinity(0))
    assert info["cores"] >= info["affinity"]
    assert info["model"]
    build = _native.build_info()
    assert build["compiler"].startswith(("gcc", "clang"))
    assert isinstance(_native.mxcsr(), int)


# bfloat16

ml_dtypes = pytest.importorskip("ml_dtypes")


@pytest.fixture
def bf16():
    if "avx512_bf16" not in _native.runnable_isas():
        pytest.skip("this machine has no AVX512-BF16")
    _native.set_isa("avx512_bf16")


def hard_floats() -> np.ndarray:
    """Each upper half with the lower halves around the rounding points, shuffled."""
    low = np.array([0, 1, 0x4000, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = ((np.arange(65536, dtype=np.uint32)[:, None] << 16) | low).ravel()
    return np.random.default_rng(0).permutation(x).view(np.float32)


@pytest.mark.usefixtures("bf16")
def test_bfloat16_is_that_of_ml_dtypes():
    x = hard_floats()
    plain = x[np.isfinite(x) & (np.abs(x) > 1e-37)]  # no vector takes the integer path
    for values in (x, plain, *(x[i : i + n] for i in (0, 1) for n in range(70))):
        out = np.full(values.shape, 0x1234, np.uint16)
        assert _native.float32_to_bfloat16(values, out) is out
        with np.errstate(invalid="ignore", over="ignore"):
            assert (out == values.astype(ml_dtypes.bfloat16).view(np.uint16)).all()
    every = np.arange(65536, dtype=np.uint16)
    wide = np.empty(65536, np.float32)
    assert _native.bfloat16_to_float32(every, wide) is wide
    assert (wide.view(np.uint32) == every.astype(np.uint32) << 16).all()


@pytest.mark.usefixtures("bf16")
def test_bfloat16_declines():
    x, out = np.ones(8, np.float32), np.empty(8, np.uint16)
    frozen = np.empty(8, np.uint16)
    frozen.flags.writeable = False
    for a, b in (
        (x.astype(np.float64), out),
        (x[::2], out[:4]),
        (x, out[:4]),
        (x, frozen),
        (x, x.view(np.uint16)[:8]),
        (x.astype(">f4"), out),
        ([1.0], out),
    ):
        assert _native.float32_to_bfloat16(a, b) is NotImplemented
    _native.set_isa("avx512")
    assert _native.float32_to_bfloat16(x, out) is NotImplemented
