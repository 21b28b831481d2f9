//! Signals come in pairs.

use crate::log::{Log, wanted};
use pinfold::revoke::Pressure;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn signals_come_in_pairs(
        wants in proptest::collection::vec(wanted(), 0..30),
        fails in proptest::collection::vec(0usize..30, 0..8),
    ) {
        let mut owner = Log { fails, willing: true, ..Log::default() };
        let mut pressure = Pressure::new();
        for want in wants {
            let (before, calls) = (pressure, owner.calls);
            // It may rise, and falls to all clear.
            let due = want > before.level() || (want.is_none() && before.level().is_some());
            let told = pressure.tell(&mut owner, want);
            prop_assert_eq!(owner.calls - calls, usize::from(due));
            match told {
                Err(_) => prop_assert_eq!(pressure, before, "nothing was told"),
                Ok(answer) => {
                    prop_assert_eq!(answer.is_some(), due && want.is_some());
                    if due {
                        prop_assert_eq!(pressure.level(), want);
                    } else {
                        prop_assert_eq!(pressure, before);
                    }
                }
            }
            prop_assert_eq!(owner.owed(), pressure.level().is_some());
        }
        owner.fails.clear();
        pressure.tell(&mut owner, None).unwrap();
        prop_assert!(!owner.owed());
    }
}
