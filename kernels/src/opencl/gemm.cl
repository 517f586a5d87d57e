// C[m][n] = clamp(bias[n] + A[m][k] * B[k][n]), one tile of C for each work-item: columns on dimension 0, rows on
// dimension 1, independent groups on dimension 2. Group g finds its matrices g * x_group elements further on.
//
// TRANSPOSE_A: A is stored as [k][m].
//
// The bias has n values for each group. B may have rows that are padded beyond n: `b_columns` is how many columns of
// it may be read. Where that is a multiple of TILE_N, all loads are whole vectors.
//
// The sum over k ascends, whatever m and n are.

__kernel void gemm(
    int m, int n, int k,
    __global const storage *restrict a, uint a_at, int lda, int a_group,
    __global const storage *restrict b, uint b_at, int ldb, int b_group, int b_columns,
    __global const storage *restrict bias, uint bias_at, int has_bias,
    __global storage *restrict c, uint c_at, int ldc, int c_group,
    float low, float high
) {
    const int column = get_global_id(0) * TILE_N;
    const int first = get_global_id(1) * TILE_M;
    const int group = get_global_id(2);
    if (column >= n || first >= m)
        return;
    const int columns = n - column;
    const int readable = b_columns - column;
    b += b_at + group * b_group + column;
    c += c_at + group * c_group + column;
    a += a_at + group * a_group;

    row start = (row)(0.0f);
    if (has_bias)
        start = load_row(bias + bias_at + group * n + column, columns);
    // Rows beyond the last are the last one again: computed, not stored.
    int a_row[TILE_M];
    row sum[TILE_M];
#pragma unroll
    for (int r = 0; r < TILE_M; ++r) {
        const int at = min(first + r, m - 1);
#ifdef TRANSPOSE_A
        a_row[r] = at;
#else
        a_row[r] = at * lda;
#endif
        sum[r] = start;
    }

    int i = 0;
#ifdef TRANSPOSE_A
    for (; i < k; ++i) {
        const row b_row = load_row(b, readable);
#pragma unroll
        for (int r = 0; r < TILE_M; ++r)
            sum[r] = MULTIPLY_ADD((row)(LOAD(a, a_row[r])), b_row, sum[r]);
        a += lda;
        b += ldb;
    }
#else
    for (; i + 4 <= k; i += 4) {
        const row b_0 = load_row(b, readable);
        const row b_1 = load_row(b + ldb, readable);
        const row b_2 = load_row(b + 2 * ldb, readable);
        const row b_3 = load_row(b + 3 * ldb, readable);
#pragma unroll
        for (int r = 0; r < TILE_M; ++r) {
            const float4 x = LOAD4(a, a_row[r] + i);
            sum[r] = MULTIPLY_ADD((row)(x.s0), b_0, sum[r]);
            sum[r] = MULTIPLY_ADD((row)(x.s1), b_1, sum[r]);
            sum[r] = MULTIPLY_ADD((row)(x.s2), b_2, sum[r]);
            sum[r] = MULTIPLY_ADD((row)(x.s3), b_3, sum[r]);
        }
        b += 4 * ldb;
    }
    for (; i < k; ++i) {
        const row b_row = load_row(b, readable);
#pragma unroll
        for (int r = 0; r < TILE_M; ++r)
            sum[r] = MULTIPLY_ADD((row)(LOAD(a, a_row[r] + i)), b_row, sum[r]);
        b += ldb;
    }
#endif

#pragma unroll
    for (int r = 0; r < TILE_M; ++r)
        if (first + r < m)
            store_row(clamp_row(sum[r], low, high), c + (first + r) * ldc, columns);
}
