//! The loops over elements of two tensors that belong together.

/// One loop: how often, and how many elements each step takes in either tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Loop {
    /// How often.
    pub extent: usize,
    /// Step in the tensor that is read; 0 repeats an element.
    pub from: usize,
    /// Step in the tensor that is written.
    pub to: usize,
}

impl Loop {
    const ONCE: Self = Self {
        extent: 1,
        from: 0,
        to: 0,
    };

    const fn reversed(self) -> Self {
        Self {
            extent: self.extent,
            from: self.to,
            to: self.from,
        }
    }

    /// `outer` around `inner` as one loop, if the steps of both tensors go on across the border.
    const fn joined(outer: Self, inner: Self) -> Option<Self> {
        if inner.extent == 1 {
            return Some(outer);
        }
        let goes_on = outer.from == inner.from.wrapping_mul(inner.extent)
            && outer.to == inner.to.wrapping_mul(inner.extent);
        if outer.extent == 1 || goes_on {
            return Some(Self {
                extent: outer.extent.wrapping_mul(inner.extent),
                ..inner
            });
        }
        None
    }
}

/// Three loops within each other, the innermost as long as it can be: tensors that agree in their order are one
/// run of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Nest {
    pub(crate) rows: Loop,
    pub(crate) columns: Loop,
    pub(crate) run: Loop,
}

impl Nest {
    pub(crate) const fn new(rows: Loop, columns: Loop, channels: Loop) -> Self {
        let (rows, columns, run) = match Loop::joined(columns, channels) {
            Some(inner) => match Loop::joined(rows, inner) {
                Some(all) => (Loop::ONCE, Loop::ONCE, all),
                None => (Loop::ONCE, rows, inner),
            },
            None => match Loop::joined(rows, columns) {
                Some(outer) => (Loop::ONCE, outer, channels),
                None => (rows, columns, channels),
            },
        };
        Self { rows, columns, run }
    }

    /// The same loops with the tensors in each other's place.
    pub(crate) const fn reversed(&self) -> Self {
        Self {
            rows: self.rows.reversed(),
            columns: self.columns.reversed(),
            run: self.run.reversed(),
        }
    }

    /// From the outermost to the innermost.
    pub(crate) const fn loops(&self) -> [Loop; 3] {
        [self.rows, self.columns, self.run]
    }

    /// Calls `f` for each run, with where it starts in the tensor that is read and in the one that is written.
    #[inline(always)]
    pub(crate) fn for_each_run(&self, (from, to): (usize, usize), mut f: impl FnMut(usize, usize)) {
        let (mut row_from, mut row_to) = (from, to);
        for _ in 0..self.rows.extent {
            let (mut from, mut to) = (row_from, row_to);
            for _ in 0..self.columns.extent {
                f(from, to);
                from = from.wrapping_add(self.columns.from);
                to = to.wrapping_add(self.columns.to);
            }
            row_from = row_from.wrapping_add(self.rows.from);
            row_to = row_to.wrapping_add(self.rows.to);
        }
    }
}
