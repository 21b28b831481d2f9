//! A program that links only if no panic of the library is reachable from it.
//!
//! The panic handler calls a function that does not exist. If the optimiser finds every panic
//! unreachable, the linker drops the handler; otherwise the symbol is undefined and the link
//! fails. The program is never run.

#![no_std]
#![no_main]
mod calls;
mod mem;

use core::fmt;
use core::hint::black_box;
use core::panic::PanicInfo;
use core::ptr::read_volatile;

/// A type that has values of which the optimiser knows nothing, so that nothing which depends on
/// them is folded away.
pub trait Opaque {
    fn opaque() -> Self;
}

pub fn opaque<T: Opaque>() -> T {
    T::opaque()
}

/// Takes a result, so that it has to be computed.
pub fn keep<T>(result: T) {
    black_box(result);
}

/// The same value, of which the optimiser forgets what it knew, and what it knew of what the value
/// refers to: the length of a slice, or the state that other calls left behind.
pub fn hidden<T>(value: T) -> T {
    black_box(value)
}

/// Takes text, and may fail.
pub struct Sink;

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        keep(text);
        if opaque() { Ok(()) } else { Err(fmt::Error) }
    }
}

macro_rules! opaque_integers {
    ($($integer:ty)*) => {
        $(impl Opaque for $integer {
            fn opaque() -> Self {
                static SOURCE: $integer = 0;
                // SAFETY: a static is always readable.
                unsafe { read_volatile(&SOURCE) }
            }
        })*
    };
}

opaque_integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

impl Opaque for bool {
    fn opaque() -> Self {
        opaque::<u8>() != 0
    }
}

impl<T: Opaque> Opaque for Option<T> {
    fn opaque() -> Self {
        if opaque() { Some(opaque()) } else { None }
    }
}

impl<T: Opaque, E: Opaque> Opaque for Result<T, E> {
    fn opaque() -> Self {
        if opaque() {
            Ok(opaque())
        } else {
            Err(opaque())
        }
    }
}

impl Opaque for () {
    fn opaque() -> Self {}
}

impl<A: Opaque, B: Opaque> Opaque for (A, B) {
    fn opaque() -> Self {
        (opaque(), opaque())
    }
}

impl<T: Opaque, const N: usize> Opaque for [T; N] {
    fn opaque() -> Self {
        core::array::from_fn(|_| opaque())
    }
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    calls::every_entry_point();
    // Behind the calls, so that it also shows that the optimiser expects them to return.
    #[cfg(feature = "seeded-panic")]
    keep(opaque::<Option<u32>>().unwrap());
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    pinfold_has_a_reachable_panic()
}

#[cfg(not(feature = "linked-panic"))]
unsafe extern "C" {
    safe fn pinfold_has_a_reachable_panic() -> !;
}

#[cfg(feature = "linked-panic")]
#[unsafe(no_mangle)]
extern "C" fn pinfold_has_a_reachable_panic() -> ! {
    loop {}
}
