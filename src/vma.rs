//! What the crate asks of a virtual memory area.

use crate::flags::VmFlags;
use core::ops::Range;

/// A virtual memory area: flags, and the addresses that it covers.
///
/// # Contract
///
/// While a walk runs, neither flags nor range change in a way that matters to it; kernels hold the
/// reverse-map lock for that. A range that ends before it begins is refused with a typed error.
pub trait Vma {
    /// The state of the area.
    fn flags(&self) -> VmFlags;

    /// The addresses in bytes that the area covers, end exclusive.
    fn range(&self) -> Range<u64>;
}

impl<V: Vma + ?Sized> Vma for &V {
    #[inline]
    fn flags(&self) -> VmFlags {
        (**self).flags()
    }

    #[inline]
    fn range(&self) -> Range<u64> {
        (**self).range()
    }
}

impl<V: Vma + ?Sized> Vma for &mut V {
    #[inline]
    fn flags(&self) -> VmFlags {
        (**self).flags()
    }

    #[inline]
    fn range(&self) -> Range<u64> {
        (**self).range()
    }
}

/// The obvious [`Vma`]: flags and a range, for simulators and tests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlainVma {
    /// The state of the area.
    pub flags: VmFlags,
    /// The addresses in bytes that the area covers, end exclusive.
    pub range: Range<u64>,
}

impl Vma for PlainVma {
    #[inline]
    fn flags(&self) -> VmFlags {
        self.flags
    }

    #[inline]
    fn range(&self) -> Range<u64> {
        self.range.clone()
    }
}
