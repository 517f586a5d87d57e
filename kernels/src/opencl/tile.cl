// A tile is TILE_M rows of TILE_N neighbouring columns of a result, in the registers of one work-item. Each
// value that is loaded takes part in TILE_M or TILE_N products, so arithmetic outweighs loads.
//
// Columns are contiguous in memory: a row is one vector, 4, 8 or 16 wide. At the right edge a row has fewer
// than TILE_N columns, and only those may be touched.

#define JOIN_EXPANDED(a, b) a##b
#define JOIN(a, b) JOIN_EXPANDED(a, b)
typedef JOIN(float, TILE_N) row;
#define LOAD_ROW JOIN(LOAD, TILE_N)
#define STORE_ROW JOIN(STORE, TILE_N)

// The first `columns` of a row, and zeros.
static inline row load_row(__global const storage *from, int columns) {
    if (columns >= TILE_N)
        return LOAD_ROW(from, 0);
    float values[TILE_N];
    for (int i = 0; i < TILE_N; ++i)
        values[i] = i < columns ? LOAD(from, i) : 0.0f;
    return JOIN(vload, TILE_N)(0, values);
}

// Stores the first `columns` of a row.
static inline void store_row(row value, __global storage *to, int columns) {
    if (columns >= TILE_N) {
        STORE_ROW(value, to, 0);
        return;
    }
    float values[TILE_N];
    JOIN(vstore, TILE_N)(value, 0, values);
    for (int i = 0; i < columns; ++i)
        STORE(values[i], to, i);
}

// Limits each value to low..high. A NaN stays a NaN, and -0 stays -0.
static inline row clamp_row(row x, float low, float high) {
    x = x < (row)(low) ? (row)(low) : x;
    return x > (row)(high) ? (row)(high) : x;
}

// The larger of each two values, the first if they are equal; NaN if either is, which fmax would drop.
static inline row max_row(row a, row b) {
    return isgreater(b, a) | isnan(b) ? b : a;
}
