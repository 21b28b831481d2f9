//! Pages whose counts are kept in too few bits.

use crate::liar::{Answer, Lie};
use crate::pages::{LargePage, PackedPage, PlainCells, WordPage};
use crate::walks::failure;
use pinfold::conformance::SuiteFailure;
use pinfold::invariants::Broken;

#[test]
fn the_suite_catches_counts_that_are_too_narrow() {
    use Answer::{ExactPins, LongtermPins, MapCount, RefCount};
    let disagrees = |failure: SuiteFailure, what| {
        let wrong =
            matches!(failure.broken, Broken::PageDisagrees { what: found, .. } if found == what);
        assert!(wrong, "{what}: {failure}");
    };
    for bits in [8, 10, 16, 19, 24, 30, 31] {
        let lie = Lie::Wraps(RefCount, bits);
        disagrees(failure::<PlainCells>(lie), "ref_count");
        disagrees(failure::<WordPage>(lie), "ref_count");
    }
    disagrees(failure::<PackedPage>(Lie::Wraps(RefCount, 26)), "ref_count");
    for bits in [8, 10, 16, 18, 24, 30] {
        disagrees(
            failure::<PlainCells>(Lie::Wraps(MapCount, bits)),
            "map_count",
        );
    }
    disagrees(failure::<PackedPage>(Lie::Wraps(MapCount, 17)), "map_count");
    for bits in [8, 10, 15] {
        disagrees(
            failure::<WordPage>(Lie::Wraps(ExactPins, bits)),
            "exact_pins",
        );
        disagrees(
            failure::<LargePage>(Lie::Wraps(ExactPins, bits)),
            "exact_pins",
        );
        let longterm = Lie::Wraps(LongtermPins, bits);
        disagrees(failure::<WordPage>(longterm), "longterm_pins");
        disagrees(failure::<PlainCells>(longterm), "longterm_pins");
    }
    disagrees(failure::<PlainCells>(Lie::ClampsAtZero), "ref_count");
    disagrees(failure::<WordPage>(Lie::ClampsAtZero), "ref_count");
}
