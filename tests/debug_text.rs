//! `Debug` that is not derived reads as if it were.

#![allow(clippy::unwrap_used)]

use pinfold::PageFlags;
use pinfold::conformance::PageState;
use pinfold::invariants::Broken;

#[test]
fn structs_read_as_derived() {
    #[derive(Debug)]
    #[allow(dead_code)]
    struct PageState {
        flags: PageFlags,
        maps: u32,
        unexplained: u32,
        short: u32,
        longterm: u32,
        base_pages: u32,
    }
    let derived = PageState {
        flags: PageFlags::ANON,
        maps: 1,
        unexplained: 2,
        short: 3,
        longterm: 4,
        base_pages: 5,
    };
    let ours = self::PageState {
        flags: PageFlags::ANON,
        maps: 1,
        unexplained: 2,
        short: 3,
        longterm: 4,
        base_pages: 5,
    };
    assert_eq!(format!("{ours:?}"), format!("{derived:?}"));
    assert_eq!(format!("{ours:#?}"), format!("{derived:#?}"));
}

#[test]
fn variants_read_as_derived() {
    let broken = Broken::PageDisagrees {
        what: "flags",
        expected: 1,
        found: -2,
    };
    let text = r#"PageDisagrees { what: "flags", expected: 1, found: -2 }"#;
    assert_eq!(format!("{broken:?}"), text);
    let text = "PageDisagrees {\n    what: \"flags\",\n    expected: 1,\n    found: -2,\n}";
    assert_eq!(format!("{broken:#?}"), text);
    assert_eq!(format!("{:?}", Broken::StillOwed), "StillOwed");
}
