//! A squarified tree map: areas by weight, cells as near to squares as they come (Bruls, Huizing, van Wijk, 2000).

/// A cell of the unit square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// One cell a weight, in the order of the weights, which come heaviest first. `aspect` is width over height of the
/// box as it will be drawn.
pub(crate) fn squarify(weights: &[u64], aspect: f64) -> Vec<Cell> {
    let total: f64 = weights.iter().map(|weight| real(*weight)).sum();
    let mut cells = Vec::with_capacity(weights.len());
    // In units in which the box is `aspect` wide and 1 high.
    let mut free = Cell { x: 0.0, y: 0.0, width: aspect, height: 1.0 };
    let areas: Vec<f64> = weights.iter().map(|weight| real(*weight) / total * aspect).collect();
    let mut rest = areas.as_slice();
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let mut n = 1;
        while n < rest.len() && worst(&rest[..=n], side) <= worst(&rest[..n], side) {
            n += 1;
        }
        let (row, others) = rest.split_at(n);
        lay(row, &mut free, &mut cells);
        rest = others;
    }
    for cell in &mut cells {
        cell.x /= aspect;
        cell.width /= aspect;
    }
    cells
}

/// The least square cell of a row along a side.
fn worst(row: &[f64], side: f64) -> f64 {
    let area: f64 = row.iter().sum();
    let thickness = area / side;
    row.iter()
        .map(|cell| cell / thickness / thickness)
        .map(|ratio| ratio.max(1.0 / ratio))
        .fold(0.0, f64::max)
}

/// Puts a row along the shorter side of what is free.
fn lay(row: &[f64], free: &mut Cell, cells: &mut Vec<Cell>) {
    let area: f64 = row.iter().sum();
    let is_column = free.width >= free.height;
    let thickness = area / free.width.min(free.height);
    let mut at = 0.0;
    for cell in row {
        let length = cell / thickness;
        cells.push(if is_column {
            Cell { x: free.x, y: free.y + at, width: thickness, height: length }
        } else {
            Cell { x: free.x + at, y: free.y, width: length, height: thickness }
        });
        at += length;
    }
    if is_column {
        free.x += thickness;
        free.width -= thickness;
    } else {
        free.y += thickness;
        free.height -= thickness;
    }
}

#[expect(clippy::cast_precision_loss, reason = "it becomes pixels")]
pub(crate) fn real(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_paper() {
        let cells = squarify(&[6, 6, 4, 3, 2, 2, 1], 1.5);
        let shown: Vec<String> = cells
            .iter()
            .map(|c| format!("{:.2} {:.2} {:.2}×{:.2}", c.x * 6.0, c.y * 4.0, c.width * 6.0, c.height * 4.0))
            .collect();
        assert_eq!(
            shown,
            [
                "0.00 0.00 3.00×2.00",
                "0.00 2.00 3.00×2.00",
                "3.00 0.00 1.71×2.33",
                "4.71 0.00 1.29×2.33",
                "3.00 2.33 1.20×1.67",
                "4.20 2.33 1.20×1.67",
                "5.40 2.33 0.60×1.67",
            ]
        );
    }

    proptest! {
        #[test]
        fn cells_have_their_areas_and_stay_inside(mut weights in prop::collection::vec(1u64..1_000_000, 1..60)) {
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let total: u64 = weights.iter().sum();
            let cells = squarify(&weights, 2.0);
            prop_assert_eq!(cells.len(), weights.len());
            for (cell, weight) in cells.iter().zip(&weights) {
                prop_assert!((cell.width * cell.height - real(*weight) / real(total)).abs() < 1e-9);
                prop_assert!(cell.x >= -1e-9 && cell.y >= -1e-9);
                prop_assert!(cell.x + cell.width <= 1.0 + 1e-6 && cell.y + cell.height <= 1.0 + 1e-6);
            }
        }
    }
}
