// The activations that products apply to their results too (matmul_finish.h), each a formula on one
// register; elementwise_activation.inc has the others and all gradients.
#pragma once
#include "elementwise_parts.h"

namespace fd::FD_ISA {
namespace {

constexpr double kRootHalf = 0.70710678118654752440;
constexpr double kTanhScale = 0.79788456080286535588, kTanhCube = 0.044715;  // √(2/π)

FD_OP1(Relu, return select(x < number<V>(0), number<V>(0), x);)  // −0 and NaN stay, as in torch
FD_OP1(Sigmoid, return sigmoid(x);)
FD_OP1(Tanh, return tanh(x);)
FD_OP1(Silu, return x * sigmoid(x);)
FD_OP1(Gelu, return number<V>(0.5) * x * (number<V>(1) + erf(x * number<V>(kRootHalf)));)
FD_OP1(GeluTanh, const V inner = number<V>(kTanhScale) * (x + number<V>(kTanhCube) * x * x * x);
       return number<V>(0.5) * x * (number<V>(1) + tanh(inner));)

}  // namespace
}  // namespace fd::FD_ISA
