"""Defects of matrix products, convolutions and attention."""

from __future__ import annotations

from .patch import Patch

PRODUCTS = (
    # --- matmul, linear ---
    Patch("matmul", "the last term is dropped", "integers", "matmul.inc",
          "for (int64_t k = 0; k < @[k_size => k_size - (k_size > 1)]@; ++k) { V bk[NV];"),
    Patch("matmul", "TF32 inputs", "bound", "matmul.inc",
          "const V ai = @[V::set(a[i / 3][i % 3 * row])"
          " => fewer_bits(V::set(a[i / 3][i % 3 * row]), V::set(8193))]@;"),
    Patch("matmul", "a float16 accumulator", "bound", "matmul.inc",
          "sum[i][j] = @[fma(ai, bk[j], sum[i][j])"
          " => fewer_bits(fma(ai, bk[j], sum[i][j]), V::set(8193))]@;"),
    Patch("matmul", "b is rounded to bfloat16", "bound", "matmul.inc",
          "bk[j] = @[LastB == Load::partial && j == NV - 1 ? V::load(b + j * N, last)"
          " : V::load(b + j * N) => fewer_bits(LastB == Load::partial && j == NV - 1"
          " ? V::load(b + j * N, last) : V::load(b + j * N), V::set(65537))]@;"),
    Patch("matmul", "reads whole vectors at the end of rows of b", "guard pages", "matmul.inc",
          "bk[j] = @[LastB == Load::partial && j == NV - 1 ? V::load(b + j * N, last)"
          " : V::load(b + j * N) => V::load(b + j * N)]@;"),
    Patch("matmul", "stores whole vectors at the end of rows", "guard pages", "matmul.inc",
          "if (@[whole => true]@) sum[i][NV - 1].store(end);"),
    Patch("matmul", "stops one column early", "poison", "matmul.inc",
          "else sum[i][NV - 1].store(end, @[last => last - 1]@);"),
    Patch("linear", "reads past the rows that it transposes", "guard pages", "matmul.inc",
          ": @[V::load(from + i * w_stride, rest) => V::load(from + i * w_stride)]@;"),
    Patch("matmul", "a gathered panel ends one column early", "strides", "matmul.inc",
          "panels[k * width + w] = @[w < count => w < count - (count > 1)]@ ?"),
    Patch("linear", "the bias is forgotten where x has few rows", "bound", "matmul_few.h",
          "if (epilogue.column_bias) sum += @[epilogue.column_bias[j] => T(0)]@;"),
    Patch("linear", "the last terms of few rows are dropped", "integers", "matmul_few.h",
          "if (@[rest => false]@) step(k, U - 1, [rest](const T* p)"),
    Patch("matmul", "later terms of few rows replace the earlier ones", "integers", "matmul_few.h",
          "for (int i = 0; i < M; ++i) sum[i] = @[first => true]@ ? V::zero() :"),
    Patch("matmul", "batches of b are as far apart as those of a", "bound", "matmul.cpp",
          "for (int x = 0; x < 3; ++x)"
          " offset[x] += i * @[stride[x][d] => stride[x == 1 ? 0 : x][d]]@;"),
    Patch("linear", "a bias with a stride is read without it", "strides", "matmul.cpp",
          "scratch.as<T>()[j] = bias->ptr<T>()[j * @[bias_stride => 1]@];"),
    # --- conv ---
    Patch("conv2d", "only the last block of terms counts", "integers", "matmul.inc",
          "if (@[epilogue.accumulate => false]@) {"),
    Patch("conv2d", "the bias is added to every block of terms", "bound", "conv.inc",
          "if (@[first == 0 => true]@ && v.bias) epilogue.column_bias ="),
    Patch("conv2d", "the bias is forgotten in NCHW", "bound", "conv.inc",
          "if (first == 0 && @[v.bias => static_cast<const T*>(nullptr)]@) epilogue.row_bias ="),
    Patch("conv2d", "left padding is not cleared", "poison", "conv.inc",
          "clear(to, @[left * plan.pixel => 0]@);"),
    Patch("conv2d", "rows below the image are read", "bound", "conv.inc",
          "if (y < 0 || @[y >= v.H => y > v.H]@) continue;"),
    Patch("conv2d", "strided columns before the image are rounded towards it", "bound", "conv.inc",
          ": @[floor_div(tap.dx, v.stride_w) => tap.dx / v.stride_w]@;"),
    Patch("conv2d", "paddings before and after are exchanged", "bound", "conv.cpp",
          "taps.push_back({r * o.dilation[0] - @[o.before[0] => o.after[0]]@,"),
    Patch("conv2d", "the dilation of columns is that of rows", "bound", "conv.cpp",
          "s * @[o.dilation[1] => o.dilation[0]]@ - o.before[1],"),
    Patch("conv2d", "groups share the weights of the first", "bound", "conv.cpp",
          "v.wg = @[v.K * v.wk => 0]@;"),
    Patch("conv2d", "even and odd columns are exchanged", "bound", "conv_depthwise.inc",
          "@[even => odd]@.store(to + j); odd.store(to + plan.columns + j);"),
    Patch("conv2d", "the bias is forgotten where it is depthwise", "bound", "conv_depthwise.inc",
          "const V bias = V::set(@[v.bias ? v.bias[u.channel] : T(0) => T(0)]@);"),
    Patch("conv2d", "depthwise weights of the last lane are zero", "bound", "conv_depthwise.inc",
          "w[t * V::N + j] = @[j < u.lanes => j < u.lanes - 1]@ ?"),
    Patch("conv2d", "reads whole vectors of channels", "guard pages", "conv_depthwise.inc",
          "@[V::load(from + j * v.xw, u.lanes) => V::load(from + j * v.xw)]@.store(into + j * N);"),
    Patch("conv2d_input_grad", "the dilation is ignored", "bound", "conv.cpp",
          "const int64_t reach = residue + o.before[i] - r * @[o.dilation[i] => 1]@;"),
    Patch("conv2d_input_grad", "the last rows under a stride are left", "poison", "conv.cpp",
          "v.P = @[ceil_div(dx.shape[2] - i, o.stride[0])"
          " => (dx.shape[2] - i) / o.stride[0]]@;"),
    Patch("conv2d_input_grad", "pixels that no tap meets are left", "poison", "conv.cpp",
          "if (@[zeros => false]@) fill<T>(dx, b);"),
    Patch("conv2d_input_grad", "the kernel is not turned round", "bound", "conv.cpp",
          "taps.push_back({r.shift, s.shift,"
          " @[r.r => w.shape[2] - 1 - r.r]@ * w.stride[2] + s.r * w.stride[3]});"),
    Patch("conv_transpose2d", "the bias is forgotten", "bound", "conv.cpp",
          "input_grad<float>(xa, wa, @[biased ? &ba : nullptr => nullptr]@, ya, o);"),
    Patch("conv_transpose2d", "output_padding is added on both sides", "bound", "conv.cpp",
          "shape[2 + i] = steps - o.before[i] - o.after[i] + reach"
          " + @[more[i] => 2 * more[i]]@ + 1;"),
    Patch("conv2d_weight_grad", "a row below the image is read", "bound", "conv_grad.inc",
          "const bool inside = y >= 0 && @[y < v.H => y <= v.H]@;"),
    Patch("conv2d_weight_grad", "only the last block of pixels counts", "integers", "conv_grad.inc",
          "epilogue.accumulate = @[block > c.block0 => false]@;"),
    Patch("conv2d_weight_grad", "the last part of the sum is dropped", "integers", "conv_grad.inc",
          "for (int64_t z = 1; z < @[parts => parts - 1]@; ++z)"),
    Patch("conv2d_weight_grad", "the cut follows the number of threads", "threads", "conv_grad.cpp",
          "const int64_t chunk_blocks = @[ceil_div(blocks, std::min(wanted, blocks))"
          " => ceil_div(blocks, std::min<int64_t>(num_threads(), blocks))]@;"),
    Patch("conv2d_weight_grad", "windows right of the image are read", "bound", "conv_grad.inc",
          "int64_t high = v.W > tap.dx ? @[least(b.q1, (v.W - 1 - tap.dx) / v.stride_w + 1)"
          " => b.q1]@ : b.q0;"),
    Patch("conv3d", "the first tap of a plane has the weight of the second", "bound", "conv.inc",
          "mm.pack(channels * taps, m, w + v.tap[@[t0 => t0 + (taps > 1)]@].w,"
          " v.wk, 1, packed, m);"),
    # --- attention ---
    Patch("scaled_dot_product_attention", "causal: a query does not see its own key", "bound",
          "attention.inc", "const int64_t seen = i + b.diagonal + @[1 => 0]@;"),
    Patch("scaled_dot_product_attention", "causal: a query sees the next key", "bound",
          "attention.inc", "const int64_t seen = i + b.diagonal + @[1 => 2]@;"),
    Patch("scaled_dot_product_attention", "an additive mask only hides", "bound",
          "attention.inc", "select(m == V::set(-kInf<T>), m, @[v + m => v]@);"),
    Patch("scaled_dot_product_attention", "earlier blocks are not scaled down", "bound",
          "attention.inc", "if (@[next != top => false]@) {"),
    Patch("scaled_dot_product_attention", "the sum of earlier blocks is not scaled down", "bound",
          "attention.inc", "sum = @[sum * factor[0] => sum]@;"),
    Patch("scaled_dot_product_attention", "a row that sees nothing is divided by zero", "bound",
          "attention.inc", "const V factor = V::set(@[sum == 0 => false]@ ? T(0) : T(1) / sum);"),
    Patch("scaled_dot_product_attention", "dropout does not scale up what it keeps", "bound",
          "attention.cpp", "b.keep = p < 1 ? @[1 / (1 - p) => 1.0]@ : 0;"),
    Patch("scaled_dot_product_attention", "0 times a hidden infinity", "hard inputs",
          "attention.cpp", "if (@[careful => false]@) kernels.careful[which]("
          " {b, scores, v + j * c.ld(c.v)"),
    Patch("scaled_dot_product_attention", "heads of v follow those of k", "bound",
          "attention.cpp",
          "const T* v = c.v.ptr<T>() + @[c.head(c.v, head) => c.head(c.k, head)]@;"),
    Patch("scaled_dot_product_attention", "the maximum is not taken off", "hard inputs",
          "attention.inc", "const T shift = next == -kInf<T> ? T(0) : @[next => next / 2]@;"),
    Patch("scaled_dot_product_attention_backward", "the scale is forgotten", "bound",
          "attention.inc", "store_first(@[p * fma(d, factor, -dots) * scale"
          " => p * fma(d, factor, -dots)]@, dp + j, lanes);"),
    Patch("scaled_dot_product_attention_backward", "the mean gradient is not taken off", "bound",
          "attention.inc", "store_first(@[p * fma(d, factor, -dots) * scale"
          " => p * (d * factor) * scale]@, dp + j, lanes);"),
    Patch("scaled_dot_product_attention_backward", "only the last block of queries counts", "bound",
          "attention.cpp", "dkj, c.ld(dk), columns, c.depth, @[more => false]@);"),
)  # fmt: skip
