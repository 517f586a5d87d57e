// Weights as matrix products read them: OHWI, that is [group][n][k], becomes [group][k][columns], where `columns`
// is n rounded up and what is beyond n is zero. Dimension 0 runs over columns, 1 over k, 2 over groups.

__kernel void pack(
    __global const storage *restrict weights, uint weights_at,
    __global storage *restrict packed, uint packed_at,
    int groups, int n, int k, int columns
) {
    const int column = get_global_id(0);
    const int tap = get_global_id(1);
    const int group = get_global_id(2);
    if (column >= columns || tap >= k || group >= groups)
        return;
    weights += weights_at + group * n * k;
    packed += packed_at + group * k * columns;
    STORE(column < n ? LOAD(weights, column * k + tap) : 0.0f, packed, tap * columns + column);
}
