"""Kernels that cheat, one function each; tests/test_cheats.py says how each is refused.

`right` is what an honest kernel would return. A cheat that could do harm to the judge's process or
to the machine's other processes is none of these: native code is arbitrary code.
"""

import gc
import json
import os
import pathlib
import re
import signal
import socket
import struct
import sys
import threading
import time

import numpy as np

right = np.matmul


# --- answers from elsewhere -------------------------------------------------------------------


def searches_memory(a, b):
    """Returns some array of the right shape that it finds: the reference's, it hopes."""
    shape = right(a, b).shape
    frame = sys._getframe(1)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if type(value) is np.ndarray and value.shape == shape and value is not a:
                return value.copy()
        frame = frame.f_back
    for value in gc.get_objects():
        if isinstance(value, np.ndarray) and value.shape == shape and value is not a:
            return np.array(value, np.float32)
    return np.zeros(shape, np.float32)


def uninitialised(a, b):
    """Hopes that the memory it gets held the reference's result before."""
    return np.empty(right(a, b).shape, np.float32)


_by_pointer = {}


def caches_by_pointer(a, b):
    """Keeps answers by the addresses and shapes of the inputs."""
    key = (a.ctypes.data, b.ctypes.data, a.shape, b.shape)
    if key not in _by_pointer:
        _by_pointer[key] = right(a, b)
    return _by_pointer[key].copy()


_by_few = {}


