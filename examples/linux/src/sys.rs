//! The only module with `unsafe`: mapped memory, and system calls that no crate covers.
#![allow(unsafe_code)]

use io_uring::IoUring;
use nix::unistd::ForkResult;
use rustix::io::{Errno, Result};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use std::ffi::{CStr, c_void};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

/// `struct page_region` (`include/uapi/linux/fs.h`).
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct PageRegion {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) categories: u64,
}

/// `struct pm_scan_arg` (`include/uapi/linux/fs.h`).
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct PmScanArg {
    pub(crate) size: u64,
    pub(crate) flags: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) walk_end: u64,
    pub(crate) vec: u64,
    pub(crate) vec_len: u64,
    pub(crate) max_pages: u64,
    pub(crate) category_inverted: u64,
    pub(crate) category_mask: u64,
    pub(crate) category_anyof_mask: u64,
    pub(crate) return_mask: u64,
}

/// Calls `PAGEMAP_SCAN` without write protection. Returns how many regions were filled.
pub(crate) fn pagemap_scan(
    pagemap: &File,
    arg: &mut PmScanArg,
    regions: &mut [PageRegion],
) -> Result<usize> {
    arg.flags = 0;
    arg.vec = regions.as_mut_ptr().expose_provenance() as u64;
    arg.vec_len = regions.len() as u64;
    // SAFETY: `Scan` is PAGEMAP_SCAN with its argument, whose `vec` points to `vec_len` writable
    // regions that outlive the call.
    unsafe { ioctl(pagemap.as_fd(), Scan(arg)) }
}

struct Scan<'a>(&'a mut PmScanArg);

// SAFETY: the opcode is PAGEMAP_SCAN's, the pointer is to a `struct pm_scan_arg`, which the kernel
// writes to, and what the call returns is the number of regions.
unsafe impl Ioctl for Scan<'_> {
    type Output = usize;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<PmScanArg>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<usize> {
        usize::try_from(out).map_err(|_| Errno::OVERFLOW)
    }
}

/// Memory of this process, unmapped when dropped. It is accessed through raw pointers only, so that
/// the kernel and devices may change it at any time.
#[derive(Debug)]
pub(crate) struct Memory {
    start: *mut u8,
    len: usize,
}

impl Memory {
    /// Anonymous memory: private, or shared with children.
    pub(crate) fn anonymous(len: usize, shared: bool) -> Result<Self> {
        let how = if shared {
            MapFlags::SHARED
        } else {
            MapFlags::PRIVATE
        };
        let all = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps no other.
        let start = unsafe { mm::mmap_anonymous(ptr::null_mut(), len, all, how) }?;
        let start = start.cast();
        Self { start, len }.apart()
    }

    /// The pages of a file, shared.
    pub(crate) fn file(file: &File, len: usize) -> Result<Self> {
        let all = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as above; nobody else has the file, so it is not truncated.
        let start = unsafe { mm::mmap(ptr::null_mut(), len, all, MapFlags::SHARED, file, 0) }?;
        let start = start.cast();
        Self { start, len }.apart()
    }

    /// Anonymous private memory that begins at a multiple of its length.
    pub(crate) fn aligned(len: usize) -> Result<Self> {
        let mut memory = Self::anonymous(2 * len, false)?;
        let before = memory.start.align_offset(len);
        for (at, len) in [(0, before), (before + len, len - before)] {
            if len > 0 {
                // SAFETY: the range is the start or the end of a mapping that nothing refers to yet,
                // and what is left of it is kept in `memory` below.
                unsafe { mm::munmap(memory.start.wrapping_add(at).cast(), len) }?;
            }
        }
        memory.start = memory.start.wrapping_add(before);
        memory.len = len;
        Ok(memory)
    }

    /// Keeps it a separate VMA, so that `smaps` is about it alone: VMAs with different flags are not
    /// merged.
    fn apart(self) -> Result<Self> {
        self.advise(Advice::LinuxDontDump)?;
        Ok(self)
    }

    /// A second handle for a read into it from another thread.
    pub(crate) const fn view(&self) -> View {
        View {
            start: self.start,
            len: self.len,
        }
    }

