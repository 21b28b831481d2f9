//! Telling an owner of pins that memory is short, and that it no longer is.

use core::convert::Infallible;

/// The owner of pins: a driver, a device, a virtual machine monitor.
///
/// Both methods have a default that does nothing, for owners that cannot give anything back. A device
/// that can implements [`Shrinker`](crate::Shrinker) as well, and [`drive`](super::drive) takes it
/// as both.
///
/// # Contract
///
/// - An owner that returns an error, or unwinds, counts as not told, and will be told again.
/// - After [`pressure`](Self::pressure) the owner may hold back, refuse new work, or run its devices
///   in a slower way, until [`all_clear`](Self::all_clear). Every owner that was told the first is
///   told the second, once.
///
/// # Examples
///
/// ```
/// use core::convert::Infallible;
/// use pinfold::revoke::{Answer, Level, PinOwner};
///
/// struct Nic {
///     accepts_work: bool,
/// }
///
/// impl PinOwner for Nic {
///     type Error = Infallible;
///
///     fn pressure(&mut self, _: Level) -> Result<Answer, Infallible> {
///         self.accepts_work = false;
///         Ok(Answer::WillTry) // What is in flight ends soon, and is not replaced.
///     }
///     fn all_clear(&mut self) -> Result<(), Infallible> {
///         self.accepts_work = true;
///         Ok(())
///     }
/// }
/// ```
pub trait PinOwner {
    /// Why an owner could not be told.
    type Error;

    /// Memory is short, at this level: give pages back if possible.
    ///
    /// # Errors
    ///
    /// The owner's. It counts as not told.
    fn pressure(&mut self, level: Level) -> Result<Answer, Self::Error> {
        let _ = level;
        Ok(Answer::No)
    }

    /// Memory is no longer short, or no longer sought from this owner.
    ///
    /// # Errors
    ///
    /// The owner's. It counts as not told.
    fn all_clear(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
impl<O: PinOwner + ?Sized> PinOwner for &mut O {
    type Error = O::Error;

    fn pressure(&mut self, level: Level) -> Result<Answer, Self::Error> {
        (**self).pressure(level)
    }
    fn all_clear(&mut self) -> Result<(), Self::Error> {
        (**self).all_clear()
    }
}

/// A pair of an owner and a [`Shrinker`](crate::Shrinker): the owner is the first.
#[deny(clippy::missing_trait_methods)]
impl<O: PinOwner, S> PinOwner for (O, S) {
    type Error = O::Error;

    fn pressure(&mut self, level: Level) -> Result<Answer, Self::Error> {
        self.0.pressure(level)
    }
    fn all_clear(&mut self) -> Result<(), Self::Error> {
        self.0.all_clear()
    }
}

/// The owner that gives nothing back.
impl PinOwner for () {
    type Error = Infallible;
}

/// What an owner says to pressure.
///
/// Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "an owner that will not give pages back need not be waited for"]
pub enum Answer {
    /// It will try; pages may come back.
    WillTry,
    /// It gives nothing back unless its hardware is stopped.
    No,
}

/// How short memory is (`enum vmpressure_levels`, `mm/vmpressure.c`, 5.8).
///
/// Exhaustive: Linux knows these three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Memory is being reclaimed.
    Low,
    /// Reclaim finds it hard.
    Medium,
    /// Hardware will be stopped, or somebody killed.
    Critical,
}

/// What one owner has been told, so that each owner that was told of pressure is told once that all is
/// clear.
///
/// The level that an owner was told may rise, and falls only to all clear. It is not told again what
/// it knows.
///
/// # Examples
///
/// ```
/// use pinfold::revoke::{Answer, Level, Pressure};
///
/// let mut gpu = (); // The owner that gives nothing back.
/// let mut pressure = Pressure::new();
/// assert_eq!(pressure.tell(&mut gpu, None)?, None, "no all-clear without pressure");
/// assert_eq!(pressure.tell(&mut gpu, Some(Level::Medium))?, Some(Answer::No));
/// assert_eq!(pressure.tell(&mut gpu, Some(Level::Low))?, None, "it knows");
/// pressure.tell(&mut gpu, None)?;
/// assert_eq!(pressure.level(), None);
/// # Ok::<(), core::convert::Infallible>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Pressure {
    level: Option<Level>,
}

impl Pressure {
    /// An owner that was told nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { level: None }
    }

    /// The level that the owner was told, if it was not told that all is clear since.
    #[must_use]
    pub const fn level(&self) -> Option<Level> {
        self.level
    }

    /// Tells the owner this level, or that all is clear (`None`), unless it knows. Returns what it
    /// answered to pressure.
    ///
    /// `Ok(None)`: it was told that all is clear, or nothing.
    ///
    /// # Errors
    ///
    /// The owner's. It counts as not told, also if its code unwinds: an all-clear that it was not
    /// told is told again.
    pub fn tell<O: PinOwner + ?Sized>(
        &mut self,
        owner: &mut O,
        level: Option<Level>,
    ) -> Result<Option<Answer>, O::Error> {
        let answer = match level {
            Some(higher) if self.level < level => Some(owner.pressure(higher)?),
            None if self.level.is_some() => {
                owner.all_clear()?;
                None
            }
            _ => return Ok(None),
        };
        self.level = level;
        Ok(answer)
    }
}
