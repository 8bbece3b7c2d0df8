"""The C functions that an exported policy calls. Each exported file contains those that it needs."""

from __future__ import annotations

DENSE = """
/* y += x W: W has n rows of m numbers. Compilers turn the inner loops into vector instructions. Four rows at a time are
   added up before they are added to y, which rounds less. */
static void dense(const float *x, int n, const float *w, float *restrict y, int m)
{
    int i = 0;
    for (; i + 4 <= n; i += 4, w += 4 * m)
        for (int j = 0; j < m; j++)
            y[j] += (x[i] * w[j] + x[i + 1] * w[m + j]) + (x[i + 2] * w[2 * m + j] + x[i + 3] * w[3 * m + j]);
    for (; i < n; i++, w += m)
        for (int j = 0; j < m; j++)
            y[j] += x[i] * w[j];
}
"""
COPY = """
static void copy(const float *from, float *to, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = from[i];
}
"""
RELU = """
static void relu(float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = y[i] > 0.0f ? y[i] : 0.0f;
}
"""
# The coefficients are those of a2c.kernels.vectors.
TANH = """
/* tanh x = x P(x^2) / Q(x^2) on [-8, 8], beyond which it is 1 in single precision; ten times as fast as tanhf. */
static void hyperbolic_tangent(float *y, int n)
{
    for (int i = 0; i < n; i++) {
        const float x = y[i] > 8.0f ? 8.0f : y[i] < -8.0f ? -8.0f : y[i];
        const float z = x * x;
        const float p = (((1.50621119e-08f * z + 2.17734914e-05f) * z + 0.00356417210f) * z + 0.134382049f) * z;
        const float q = (((8.45379402e-07f * z + 3.39920478e-04f) * z + 0.0261360776f) * z + 0.467715258f) * z;
        y[i] = x * (p + 0.999999970f) / (q + 1.0f);
    }
}
"""
GATE = """
/* A gated recurrent unit, given its products: carry = n + z (carry - n). */
static void gate(float *seen, const float *kept, float *carry, int n)
{
    for (int i = 0; i < 2 * n; i++)
        seen[i] = 0.5f * (seen[i] + kept[i]);
    hyperbolic_tangent(seen, 2 * n);
    for (int i = 0; i < n; i++)
        seen[2 * n + i] += (0.5f * seen[i] + 0.5f) * kept[2 * n + i];
    hyperbolic_tangent(seen + 2 * n, n);
    for (int i = 0; i < n; i++)
        carry[i] = seen[2 * n + i] + (0.5f * seen[n + i] + 0.5f) * (carry[i] - seen[2 * n + i]);
}
"""
CONVOLVE = """
/* y [lines, columns, filters] = relu(W x + b), with x [., width, depth]. A window is `kernel` pieces of x's lines. */
static void convolve(const float *x, int width, int depth, const float *w, const float *b, float *y, int lines,
                     int columns, int filters, int kernel, int stride)
{
    for (int line = 0; line < lines; line++)
        for (int column = 0; column < columns; column++, y += filters) {
            copy(b, y, filters);
            for (int i = 0; i < kernel; i++)
                dense(x + ((line * stride + i) * width + column * stride) * depth, kernel * depth,
                      w + i * kernel * depth * filters, y, filters);
            relu(y, filters);
        }
}
"""
CHOICE = """
/* The number of a choice; a number out of range counts as the nearest choice. */
static int choice(double x, int n)
{
    return !(x > 0.0) ? 0 : x > n - 1 ? n - 1 : (int)x;
}
"""
LARGEST = """
/* The index of the largest of n numbers among those that are allowed. */
static int largest(const float *y, int n, const unsigned char *mask)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if ((!mask || mask[i]) && (best < 0 || y[i] > y[best]))
            best = i;
    return best < 0 ? 0 : best;
}
"""
HALF = """
/* The nearest number of half precision. */
static double half(double x)
{
    int e;
    frexp(x, &e);
    const double unit = ldexp(1.0, e < -13 ? -24 : e - 11);
    return rint(x / unit) * unit;
}
"""