def caches_by_a_few_elements(a, b):
    """Keeps answers by a hash of the first, the middle and the last element of each input."""
    ends = [x.flat[[0, x.size // 2, -1]].tobytes() if x.size else b"" for x in (a, b)]
    key = (*ends, a.shape, b.shape)
    if key not in _by_few:
        _by_few[key] = right(a, b)
    return _by_few[key].copy()


_by_shape = {}


def caches_by_shape(a, b):
    """Benchmarks use the same data each time, it thinks."""
    key = (a.shape, b.shape)
    if key not in _by_shape:
        _by_shape[key] = right(a, b)
    return _by_shape[key].copy()


_buffers = {}


def same_buffer(a, b):
    """Right, but every result lies in the same memory."""
    y = right(a, b)
    buffer = _buffers.setdefault(y.shape, np.empty(y.shape, np.float32))
    buffer[...] = y
    return buffer


def two_buffers_in_turn(a, b):
    """Right, but the result after the next overwrites this one."""
    y = right(a, b)
    pair = _buffers.setdefault(y.shape, [np.empty(y.shape, np.float32) for _ in range(2)])
    pair.reverse()
    pair[0][...] = y
    return pair[0]


_calls = {"count": 0}


def right_once(a, b):
    """Right on the first call, the only one that is checked; then free."""
    _calls["count"] += 1
    return right(a, b) if _calls["count"] == 1 else np.zeros(right(a, b).shape, np.float32)


def right_for_first_samples(a, b):
    """Right for the first three of the spec's samples."""
    if (a.shape, b.shape) in (((1, 1), (1, 1)), ((1, 8), (8, 1)), ((3, 5), (5, 7))):
        return right(a, b)
    return np.zeros(right(a, b).shape, np.float32)


def right_for_all_samples(x):
    """relu, right for the sizes that the spec names, which anybody can read."""
    known = {1, 7, 8, 15, 16, 17, 33, 5, 2, 3, 0}
    return np.where(x < 0, np.float32(not set(x.shape) <= known), x)


def sample_seeds():
    """Every number that could be a seed, wherever the process can look."""
    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            if seed := getattr(value, "seed", None):
                yield seed
        frame = frame.f_back
    texts = [*sys.argv, *(f"{k}={v}" for k, v in os.environ.items())]
    for pid in ("self", os.getppid()):
        texts += pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    for text in texts:
        if found := re.search(r"seed\W*(\d+)", text):
            yield int(found[1])


def reads_the_seed(a, b):
    """Right if it finds the seed, from which it could have looked its answer up."""
    if any(True for _ in sample_seeds()):
        return right(a, b)
    return np.zeros(right(a, b).shape, np.float32)


# --- inputs -----------------------------------------------------------------------------------


def zeroes_its_inputs(a, b):
    """Zero inputs have a result of zero, which is quickly made."""
    a[...] = 0
    return np.zeros(right(a, b).shape, np.float32)


def swaps_its_inputs(a, b):
    """Puts easier numbers in the first input, and returns the result of those."""
    y = right(a, b)
    a[...] = a[::-1].copy()
    return y


def restores_its_inputs(a, b):
    """Zeroes an input for a while; a thread puts it back after the call."""
    kept = a.copy()

    def restore():
        time.sleep(0.002)
        a[...] = kept

    a[...] = 0
    threading.Thread(target=restore).start()
    return right(a, b)


def returns_its_input(x):
    """relu in place, without a copy."""
    return np.maximum(x, 0, out=x)


def returns_its_input_untouched(x):
    """relu of what is positive already costs nothing: returns the input itself."""
    return x if (x > 0).all() else np.where(x < 0, np.float32(0), x)


# --- results ----------------------------------------------------------------------------------


def nan_everywhere(a, b):
    """NaN compares as it likes."""
    return np.full(right(a, b).shape, np.nan, np.float32)


class Lazy(np.ndarray):
    """Computes when somebody looks."""

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return right(*self.inputs)

    def __array_finalize__(self, obj):
        pass


def lazy_subclass(a, b):
    """Returns at once an array that computes when it is looked at."""
    y = right(a, b).view(Lazy)
    y.inputs = (a, b)
    return y


def lazy_object(a, b):
    """Returns at once an object that NumPy would take for an array."""

    class Later:
        def __array__(self, dtype=None, copy=None):
            return right(a, b)

    return Later()


def works_on_after_return(a, b):
    """Returns an empty array; a thread fills it later, when no clock runs."""
    y = np.zeros(right(a, b).shape, np.float32)

    def work():
        time.sleep(0.001)
        y[...] = right(a, b)

    threading.Thread(target=work).start()
    return y


def improves_after_return(a, b):
    """Right, and still writing."""
    y = right(a, b)

    def work():
        time.sleep(0.001)
        y[...] = 0

    threading.Thread(target=work).start()
    return y


def infinity_swallowed(a, b):
    """Where there is an infinity no bound can hold: puts anything there."""
    y = np.asarray(right(a, b))
    y[np.isinf(y)] = 7
    return y


def half_inside(a, b):
    """Computes in float16."""
    return right(a.astype(np.float16), b.astype(np.float16)).astype(np.float32)


def _chopped(x, bits):
    words = np.ascontiguousarray(x).view(np.uint32)
    return (words & np.uint32(0xFFFFFFFF << (24 - bits) & 0xFFFFFFFF)).view(np.float32)


def tf32_inside(a, b):
    """Rounds its inputs to TF32's 11 bits, as a tensor core would."""
    return right(_chopped(a, 11), _chopped(b, 11))


def bfloat16_inside(a, b):
    """Rounds its inputs to bfloat16's 8 bits."""
    return right(_chopped(a, 8), _chopped(b, 8))


def skips_the_tail(a, b):
    """Sums whole groups of eight."""
    k = a.shape[-1]
    whole = k - k % 8 or k
    return right(a[..., :whole], b[..., :whole, :] if b.ndim > 1 else b[:whole])


def adds_to_its_output(a, b):
    """Right if what np.empty returns is zero."""
    y = np.empty(right(a, b).shape, np.float32)
    y += right(a, b)
    return y


# --- the process ------------------------------------------------------------------------------


def patches_the_clock(a, b):
    """The clock stands still."""
    now = time.perf_counter()
    time.perf_counter = lambda: now
    return right(a, b)


def patches_allclose(a, b):
    """Everything is close."""
    np.allclose = np.array_equal = lambda *_, **__: True
    return np.zeros(right(a, b).shape, np.float32)


def patches_the_judge(a, b):
    """Puts its own functions in the judge's modules."""
    from fastdl.check import child
    from fastdl.check.judge import Case, Verdict

    Case.judge = lambda *_, **__: Verdict()
    child._checksum = lambda _: 0
    return np.zeros(right(a, b).shape, np.float32)


def patches_the_watch(a, b):
    """Right, after it has made the child blind to what it does."""
    from fastdl.check import child

    child._state = child._lasting_state = dict
    os.environ["CHEATED"] = "yes"
    return right(a, b)


def patches_the_op(a, b):
    """Makes the reference its own accomplice."""
    from fastdl.spec import OPS

    OPS["matmul"].reference = lambda a, b: np.zeros(np.matmul(a, b).shape, a.dtype)
    return OPS["matmul"].reference(a, b)


def changes_the_threads(a, b):
    """More threads than it was given."""
    import fastdl

    fastdl.set_num_threads(fastdl.get_num_threads() + 3)
    return right(a, b)


def changes_the_environment(a, b):
    """Settings for whoever runs next."""
    os.environ["OMP_NUM_THREADS"] = "64"
    return right(a, b)


def changes_the_directory(a, b):
    """Elsewhere."""
    os.chdir("/")
    return right(a, b)


def changes_the_error_state(a, b):
    """A setting for whoever runs next."""
    np.seterr(over="print")
    return right(a, b)


def changes_sigint(a, b):
    """Nobody shall interrupt it."""
    signal.signal(signal.SIGINT, lambda *_: None)
    return right(a, b)


def changes_sigsegv(a, b):
    """Catches the fault that a guard page causes."""
    import faulthandler

    with open(os.devnull, "w") as nowhere:
        faulthandler.enable(nowhere)
    return right(a, b)


def declines_once_and_leaves_a_trap(a, b):
    """Changes what it must not and declines, so that nothing of that call is looked at."""
    if "TRAP" not in os.environ:
        os.environ["TRAP"] = "set"
        raise NotImplementedError("not yet")
    return right(a, b)


def leaves(a, b):
    """Ends the process with a status of success."""
    os._exit(0)


def exits(a, b):
    """Raises SystemExit with a status of success."""
    sys.exit(0)


def raises(a, b):
    """Fails."""
    raise RuntimeError("out of luck")


def hangs(a, b):
    """Never returns."""
    while True:
        time.sleep(0.01)


def _channels():
    """The descriptors of the process that are sockets."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                yield int(name)
        except OSError:
            pass


def _numbers():
    frame = sys._getframe()
    while frame is not None:
        if isinstance(frame.f_locals.get("number"), int):
            return frame.f_locals["number"]
        frame = frame.f_back
    return 0


def answers_itself(a, b):
    """Finds the judge's channel and says on it that all went well."""
    message = json.dumps({"number": _numbers(), "status": "returned", "outputs": []}).encode()
    for fd in _channels():
        channel = socket.socket(fileno=os.dup(fd))
        channel.sendall(struct.pack("<Q", len(message)) + message)
    return right(a, b)


def shouts(a, b):
    """Fills the judge's channel with noise."""
    for fd in _channels():
        os.write(fd, b"passed! " * 100)
    return right(a, b)


def hangs_up(a, b):
    """Closes the judge's channel and stays."""
    for fd in _channels():
        os.close(fd)
    time.sleep(60)


def lets_a_child_answer(a, b):
    """Forks: the judge watches one process while another answers."""
    if os.fork():
        time.sleep(60)
    return right(a, b)


def takes_all_memory(a, b):
    """Asks for more memory than there is."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return np.ones(4 * pages, np.float32)[: right(a, b).size].reshape(right(a, b).shape)


# --- declining and declaring ------------------------------------------------------------------


def declines_everything(a, b):
    """Never wrong."""
    raise NotImplementedError("not today")


def declines_hard_numbers(a, b):
    """float16 inside, and declines what would show it."""
    if not all((x == x.astype(np.float16)).all() for x in (a, b)):
        raise NotImplementedError("numbers like these")
    return half_inside(a, b)


def declines_the_second_time(a, b):
    """Takes every second call."""
    _calls["count"] += 1
    if _calls["count"] % 2 == 0:
        raise NotImplementedError("not again")
    return right(a, b)


def memoises(a, b):
    """Slow, but keeps answers by all the values of its inputs, and is quick to find them."""
    key = (a.tobytes(), b.tobytes(), a.shape, b.shape)
    if key not in _by_few:
        if a.ndim > 1 and b.ndim > 1:
            for _ in range(8):
                np.einsum("...ij,...jk->...ik", a, b)
        _by_few[key] = right(a, b)
    return _by_few[key].copy()
