//! Choices, from whatever numbers the caller has.

/// Numbers from the caller. A source of zeros always chooses the first, and nothing rare.
pub(super) struct Choices<'c> {
    next: &'c mut dyn FnMut() -> u64,
}

impl<'c> Choices<'c> {
    pub(super) fn new(next: &'c mut dyn FnMut() -> u64) -> Self {
        Self { next }
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        let rest = (self.next)().checked_rem(u64::from(n)).unwrap_or(0);
        u32::try_from(rest).unwrap_or(0)
    }

    /// An index below `n`; 0 if `n` is 0.
    pub(super) fn index(&mut self, n: usize) -> usize {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        usize::try_from(self.below(n)).unwrap_or(0)
    }

    /// Whether a chance of 1 in `n` has come; never for a source of zeros.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == n.saturating_sub(1) && n > 1
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = self.index(from.len());
        from.get(at).copied()
    }

    pub(super) fn bits(&mut self) -> u32 {
        u32::try_from((self.next)() >> 32).unwrap_or(0)
    }
}
