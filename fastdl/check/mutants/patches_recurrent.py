"""Defects of recurrent layers."""

from __future__ import annotations

from .patch import Patch

RECURRENT = (
    Patch("lstm_layer", "input and forget gates are exchanged", "bound", "rnn.inc",
          "const V c = @[fma(f, get(at_c, lanes), i * g) => fma(i, get(at_c, lanes), f * g)]@;"),
    Patch("lstm_layer", "the cell leaves without tanh", "bound", "rnn.inc",
          "put(@[o * tanh(c) => o * c]@, s.h + row * s.h_row + u, lanes);"),
    Patch("lstm_layer", "the cell's input is a sigmoid", "bound", "rnn.inc",
          "const V g = @[tanh(input(2) + sum(2)) => sigmoid(input(2) + sum(2))]@,"),
    Patch("lstm_layer", "a reversed layer runs forwards", "bound", "rnn.cpp",
          "if (@[reverse => false]@) std::reverse(steps.begin(), steps.end());"),
    Patch("lstm_layer", "the last states are not returned", "poison", "rnn.cpp",
          "if (@[going_on < now.count => false]@) std::copy_n(y + (now.first + going_on) * R,"),
    Patch("lstm_layer", "the cells that are saved are the gates of the output", "bound", "rnn.inc",
          "put(@[c => o]@, s.cells + row * s.cells_row + u, lanes);"),
    Patch("lstm_layer", "shorter sequences end with the longest", "bound", "rnn.cpp",
          "std::copy_n(y + (now.first + going_on) * R, (now.count - going_on) * R,"
          " h_n + @[going_on * R => 0]@);"),
    Patch("lstm_layer", "the cell is flushed of its low bits", "bound", "rnn.inc",
          "put(@[c => fewer_bits(c, V::set(4097))]@, at_c, lanes);"),
    Patch("gru_layer", "the update gate is the other way round", "bound", "rnn.inc",
          "put(@[fma(z, before - n, n) => fma(z, n - before, before)]@, s.h"),
    Patch("gru_layer", "the bias behind the reset gate is forgotten", "bound", "rnn.inc",
          ": s.bias ? @[sum(2) + get(s.bias + u, lanes) => sum(2)]@ : sum(2);"),
    Patch("gru_layer", "reset and update gates are exchanged", "bound", "rnn.inc",
          "const V n = tanh(fma(@[r => z]@, m, input(2)));"),
    Patch("gru_layer", "the state of a sequence that begins later is another's", "bound",
          "rnn.cpp", "add(known, now.count, h0 + @[known * R => 0]@);"),
    Patch("rnn_tanh_layer", "recurrent inputs are TF32", "bound", "rnn.inc",
          "const Vector ai = @[Vector::set(a[i / 3][i % 3 * step])"
          " => fewer_bits(Vector::set(a[i / 3][i % 3 * step]), Vector::set(8193))]@;"),
    Patch("rnn_tanh_layer", "the recurrent bias is forgotten", "bound", "rnn.cpp",
          "bias[j] += @[element(f.b_hh, j) => T(0)]@;"),
    Patch("rnn_tanh_layer", "the last recurrent term is dropped", "bound", "rnn.inc",
          "for (; k < @[end => end - (end == s.terms)]@; ++k) { Vector b[P * V];"),
    Patch("rnn_relu_layer", "NaN becomes zero", "hard inputs", "rnn.inc",
          "@[select(a < V::zero(), V::zero(), a) => select(a > V::zero(), a, V::zero())]@,"
          " gates, lanes);"),
    Patch("rnn_tanh_layer_backward", "the derivative is 1 - y", "bound", "rnn.inc",
          "result(0, dh * @[fnma(y, y, one) => (one - y)]@);"),
    Patch("rnn_relu_layer_backward", "the gradient passes where y is zero", "hard inputs",
          "rnn.inc", "result(0, select(@[gate(0) <= V::zero() => gate(0) < V::zero()]@,"),
    Patch("lstm_layer_backward", "the sigmoid's derivative lacks a factor", "bound", "rnn.inc",
          "result(0, dc * g * @[(i * (one - i)) => i]@);"),
    Patch("lstm_layer_backward", "the carried gradient passes the forget gate", "bound", "rnn.inc",
          "put(@[dc * f => dc]@, at_c, lanes);"),
    Patch("lstm_layer_backward", "the cell's gradient is not carried", "bound", "rnn.inc",
          "fnma(t, t, one), @[get(at_c, lanes) => V::zero()]@);"),
    Patch("gru_layer_backward", "the state's gradient passes the update gate", "bound", "rnn.inc",
          "put(@[dh * z => dh]@, s.carry_out"),
    Patch("gru_layer_backward", "the reset gate's gradient is of its output", "bound", "rnn.inc",
          "result(0, dn * @[m => n]@ * (r * (one - r)));"),
)  # fmt: skip
