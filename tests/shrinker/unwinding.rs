//! Shrinkers whose code unwinds: the scanning that was put off is not forgotten.

use core::num::NonZeroU64;
use core::panic::AssertUnwindSafe;
use pinfold::Shrinker;
use pinfold::shrinker::{Deferred, Pass, Registered, Scan, shrink_all, shrink_slab};

/// Panics at the n-th call of one of its methods.
struct Panics {
    at: &'static str,
    calls_left: core::cell::Cell<u32>,
}

impl Panics {
    fn call(&self, here: &str) {
        if self.at == here {
            let left = self.calls_left.get();
            assert_ne!(left, 0, "on purpose");
            self.calls_left.set(left - 1);
        }
    }
}

impl Shrinker for Panics {
    fn count(&mut self) -> Option<u64> {
        self.call("count");
        Some(4096)
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        self.call("scan");
        Scan::Did {
            scanned: objects.get(),
            freed: objects.get(),
        }
    }
    fn seeks(&self) -> u32 {
        self.call("seeks");
        2
    }
    fn batch(&self) -> u64 {
        self.call("batch");
        128
    }
    fn pages(&self, freed: u64) -> u64 {
        self.call("pages");
        freed
    }
}

#[test]
fn what_was_put_off_is_not_forgotten() {
    // At priority 12 the turn adds 2 objects, and scans at most half of what the shrinker holds.
    for (at, calls_left, wanted) in [
        ("count", 0, 500),
        ("seeks", 0, 500),
        ("batch", 0, 500),
        ("scan", 0, 502),
        ("scan", 2, 502 - 256),
        ("pages", 0, 502 - 128),
        ("pages", 2, 502 - 384),
    ] {
        let panics = || Panics {
            at,
            calls_left: calls_left.into(),
        };
        let (mut shrinker, mut deferred) = (panics(), Deferred::new(500));
        let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
            shrink_slab(&mut shrinker, &mut deferred, 12)
        }));
        assert!(unwound.is_err());
        assert_eq!(deferred.get(), wanted, "{at} after {calls_left}");

        let mut all = [Registered {
            deferred: Deferred::new(500),
            shrinker: panics(),
        }];
        let unwound =
            std::panic::catch_unwind(AssertUnwindSafe(|| shrink_all(&mut all, 12, u64::MAX)));
        assert!(unwound.is_err());
        assert_eq!(all[0].deferred.get(), wanted, "{at} after {calls_left}");
    }
}

#[test]
fn a_pass_counts_what_was_scanned_before_it_unwound() {
    let mut shrinker = Panics {
        at: "pages",
        calls_left: 0.into(),
    };
    let mut deferred = Deferred::new(500);
    let mut pass = Pass::begin(&mut shrinker, &mut deferred, 12).unwrap();
    let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| pass.step(&mut shrinker)));
    assert!(unwound.is_err());
    shrinker.at = "";
    pass.run(&mut shrinker, u64::MAX, None);
    let shrunk = pass.finish(&mut deferred);
    assert_eq!(
        (shrunk.scanned, shrunk.freed, shrunk.deferred),
        (384, 384, 118)
    );
}
