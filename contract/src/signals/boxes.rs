//! N_j: the number of cells of edge 1/s that contain points.

/// The number of distinct cells ⌊coordinate·s⌋ over the points; 0 for no points.
pub fn boxes(points: &[[f64; 3]], scale: u32) -> u64 {
    let s = f64::from(scale);
    // adding zero turns −0.0 into 0.0, so that equal cells have equal bits
    let cell = |point: &[f64; 3]| point.map(|c| ((c * s).floor() + 0.0).to_bits());
    let mut cells: Vec<[u64; 3]> = points.iter().map(cell).collect();
    cells.sort_unstable();
    cells.dedup();
    cells.len() as u64
}

#[cfg(test)]
mod tests {
    use super::boxes;

    #[test]
    fn counts_distinct_cells() {
        let points = [
            [0.1, 0.1, 0.1],
            [0.4, 0.4, 0.4],
            [-0.0, 0.0, 0.2],
            [-0.1, 0.0, 0.0],
            [0.6, 0.1, 0.1],
        ];
        assert_eq!(boxes(&points, 1), 2);
        assert_eq!(boxes(&points, 2), 3);
        assert_eq!(boxes(&[], 2), 0);
    }
}
