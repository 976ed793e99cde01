// Honest C kernels; tests/test_honest_strangers.py builds and judges them.

// c[m][n] = sum over k of a[m][k] * b[k][n]
void product(const float* a, const float* b, float* c, int m, int n, int k) {
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      float sum = 0;
      for (int p = 0; p < k; p++) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
}

// y[i] = max(x[i], 0); a NaN stays, and so does a zero's sign
void rectify(const double* x, double* y, long n) {
  for (long i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}
