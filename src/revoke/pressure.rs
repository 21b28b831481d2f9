//! Telling an owner of pins that memory is short, and that it no longer is: always both.

use core::convert::Infallible;

/// Whoever answers for pins: a driver, a device, a virtual machine monitor.
///
/// Both methods have a default that does nothing, for owners that cannot give anything back.
///
/// # Contract
///
/// - An owner that returns an error has not taken note: it will be told again, or as if it had not
///   been told at all.
/// - After [`pressure`](Self::pressure) the owner may hold back, refuse new work, or run its devices
///   in some slow way; [`all_clear`](Self::all_clear) is when it may stop doing so. Every owner that
///   was told the first is told the second, once.
pub trait PinOwner {
    /// Why an owner could not be told.
    type Error;

    /// Memory is short, at this level: give pages back if you can.
    ///
    /// # Errors
    ///
    /// The owner's; it has not taken note.
    fn pressure(&mut self, level: Level) -> Result<Answer, Self::Error> {
        let _ = level;
        Ok(Answer::No)
    }

    /// Memory is no longer short, or no longer sought from you.
    ///
    /// # Errors
    ///
    /// The owner's; it has not taken note.
    fn all_clear(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

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
/// Complete on purpose: it will or it will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "an owner that will not give pages back need not be waited for"]
pub enum Answer {
    /// It will try; pages may come back.
    WillTry,
    /// Not of its own accord.
    No,
}

/// How short memory is (`enum vmpressure_levels`, `mm/vmpressure.c`, 5.8).
///
/// Complete on purpose: Linux knows these three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Memory is being reclaimed.
    Low,
    /// Reclaim finds it hard.
    Medium,
    /// Hardware will be stopped, or somebody killed.
    Critical,
}

/// What an owner is told.
///
/// Complete on purpose: signals are these pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// [`PinOwner::pressure`].
    Pressure(Level),
    /// [`PinOwner::all_clear`].
    AllClear,
}

/// What one owner has been told, so that every pressure is followed by one all-clear.
///
/// The level an owner was told may rise, and does not fall but to all clear. Saying again what it
/// knows says nothing.
///
/// # Examples
///
/// ```
/// use pinfold::revoke::{Level, Pressure, Signal};
///
/// let mut gpu = ();
/// let mut pressure = Pressure::new();
/// assert_eq!(pressure.due(None), None, "no all-clear without pressure");
/// pressure.tell(&mut gpu, Some(Level::Medium))?;
/// assert_eq!(pressure.due(Some(Level::Low)), None, "it knows");
/// assert_eq!(pressure.due(None), Some(Signal::AllClear));
/// # Ok::<(), core::convert::Infallible>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Pressure {
    told: Option<Level>,
}

impl Pressure {
    /// An owner that was told nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { told: None }
    }

    /// The level the owner was told and not cleared of; it is owed an all-clear.
    #[must_use]
    pub const fn level(&self) -> Option<Level> {
        self.told
    }

    /// What the owner has to be told so that it knows of `wanted`; `None` is all clear.
    #[must_use]
    pub fn due(&self, wanted: Option<Level>) -> Option<Signal> {
        match (self.told, wanted) {
            (told, Some(level)) if told < Some(level) => Some(Signal::Pressure(level)),
            (Some(_), None) => Some(Signal::AllClear),
            _ => None,
        }
    }

    /// Tells the owner what is [`due`](Self::due), and gives what it said to pressure.
    ///
    /// `Ok(None)`: nothing was due, or it was told that all is clear.
    ///
    /// # Errors
    ///
    /// The owner's; what it was told is as before, so an all-clear that did not arrive is still
    /// owed.
    pub fn tell<O: PinOwner + ?Sized>(
        &mut self,
        owner: &mut O,
        wanted: Option<Level>,
    ) -> Result<Option<Answer>, O::Error> {
        let answer = match self.due(wanted) {
            None => return Ok(None),
            Some(Signal::Pressure(level)) => Some(owner.pressure(level)?),
            Some(Signal::AllClear) => {
                owner.all_clear()?;
                None
            }
        };
        self.told = wanted;
        Ok(answer)
    }
}
