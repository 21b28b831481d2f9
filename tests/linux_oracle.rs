//! The decisions against Linux 5.8's own: the vectors and their columns are described in
//! `tests/data/README.md`. `PINFOLD_ORACLE_UNMAP=FILE` and `PINFOLD_ORACLE_SHRINK=FILE` name other
//! files of vectors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "oracle/rows.rs"]
mod rows;
#[path = "oracle/shrink.rs"]
mod shrink_rows;
#[path = "oracle/unmap.rs"]
mod unmap_rows;

#[test]
fn unmap() {
    let rows = rows::read("PINFOLD_ORACLE_UNMAP", "try_to_unmap_one.csv");
    let mut tally = unmap_rows::Tally::default();
    for row in &rows {
        unmap_rows::compare(row, &mut tally);
    }
    println!(
        "unmap: {} rows compared with Linux 5.8: {tally:?}",
        rows.len()
    );
    assert_eq!(tally.compared, rows.len(), "every row is compared");
    let classes = [
        tally.to_the_letter,
        tally.d1_warns,
        tally.d2_leaks,
        tally.d3_halts,
        tally.pmd_not_recorded,
    ];
    let sum: usize = classes.iter().sum();
    assert_eq!(sum, rows.len(), "every row is in one class");
}

#[test]
fn shrink() {
    let rows = rows::read("PINFOLD_ORACLE_SHRINK", "shrink_page_list.csv");
    for row in &rows {
        shrink_rows::compare(row);
    }
    println!("shrink: {} rows compared with Linux 5.8", rows.len());
}