    pub(crate) fn address(&self) -> u64 {
        self.start.expose_provenance() as u64
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Reads a byte of every page, or writes one.
    pub(crate) fn touch(&self, write: bool) {
        for at in (0..self.len).step_by(rustix::param::page_size()) {
            // SAFETY: `at` is below `len`.
            let byte = unsafe { self.start.add(at) };
            if write {
                // SAFETY: the byte is mapped for as long as `self` lives; volatile, because the
                // kernel observes the access.
                unsafe { byte.write_volatile(0x5a) };
            } else {
                // SAFETY: as above.
                let _ = unsafe { byte.read_volatile() };
            }
        }
    }

    /// Advises the kernel about all of it.
    pub(crate) fn advise(&self, advice: Advice) -> Result<()> {
        // SAFETY: the range is mapped and belongs to `self`, and nothing relies on its content.
        unsafe { mm::madvise(self.start.cast(), self.len, advice) }
    }

    pub(crate) fn lock(&self) -> Result<()> {
        // SAFETY: the range is mapped.
        unsafe { mm::mlock(self.start.cast(), self.len) }
    }

    /// Removes all access rights (`PROT_NONE`).
    pub(crate) fn forbid(&self) -> Result<()> {
        // SAFETY: no reference into the range exists; `touch` is not called after this.
        unsafe { mm::mprotect(self.start.cast(), self.len, mm::MprotectFlags::empty()) }
    }

    /// Which pages are in memory, in the page tables or in a cache (`mincore`).
    pub(crate) fn in_core(&self) -> Result<Vec<bool>> {
        let mut pages = vec![0u8; self.len.div_ceil(rustix::param::page_size())];
        // SAFETY: the range is mapped, and `pages` has a byte for each of its pages.
        let failed = unsafe { libc::mincore(self.start.cast(), self.len, pages.as_mut_ptr()) } != 0;
        if failed {
            return Err(last_error());
        }
        Ok(pages.iter().map(|page| page & 1 != 0).collect())
    }

    /// Registers it with a ring, which pins it until it is unregistered.
    pub(crate) fn register(&self, ring: &IoUring) -> std::io::Result<()> {
        let buffer = libc::iovec {
            iov_base: self.start.cast(),
            iov_len: self.len,
        };
        // SAFETY: the pins keep the pages until they are unregistered; no request uses the buffer.
        unsafe { ring.submitter().register_buffers(&[buffer]) }
    }

    /// Adds its pages to a pipe, which holds a reference to each (`vmsplice`). Returns how many bytes.
    pub(crate) fn splice_into(&self, pipe: &OwnedFd) -> Result<usize> {
        // SAFETY: the bytes are mapped; nobody writes to them while the slice lives.
        let bytes = unsafe { std::slice::from_raw_parts(self.start, self.len) };
        let buffer = rustix::pipe::IoSliceRaw::from_slice(bytes);
        let flags = rustix::pipe::SpliceFlags::NONBLOCK;
        // SAFETY: the pages are not written to before the pipe is gone.
        unsafe { rustix::pipe::vmsplice(pipe, &[buffer], flags) }
    }
}

/// The range of a [`Memory`] that a thread reads into. The memory has to stay mapped until the thread
/// ends.
#[derive(Debug)]
pub(crate) struct View {
    start: *mut u8,
    len: usize,
}

// SAFETY: the range is only given to the kernel.
unsafe impl Send for View {}

impl View {
    /// Reads from a file into it. Blocks.
    pub(crate) fn fill_from(&self, file: &File) -> Result<usize> {
        // SAFETY: the kernel checks the range; if it is unmapped, the read fails.
        let got = unsafe { libc::pread(file.as_raw_fd(), self.start.cast(), self.len, 0) };
        usize::try_from(got).map_err(|_| last_error())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to `self`, and nothing refers to it any more.
        let _ = unsafe { mm::munmap(self.start.cast(), self.len) };
    }
}

/// Forks. The caller has one thread, so the child may do whatever its parent may.
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: a process with one thread holds no lock that another thread would have to release.
    unsafe { nix::unistd::fork() }
}

/// Moves this thread, and what it starts, to a new mount namespace.
pub(crate) fn own_mounts() -> Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: a mount namespace affects neither memory nor open files.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
}

/// Enables swap on a device or file.
pub(crate) fn swap_on(path: &CStr) -> Result<()> {
    // SAFETY: the path is a C string.
    outcome(unsafe { libc::swapon(path.as_ptr(), 0) })
}

/// Disables swap on it, after reading back what is there.
pub(crate) fn swap_off(path: &CStr) -> Result<()> {
    // SAFETY: the path is a C string.
    outcome(unsafe { libc::swapoff(path.as_ptr()) })
}

fn outcome(returned: i32) -> Result<()> {
    if returned == 0 {
        Ok(())
    } else {
        Err(last_error())
    }
}

fn last_error() -> Errno {
    let code = std::io::Error::last_os_error().raw_os_error();
    Errno::from_raw_os_error(code.unwrap_or(libc::EIO))
}
