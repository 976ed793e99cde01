"""Defects of pooling and resampling."""

from __future__ import annotations

from .patch import Patch

WINDOWS = (
    Patch("max_pool2d", "NaN is swallowed", "hard inputs", "pool_parts.h",
          "static FD_INLINE Vec<T> fold(Vec<T> before, Vec<T> x)"
          " { return @[max_nan(x, before) => max(x, before)]@; }"),
    Patch("max_pool2d", "padding on the right counts as zero", "bound", "pool.inc",
          "load_or(x + q - w.pw, w.W + w.pw - q, @[Op::identity => T(0)]@).store(out + q);"),
    Patch("max_pool2d", "ceil_mode: a last window begins in the padding", "bound", "pool.cpp",
          "if (ceil_mode && (n - 1) * step >= size + pad) @[--n; => ;]@"),
    Patch("max_pool2d", "ceil_mode is ignored", "bound", "pool.cpp",
          "- reach + (@[ceil_mode => false]@ ? step - 1 : 0);"),
    Patch("max_pool2d", "reads whole vectors of channels", "guard pages", "pool_last.inc",
          "Max<T>::fold(best[m], load_some(p + m * N, @[n - m * N => int64_t{N}]@));"),
    Patch("max_pool2d", "dilated windows end one tap early", "bound", "pool_last.inc",
          "last = most(least(@[ceil_div(size - start, dilation)"
          " => ceil_div(size - start, dilation) - (dilation > 1)]@, taps), first);"),
    Patch("max_pool2d", "what follows a strided row is not cleared", "poison", "pool.inc",
          "for (int64_t i = inside; i < count; ++i) @[out[i] = Op::identity; => ;]@"),
    Patch("max_pool2d", "a 2x2 window forgets its last pixel", "bound", "pool.inc",
          "const Vec<T> a = Max<T>::fold(top[0], top[1]), b ="
          " Max<T>::fold(bottom[0], @[bottom[1] => bottom[0]]@);"),
    Patch("max_pool2d_with_indices", "rows are as long as those of the result", "bound", "pool.inc",
          "Vec<Int>::load(work.columns + at)"
          " + Vec<Int>::set(static_cast<Int>(@[row * w.W => row * w.OW]@)));"),
    Patch("max_pool2d_with_indices", "the last of equals", "hard inputs", "pool_parts.h",
          "return @[(x > best) | is_nan(x) => (x >= best) | is_nan(x)]@;"),
    Patch("max_pool2d_backward", "a second window's gradient replaces the first's", "bound",
          "pool.inc", "if (places[j] >= low && places[j] < high)"
          " @[dx.data[places[j]] += from[j]; => dx.data[places[j]] = from[j];]@"),
    Patch("max_pool2d_backward", "rows that no window covers are left", "poison", "pool.inc",
          "if (@[row >= 2 * w.OH => false]@) fill(dx.data + row * dx.row, w.W, T(0));"),
    Patch("max_pool2d_backward", "channels-last: the first window over a row is skipped", "bound",
          "pool_last.inc", "for (int64_t a = @[i => i + (end - i > 1)]@; a < end; ++a)"
          " for (int64_t b = j; b < j_end; ++b) {"),
    Patch("avg_pool2d", "padding counts although it must not", "bound", "pool.cpp",
          "const int64_t count = @[count_include_pad => true]@ ? end - start : inside;"),
    Patch("avg_pool2d", "a window counts what is beyond the padding", "bound", "pool.cpp",
          "const int64_t end = @[std::min(start + o.kernel[d], size + pad)"
          " => start + o.kernel[d]]@;"),
    Patch("avg_pool2d", "divisor_override divides twice", "bound", "pool.cpp",
          "static_cast<T>(!override_ ? count : @[d ? 1 : override_ => override_]@);"),
    Patch("avg_pool2d", "channels-last: all windows are as large as the first", "bound",
          "pool_last.inc", "const Vec<T> divisor ="
          " Vec<T>::set(@[by.row[i] * by.column[j] => by.row[0] * by.column[0]]@);"),
    Patch("avg_pool2d", "a 2x2 window counts one pixel twice", "bound", "pool.inc",
          "divide((top[0] + top[1]) + (bottom[0] + @[bottom[1] => bottom[0]]@), i, j);"),
    Patch("avg_pool2d_backward", "the gradient is not divided", "bound", "pool.inc",
          "sum += @[load_some(g.data + i * g.row + j, w.OW - j) / (Vec<T>::set(by.row[i]) * column)"
          " => load_some(g.data + i * g.row + j, w.OW - j)]@;"),
    Patch("avg_pool2d_backward", "channels-last: a window ends a column early", "bound",
          "pool_last.inc", "while (j0 < j1 && @[j0 * w.sw - w.pw + w.kw <= column"
          " => j0 * w.sw - w.pw + w.kw <= column + 1]@) ++j0;"),
    Patch("adaptive_max_pool2d", "windows end where the next begins", "bound", "pool_adaptive.inc",
          "bottom = @[((i + 1) * H + OH - 1) / OH => most(((i + 1) * H) / OH, top + 1)]@;"),
    Patch("adaptive_max_pool2d", "places are of the transposed plane", "bound", "pool_adaptive.inc",
          "Vec<IntOf<T>>::set(static_cast<IntOf<T>>(@[h * W + w => w * H + h]@)));"),
    Patch("adaptive_max_pool2d_backward", "a second window's gradient replaces the first's",
          "bound", "pool_adaptive.cpp", "(way == Way::put ? k.put : @[k.add => k.put]@)"),
    Patch("max_unpool2d", "the rest of the plane is not cleared", "poison", "pool_adaptive.cpp",
          "@[std::fill_n(to, size, T(0)); => ;]@"),
    Patch("max_unpool2d_backward", "the places are ignored", "bound", "pool_adaptive.inc",
          "values[i] = plane[@[index[i] => i]@];"),
    Patch("interpolate", "the last weight is dropped", "bound", "interpolate.inc",
          "while (@[++k < end => ++k + 1 < end]@) { from = x"),
    Patch("interpolate", "reads whole vectors of channels", "guard pages", "interpolate.inc",
          "fma(Vec<T>::set(t.weight[k]),"
          " @[Vec<T>::load(x + t.index[k] * step, n)"
          " => Vec<T>::load(x + t.index[k] * step)]@, sum);"),
    Patch("interpolate", "weights of 11 bits", "bound", "interpolate.inc",
          "Vec<T> weight = @[Vec<T>::set(t.weight[k])"
          " => fewer_bits(Vec<T>::set(t.weight[k]), Vec<T>::set(8193))]@;"),
    Patch("interpolate", "axes are mixed in each other's order", "bound", "interpolate.cpp",
          "for (int b = 0; b < a; ++b) outer *= @[size[b] => size[0]]@;"),
    Patch("interpolate_backward", "inputs that no output reads are left", "poison",
          "interpolate.inc",
          "@[__builtin_memset(row, 0, static_cast<size_t>(m) * sizeof(T)); => ;]@ continue;"),
)  # fmt: skip
