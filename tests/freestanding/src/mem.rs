//! The memory functions that every compiler takes for granted.
//!
//! Volatile, because the optimiser would turn a plain loop into a call of the very function.

use core::ffi::c_int;
use core::ptr::{read_volatile, write_volatile};

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    for i in 0..len {
        // SAFETY: the caller vouches for `len` bytes on both sides.
        unsafe { write_volatile(to.add(i), read_volatile(from.add(i))) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= len {
        // SAFETY: as the caller's; copying upwards does not overtake the source.
        return unsafe { memcpy(to, from, len) };
    }
    for i in (0..len).rev() {
        // SAFETY: the caller vouches for `len` bytes on both sides.
        unsafe { write_volatile(to.add(i), read_volatile(from.add(i))) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, len: usize) -> *mut u8 {
    for i in 0..len {
        // SAFETY: the caller vouches for `len` bytes.
        unsafe { write_volatile(to.add(i), byte as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> c_int {
    for i in 0..len {
        // SAFETY: the caller vouches for `len` bytes on both sides.
        let (a, b) = unsafe { (read_volatile(a.add(i)), read_volatile(b.add(i))) };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> c_int {
    // SAFETY: as the caller's.
    unsafe { memcmp(a, b, len) }
}
