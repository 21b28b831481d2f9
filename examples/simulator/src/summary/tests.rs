use super::{median, percentile};
use hdrhistogram::Histogram;

fn stalls(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
    let mut all = Histogram::new_with_max(1 << 50, 3).unwrap();
    for value in values {
        all.record(value).unwrap();
    }
    all
}

#[test]
fn medians() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[7.0]), Some(7.0));
    assert_eq!(median(&[9.0, 1.0, 4.0]), Some(4.0));
    assert_eq!(median(&[8.0, 1.0, 4.0, 100.0]), Some(6.0));
}

#[test]
fn no_percentile_from_fewer_stalls_than_it_needs() {
    for (percent, needed) in [(50, 2), (90, 10), (95, 20), (99, 100)] {
        assert_eq!(percentile(&stalls(1..needed), percent), None, "p{percent}");
        let value = percentile(&stalls(1..=needed), percent);
        assert!(
            value.is_some_and(|value| value < needed as f64),
            "p{percent}: {value:?}"
        );
    }
}
