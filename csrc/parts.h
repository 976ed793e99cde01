// Cutting things into parts.
#pragma once
#include <cstdint>

namespace fd {
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
// Where part i of n things cut into `parts` nearly equal parts begins.
inline int64_t cut(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }
}  // namespace fd
