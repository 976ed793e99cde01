"""Defects of elementwise ops, data movement, embeddings and random numbers."""

from __future__ import annotations

from .patch import Patch

ELEMENTS = (
    # --- elementwise ---
    Patch("relu", "NaN becomes zero", "hard inputs", "elementwise.inc",
          "[](T x) { return @[x < 0 ? T(0) : x => x > 0 ? x : T(0)]@; }"),
    Patch("relu", "-0 becomes 0", "hard inputs", "elementwise.inc",
          "[](T x) { return @[x < 0 ? T(0) : x => x <= 0 ? T(0) : x]@; }"),
    Patch("mul", "denormal results are flushed to zero", "hard inputs", "elementwise.inc",
          "(out, in, n, [](W a, W b) { return @[a * b => W(0.5) != 0 && a * b < W(1e-38)"
          " && -(a * b) < W(1e-38) ? W(0) : a * b]@; });"),
    Patch("le", "equal numbers are not less or equal", "hard inputs", "elementwise.inc",
          "return @[a <= b => a < b]@; });"),
    Patch("where", "the choices are exchanged", "bound", "elementwise.inc",
          "o[i] = @[c[i] ? x : y => c[i] ? y : x]@;"),
    Patch("tanh_backward", "1 - y", "bound", "elementwise.inc",
          "return g * (one - @[y * y => y]@); });"),
    Patch("relu_backward", "a NaN stops the gradient", "hard inputs", "elementwise.inc",
          "return @[y <= zero ? zero : g => y > zero ? g : zero]@; });"),
    Patch("sigmoid_backward", "the factor 1 - y is forgotten", "bound", "elementwise.inc",
          "return g * @[((one - y) * y) => y]@; });"),
    Patch("exp", "the last partial vector is not written", "poison", "elementwise.inc",
          "for (; @[i < n => i + V::N <= n]@; i += V::N) { const int m = n - i < V::N"
          " ? static_cast<int>(n - i) : V::N; f(V::load(a + i, m))"),
    Patch("exp", "denormal results are too large", "hard inputs", "math.inc",
          "x = max(V::set(@[ExpOf<T>::lowest => T(-87)]@), min(V::set(ExpOf<T>::highest), x));"),
    Patch("exp", "ln 2 in one part", "hard inputs", "math.inc",
          "const V exact = fnma(n, V::set(C::ln2_high), x), low ="
          " @[V::set(C::ln2_low) => fewer_bits(V::set(C::ln2_low), V::set(131073))]@;"),
    Patch("log", "denormals are not scaled up", "hard inputs", "math.inc",
          "offset = select(tiny, V::set(@[C::up_bits => 0]@), offset);"),
    Patch("log1p", "log of 1 + x", "bound", "elementwise_math.inc",
          "FD_OP1(Log1p, return @[log1p(x) => log(number<V>(1) + x)]@;)"),
    Patch("expm1", "exp minus 1", "bound", "elementwise_math.inc",
          "FD_OP1(Expm1, return @[expm1(x) => exp(x) - number<V>(1)]@;)"),
    Patch(
        "sigmoid",
        "small results are 1 minus 1 minus them",
        "bound",
        "math.inc",
        "return @[select(x < V::zero(), lower, one - lower)"
        " => one - select(x < V::zero(), one - lower, lower)]@;",
    ),
    Patch("round", "halves go up", "bound", "elementwise_math.inc",
          "FD_OP1(Round, return @[round(x) => floor(x + number<V>(0.5))]@;)"),
    Patch("sign", "NaN has the sign of 1", "hard inputs", "elementwise_math.inc",
          "return select(x > zero, number<V>(1), select(@[x < zero => !(x == zero)]@,"
          " number<V>(-1), zero));)"),
    Patch("isinf", "minus infinity is finite", "hard inputs", "elementwise_math.inc",
          "return @[__builtin_fabs(t) => t]@ == __builtin_inf();)"),
    Patch("maximum", "NaN is swallowed", "hard inputs", "elementwise_math.inc",
          "FD_OP2(Maximum, a, b, return @[max_nan(a, b) => max(b, a)]@;)"),
    Patch("clamp", "NaN is swallowed", "hard inputs", "elementwise_math.inc",
          "FD_OP3(Clamp, x, low, high, return @[min_nan(max_nan(x, low), high)"
          " => min(max(x, low), high)]@;)"),
    Patch("remainder", "the sign is the dividend's", "bound", "elementwise_math.inc",
          "return @[select(other, r + b, r) => r]@;)"),
    Patch("floor_divide", "division by zero", "hard inputs", "elementwise_math.inc",
          "return @[select(b == zero, a / b, y) => y]@;)"),
    Patch("floor_divide", "integers are rounded to zero", "bound", "elementwise_math.inc",
          "return static_cast<V>(quotient(a, b)"
          " - @[(r != V(0) && (r < V(0)) != (b < V(0))) => 0]@);)"),
    Patch("pow", "an odd power of -1 is 1", "bound", "elementwise_math.inc",
          "return static_cast<V>(a != V(-1) ? 0 : @[b % 2 ? -1 : 1 => 1]@);"),
    Patch("addcmul", "the value is forgotten", "bound", "elementwise_math.inc",
          "return x + @[o[0] * a * b => a * b]@;)"),
    Patch("lerp", "a weight beyond 1/2 from the far end", "bound", "elementwise_math.inc",
          "return select(abs(w) < number<V>(0.5), a + w * gap,"
          " b - gap * @[(one - w) => (w)]@);)"),
    Patch("gelu", "the tanh formula", "bound", "elementwise_activation.inc",
          "FD_OP1(Gelu, return number<V>(0.5) * x * (number<V>(1) +"
          " @[erf(x * number<V>(kRootHalf)) => tanh(number<V>(kTanhScale) * (x"
          " + number<V>(kTanhCube) * x * x * x))]@);)"),
    Patch("gelu_backward", "the density is forgotten", "bound", "elementwise_activation.inc",
          "return g * (@[below + x * (exp(-half * x * x) * number<V>(kNormal)) => below]@);)"),
    Patch("silu_backward", "the sign of the second term", "bound", "elementwise_activation.inc",
          "return g * (s * (one + @[x * (one - s) => -(x * (one - s))]@));)"),
    Patch("softplus", "beta does not divide", "bound", "elementwise_activation.inc",
          "@[log_one_plus_exp(t) / o[0] => log_one_plus_exp(t)]@);)"),
    Patch("logsigmoid", "exp overflows", "hard inputs", "elementwise_activation.inc",
          "FD_OP1(LogSigmoid, return @[min(number<V>(0), x) - log1p(exp(-abs(x)))"
          " => -log1p(exp(-x))]@;)"),
    Patch("leaky_relu", "the slope is ignored", "bound", "elementwise_activation.inc",
          "FD_OP1(LeakyRelu, return select(x > number<V>(0), x, @[x * o[0] => number<V>(0)]@);)"),
    Patch("elu", "alpha is ignored", "bound", "elementwise_activation.inc",
          "expm1(x * o[2]) * @[(o[0] * o[1]) => o[1]]@, x * o[1]);)"),
    Patch("hardswish_backward", "the slope is halved", "bound", "elementwise_activation.inc",
          "const V inside = g * (x / three + number<V>(@[0.5 => 0.25]@));"),
    Patch("mish", "the sigmoid in place of tanh of softplus", "bound", "elementwise_activation.inc",
          "FD_OP1(Mish, return x * @[tanh_softplus(x) => sigmoid(x)]@;)"),
    Patch("abs", "reads whole vectors at the end", "guard pages", "elementwise_parts.h",
          "return V::load(x.p[k] + i * x.move[k], @[m => V::N]@);"),
    Patch("square", "writes whole vectors at the end", "guard pages", "elementwise_parts.h",
          "}).store(y + i, @[m => V::N]@);"),
    Patch("add", "an operand of one row is walked along", "bound", "plan.cpp",
          "step[k] = own < 0 || @[a.shape[own] == 1 => false]@ ? 0 : a.stride[own];"),
    Patch("copy", "reads the element after the last of every second", "strides", "elementwise.inc",
          "for (; @[i + V::N < n => i + V::N <= n]@; i += V::N) {"),
    Patch("copy", "the rest of a transposed tile repeats a row", "strides", "elementwise.inc",
          "o[(i + k) * out_row + j] = a[j * in_column + @[i + k => i]@];"),
    # --- shape ---
    Patch("tril", "the diagonal is zero", "bound", "shape.cpp",
          "row + far + @[(lower ? 1 : 0) => 0]@, 0, columns);"),
    Patch("cat", "the order of memory is that of the first alone", "bound", "shape.cpp",
          "channels_last = @[channels_last && is_channels_last(part) => is_channels_last(part)]@;"),
    Patch("gather", "one index holds for a whole run", "bound", "shape_index.inc",
          "y[j * r.ys] = x[j * r.xs + @[index[j * r.is] => index[0]]@ * r.axis];"),
    Patch("index_select", "the last element of a run is not copied", "poison", "shape_index.inc",
          "__builtin_memcpy(y, x, static_cast<size_t>(@[r.n => r.n - 1]@) * sizeof(T));"),
    Patch("scatter_add", "a second addition replaces the first", "bound", "shape_index.inc",
          "@[to += value; => to = value;]@"),
    Patch("scatter", "the first of two that meet stays", "bound", "shape_index.inc",
          "@[put<adds>(y[j * r.ys + r.index[j * r.is] * r.axis], source[j * r.ss]); =>"
          " const int64_t b = r.n - 1 - j;"
          " put<adds>(y[b * r.ys + r.index[b * r.is] * r.axis], source[b * r.ss]);]@"),
    Patch("sort", "-0 comes before 0", "hard inputs", "shape_sort.cpp",
          "@[word &= ~(Word(size != 0) - 1); => ;]@"),
    Patch("sort", "equal numbers change places", "hard inputs", "shape_sort.cpp",
          "(key == b.key && @[place < b.place => place > b.place]@); }", dtype="float64"),
    Patch("sort", "NaN is not the largest", "hard inputs", "shape_sort.cpp",
          "| -Word(@[size > infinity => size == infinity]@);"),
    Patch("topk", "candidates are dropped with the best of them", "bound", "shape_sort.cpp",
          "last = F::key(items[@[r.k - 1 => 0]@]);"),
    # --- embedding ---
    Patch("embedding", "rows follow each other, whatever the stride", "strides", "embed.cpp",
          "weight.ptr<char>() + at[i] * @[stride => row]@,"),
    Patch("embedding_backward", "the padding's row has a gradient", "bound", "embed.cpp",
          "n = @[r == padding => false]@ ? 0 : begin[r] - first;"),
    Patch("embedding_backward", "frequency is ignored", "bound", "embed.cpp",
          "by_frequency ? @[1.0 / static_cast<double>(n) => 1.0]@ : 1.0;"),
    Patch("embedding_backward", "of equal indices the last counts", "integers", "embed.inc",
          "@[sum += lanes == V::N ? V::load(row) : V::load(row, lanes);"
          " => sum = lanes == V::N ? V::load(row) : V::load(row, lanes);]@"),
    Patch("embedding_backward", "reads whole vectors at the end of rows", "guard pages",
          "embed.inc", "@[sum += lanes == V::N ? V::load(row) : V::load(row, lanes);"
          " => sum += V::load(row);]@"),
    Patch("embedding_backward", "rows that no index names are left", "poison", "embed.cpp",
          "@[std::memset(to, 0, static_cast<size_t>(width * item)); => ;]@"),
    # --- random ---
    Patch("uniform", "begins at zero", "bound", "random.inc",
          "store_first(@[fma(u[r], range, low) => u[r] * range]@,"),
    Patch("uniform", "flush-to-zero stays on", "state", "random.inc",
          "const V low = @[V::set(static_cast<T>(s.a)) =>"
          " (__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040),"
          " V::set(static_cast<T>(s.a)))]@;"),
    Patch("normal", "the radius lacks a factor of sqrt 2", "bound", "random.inc",
          "const V radius = sqrt(V::set(@[-2 => -1]@) * log("),
    Patch("normal", "a quarter turn has the wrong sign", "bound", "random.inc",
          "cosine = select(@[below => odd]@, -cosine, cosine);"),
    Patch("uniform", "nine rounds of Philox", "bound", "random_philox.inc",
          "for (int round = 0; round < @[10 => 9]@; ++round) {"),
    Patch("bernoulli", "groups of numbers overlap", "bound", "random.inc",
          "i += numbers, @[counter += kCounters => counter += 1]@) {"
          " philox(counter, s.key, words); for (int64_t at = 0; at < numbers"),
    Patch("dropout", "what is kept is not scaled up", "bound", "random.inc",
          "store_first(@[x * select(kept.mask[r], scale, V::zero())"
          " => x * select(kept.mask[r], V::set(1), V::zero())]@,"),
    Patch("dropout", "a dropped NaN is zero", "hard inputs", "random.inc",
          "store_first(@[x * select(kept.mask[r], scale, V::zero())"
          " => select(kept.mask[r], x * scale, V::zero())]@,"),
    Patch("dropout", "words are compared with their sign", "bound", "random_philox.inc",
          "mask[r] = @[(w ^ sign) >= least => w >= least]@;"),
)  # fmt: skip
