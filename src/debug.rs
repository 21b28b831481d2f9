//! `Debug` for what has many fields or text.
//!
//! The derive's, for more than five fields, checks in `core` that there are as many names as values;
//! and that of `str` slices it to escape it. Neither panic ever happens, but both can be reached as
//! far as a linker sees, and no panic of this crate's is to be.

#[cfg(feature = "test-utils")]
use core::fmt;

/// Implements `Debug` as the derive does, field by field.
macro_rules! debug_fields {
    ($name:ident { $($field:ident),* $(,)? }) => {
        $crate::debug::debug_fields!([] $name, $name { $($field),* });
    };
    ([$($generics:tt)*] $type:ty, $name:ident { $($field:ident),* $(,)? }) => {
        impl<$($generics)*> core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                // A field that is not named here does not compile.
                let Self { $($field),* } = self;
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), $field))*
                    .finish()
            }
        }
    };
}

/// Implements `Debug` as the derive does, for an enum of named fields, some of which are text
/// (`as Text`).
#[cfg(feature = "test-utils")]
macro_rules! debug_variants {
    ($name:ident { $($variant:ident { $($field:ident $(as $text:ident)?),* }),* $(,)? }) => {
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $(Self::$variant { $($field),* } => f
                        .debug_struct(stringify!($variant))
                        $(.field(stringify!($field), &$($text)?($field)))*
                        .finish(),)*
                }
            }
        }
    };
}

pub(crate) use debug_fields;
#[cfg(feature = "test-utils")]
pub(crate) use debug_variants;

/// Text of this crate's own, which has nothing to escape.
#[cfg(feature = "test-utils")]
pub(crate) struct Text<'a>(pub(crate) &'a &'static str);

#[cfg(feature = "test-utils")]
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        f.write_str(self.0)?;
        f.write_str("\"")
    }
}
