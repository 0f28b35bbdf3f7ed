//! Matrices as GEMM sees them: a slice with two strides to read, rows in memory to write.
//!
//! A transpose exchanges the strides, a row of a broadcast tensor has stride zero: the inputs need no copy. The output
//! is row-major, and can be cut into rectangles that different threads write; that is the only `unsafe` here.

use std::marker::PhantomData;

use crate::parallel::Parts;

/// A matrix to read, with any strides.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix.
    #[track_caller]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Matrix::strided(data, rows, cols, cols, 1)
    }

    /// A matrix whose element (i, j) is `data[i * row_stride + j * col_stride]`.
    ///
    /// # Panics
    /// When the last element lies behind the end of `data`.
    #[track_caller]
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Self {
        if rows > 0 && cols > 0 {
            let down = (rows - 1).checked_mul(row_stride);
            let last =
                down.zip((cols - 1).checked_mul(col_stride)).and_then(|(down, on)| down.checked_add(on));
            assert!(
                last.is_some_and(|last| last < data.len()),
                "Matrix: the last element of [{rows}, {cols}] with strides [{row_stride}, {col_stride}] lies behind the {} that there are",
                data.len()
            );
        }
        Matrix { data, rows, cols, row_stride, col_stride }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements between neighbours in a column, and in a row.
    pub fn strides(&self) -> (usize, usize) {
        (self.row_stride, self.col_stride)
    }

    /// Element (i, j).
    #[inline(always)]
    pub fn get(&self, i: usize, j: usize) -> f32 {
        self.data[i * self.row_stride + j * self.col_stride]
    }

    /// The elements from (i, j) on, in the order of memory.
    #[inline(always)]
    pub fn from(&self, i: usize, j: usize) -> &'a [f32] {
        &self.data[i * self.row_stride + j * self.col_stride..]
    }

    /// The transpose: the same memory, strides exchanged.
    pub fn transposed(&self) -> Matrix<'a> {
        Matrix {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..*self
        }
    }

    /// `rows` rows from row `first` on.
    #[track_caller]
    pub fn rows_from(&self, first: usize, rows: usize) -> Matrix<'a> {
        assert!(
            first <= self.rows && rows <= self.rows - first,
            "rows_from: {rows} rows from {first} on do not lie in [{}, {}]",
            self.rows,
            self.cols
        );
        let data = if rows == 0 { &[] } else { &self.data[first * self.row_stride..] };
        Matrix { data, rows, ..*self }
    }
}

/// A row-major matrix to write, or a rectangle of one.
pub struct MatrixMut<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for exclusive access to its rectangle, as `&mut [f32]` does to a slice.
unsafe impl Send for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// All of a slice as a row-major matrix.
    #[track_caller]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert!(
            rows.checked_mul(cols) == Some(data.len()),
            "MatrixMut: [{rows}, {cols}] needs {rows} x {cols} elements, got {}",
            data.len()
        );
        MatrixMut { start: data.as_mut_ptr(), rows, cols, row_stride: cols, owner: PhantomData }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`.
    #[inline(always)]
    #[track_caller]
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows, "row_mut: row {i} does not lie in [{}, {}]", self.rows, self.cols);
        // SAFETY: row i lies inside the rectangle, which `&mut self` has for itself.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.row_stride), self.cols) }
    }

    /// The rectangle of `rows` by `cols` elements whose first is (i, j).
    #[inline(always)]
    #[track_caller]
    pub fn block(&mut self, i: usize, j: usize, rows: usize, cols: usize) -> MatrixMut<'_> {
        // Written so that nothing overflows: who holds the block may write to all of it.
        let fits = |first: usize, count: usize, whole: usize| first <= whole && count <= whole - first;
        assert!(
            fits(i, rows, self.rows) && fits(j, cols, self.cols),
            "block: [{rows}, {cols}] from ({i}, {j}) on does not lie in [{}, {}]",
            self.rows,
            self.cols
        );
        // This rectangle stays borrowed while the block lives. An empty block may start behind the end, so the pointer is moved
        // without the promise of staying inside.
        let start = self.start.wrapping_add(i * self.row_stride + j);
        MatrixMut { start, rows, cols, row_stride: self.row_stride, owner: PhantomData }
    }

    /// All of a rectangle that is as wide as its matrix, as one slice.
    ///
    /// # Panics
    /// When its rows do not lie one after the other.
    pub fn as_slice_mut(&mut self) -> &mut [f32] {
        assert!(self.cols == self.row_stride || self.rows <= 1, "the rows do not lie one after the other");
        // SAFETY: the rows are adjacent, so the rectangle is this one stretch, which `&mut self` has for itself.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.rows * self.cols) }
    }

    /// Cuts it into bands of `height` rows, for threads to take.
    pub fn split_rows(self, height: usize) -> Bands<'a> {
        let group = self.rows.max(1);
        self.split_groups(group, height)
    }

    /// Cuts groups of `group` rows each into bands of `height` rows; the last of each group may be shorter.
    pub fn split_groups(self, group: usize, height: usize) -> Bands<'a> {
        let width = self.cols.max(1);
        assert!(self.rows.is_multiple_of(group) && height > 0);
        Bands { whole: self, group, height, width }
    }

    /// Cuts it into bands of `width` columns, for threads to take.
    pub fn split_columns(self, width: usize) -> Bands<'a> {
        let rows = self.rows.max(1);
        self.split_grid(rows, width)
    }

    /// Cuts groups of `group` rows each into rectangles of `height` rows by `width` columns, fewer at the edges; those of the same rows
    /// follow each other.
    pub fn split_cells(self, group: usize, height: usize, width: usize) -> Bands<'a> {
        assert!(width > 0 && height > 0 && self.rows.is_multiple_of(group));
        Bands { whole: self, group, height, width }
    }

    /// Cuts it into rectangles of `height` rows, which divide all rows, by `width` columns; those of the same rows follow each other.
    pub fn split_grid(self, height: usize, width: usize) -> Bands<'a> {
        assert!(width > 0 && height > 0 && self.rows.is_multiple_of(height));
        Bands { whole: self, group: height, height, width }
    }
}

/// A matrix cut into bands of rows or of columns; each is taken once.
pub struct Bands<'a> {
    whole: MatrixMut<'a>,
    group: usize,
    height: usize,
    width: usize,
}

// SAFETY: bands are cells of a grid of rows (restarting at each group) by columns, cut off at the edges, so they are disjoint.
unsafe impl<'a> Parts for Bands<'a> {
    type Part = MatrixMut<'a>;

    fn count(&self) -> usize {
        self.whole.rows / self.group * self.group.div_ceil(self.height) * self.whole.cols.div_ceil(self.width)
    }

    unsafe fn part(&self, i: usize) -> MatrixMut<'a> {
        let whole = &self.whole;
        let across = whole.cols.div_ceil(self.width);
        let down = self.group.div_ceil(self.height);
        let col = i % across * self.width;
        let (within, group) = (i / across % down * self.height, i / across / down);
        let rows = self.height.min(self.group - within);
        let cols = self.width.min(whole.cols - col);
        let start = whole.start.wrapping_add((group * self.group + within) * whole.row_stride + col);
        MatrixMut { start, rows, cols, row_stride: whole.row_stride, owner: PhantomData }
    }
}

// SAFETY: shared access only hands out disjoint bands, each once.
unsafe impl Sync for Bands<'_> {}
