//! Chapters 2 and 3: what ops are made of, for those who write their own. Next to read: `autograd.rs`.

use tapegrad::gemm::{
    Matrix, MatrixMut, Packed, Start, multiply, multiply_block, multiply_unpacked, naive, pack_left,
    transpose,
};
use tapegrad::parallel::{self, Chunks, for_each_part};
use tapegrad::simd::slices::{self, AddScaled, Identity};

use super::each_says;

#[test]
fn products() {
    each_says(&[
        (
            || {
                multiply(
                    Start::Zero,
                    &Matrix::new(&[0.0; 6], 2, 3),
                    &Matrix::new(&[0.0; 6], 2, 3),
                    MatrixMut::new(&mut [0.0; 6], 2, 3),
                )
            },
            "multiply: [2, 3] times [2, 3] into [2, 3] is not [m, k] times [k, n] into [m, n]",
        ),
        (
            || {
                multiply(
                    Start::PerRow(&[0.0; 3]),
                    &Matrix::new(&[0.0; 4], 2, 2),
                    &Matrix::new(&[0.0; 6], 2, 3),
                    MatrixMut::new(&mut [0.0; 6], 2, 3),
                )
            },
            "multiply: a bias per row needs 2 elements, got 3",
        ),
        (
            || {
                multiply(
                    Start::PerColumn(&[0.0; 2]),
                    &Matrix::new(&[0.0; 4], 2, 2),
                    &Matrix::new(&[0.0; 6], 2, 3),
                    MatrixMut::new(&mut [0.0; 6], 2, 3),
                )
            },
            "multiply: a bias per column needs 3 elements, got 2",
        ),
        (
            || {
                naive::multiply(
                    Start::Zero,
                    &Matrix::new(&[0.0; 6], 2, 3),
                    &Matrix::new(&[0.0; 4], 2, 2),
                    MatrixMut::new(&mut [0.0; 4], 2, 2),
                )
            },
            "naive::multiply: [2, 3] times [2, 2] into [2, 2] is not [m, k] times [k, n] into [m, n]",
        ),
        // The right side by its columns.
        (
            || {
                multiply_block(
                    Start::Zero,
                    &Matrix::new(&[0.0; 6], 2, 3),
                    &Matrix::new(&[0.0; 4], 2, 2),
                    MatrixMut::new(&mut [0.0; 4], 2, 2),
                )
            },
            "multiply_block: [2, 3] times [2, 2] into [2, 2] is not [m, k] times [k, n] into [m, n]",
        ),
        (
            || _ = Matrix::new(&[0.0; 5], 2, 3).rows(),
            "Matrix: the last element of [2, 3] with strides [3, 1] lies behind the 5 that there are",
        ),
        // The place of the last element wraps to 1.
        (
            || _ = Matrix::strided(&[0.0; 5], 3, 2, 1 << 63, 1).rows(),
            "Matrix: the last element of [3, 2] with strides [9223372036854775808, 1] lies behind the 5 that there are",
        ),
        (|| _ = MatrixMut::new(&mut [0.0; 5], 2, 3).rows(), "MatrixMut: [2, 3] needs 2 x 3 elements, got 5"),
        (
            || _ = MatrixMut::new(&mut [], 1 << 63, 2).rows(),
            "MatrixMut: [9223372036854775808, 2] needs 9223372036854775808 x 2 elements, got 0",
        ),
        (
            || _ = Matrix::new(&[0.0; 6], 2, 3).rows_from(1, 2).rows(),
            "rows_from: 2 rows from 1 on do not lie in [2, 3]",
        ),
        (
            || _ = MatrixMut::new(&mut [0.0; 6], 2, 3).row_mut(2).len(),
            "row_mut: row 2 does not lie in [2, 3]",
        ),
        // A block whose end wraps to 0 would begin before its matrix, and be written to.
        (
            || _ = MatrixMut::new(&mut [0.0; 6], 2, 3).block(usize::MAX, 0, 1, 3).rows(),
            "block: [1, 3] from (18446744073709551615, 0) on does not lie in [2, 3]",
        ),
    ]);
}

#[test]
fn packing() {
    each_says(&[
        (
            || pack_left(&Matrix::new(&[0.0; 6], 2, 3), 8, &mut [0.0; 6]),
            "pack_left: [2, 3] in tiles of 8 rows takes 24 elements, got 6",
        ),
        (
            || _ = Packed::of(&[0.0; 23], 2, 3, 8),
            "Packed::of: [2, 3] in tiles of 8 rows takes 24 elements, got 23",
        ),
        (
            || {
                multiply_unpacked(
                    Start::Zero,
                    Matrix::new(&[0.0; 6], 3, 2),
                    Matrix::new(&[0.0; 6], 2, 3),
                    MatrixMut::new(&mut [0.0; 6], 2, 3),
                )
            },
            "multiply_unpacked: A has 3 rows, C has 2",
        ),
        (
            || transpose(Matrix::new(&[0.0; 6], 2, 3), MatrixMut::new(&mut [0.0; 6], 2, 3)),
            "transpose: [2, 3] into [2, 3] needs as many rows as there are columns, as long, and steps of 1 in a row, got 1",
        ),
    ]);
}

#[test]
fn loops_and_threads() {
    each_says(&[
        (
            || slices::map(Identity, &[0.0; 3], &mut [0.0; 2]),
            "map: x and y need the same length, got 3 and 2",
        ),
        (
            || slices::zip(AddScaled(1.0), &[0.0; 3], &[0.0; 2], &mut [0.0; 3]),
            "zip: a, b and y need the same length, got 3, 2 and 3",
        ),
        (
            || slices::zip_update(AddScaled(1.0), &mut [0.0; 3], &[0.0; 1]),
            "zip_update: y and b need the same length, got 3 and 1",
        ),
        (|| _ = Chunks::new(&mut [0.0; 3], 0), "Chunks: a chunk needs at least one element, got size 0"),
        (
            || for_each_part((Chunks::new(&mut [0; 5], 2), Chunks::new(&mut [0; 2], 1)), |_, _| {}),
            "for_each_part: all members need the same number of parts, got (3, 2)",
        ),
        (
            || {
                for_each_part(
                    (Chunks::new(&mut [0; 2], 1), Chunks::new(&mut [0; 2], 1), Chunks::new(&mut [0; 2], 2)),
                    |_, _| {},
                )
            },
            "for_each_part: all members need the same number of parts, got (2, 2, 1)",
        ),
        (|| parallel::set_threads(0), "set_threads: a number of threads is from 1 to 1024, got 0"),
        (|| parallel::set_threads(1025), "set_threads: a number of threads is from 1 to 1024, got 1025"),
    ]);
}
