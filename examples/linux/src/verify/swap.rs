//! Sets up swap for `verify` if there is none: a new zram device, or a file.

use crate::output::note;
use crate::sys;
use anyhow::{Context, Result};
use procfs::{Current, Meminfo};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SIZE: u64 = 256 << 20;
const HOT_ADD: &str = "/sys/class/zram-control/hot_add";
const HOT_REMOVE: &str = "/sys/class/zram-control/hot_remove";

/// Swap space; removed when dropped, if `verify` made it.
pub(super) struct Swap {
    pub(super) what: String,
    _device: Option<Device>,
}

impl Swap {
    /// The existing swap if there is enough, or new swap.
    pub(super) fn get(dir: &Path) -> Result<Self> {
        let info = Meminfo::current().context("/proc/meminfo")?;
        if info.swap_free >= SIZE / 2 {
            let what = format!("of this machine, {} MiB free", info.swap_free >> 20);
            return Ok(Self {
                what,
                _device: None,
            });
        }
        let device = Device::zram().or_else(|zram| {
            Device::file(dir).map_err(|file| file.context(format!("zram: {zram:#}; swap file")))
        })?;
        let what = format!(
            "{}, made for this run, {} MiB",
            device.path.display(),
            SIZE >> 20
        );
        Ok(Self {
            what,
            _device: Some(device),
        })
    }
}

/// A swap device that `verify` made. Dropping it undoes the steps that were done.
struct Device {
    path: PathBuf,
    zram: Option<u32>,
    on: bool,
}

impl Device {
    /// Makes a new device; existing ones are not touched. Reading `hot_add` makes it.
    fn zram() -> Result<Self> {
        let number: u32 = fs::read_to_string(HOT_ADD)
            .context(HOT_ADD)?
            .trim()
            .parse()?;
        let path = PathBuf::from(format!("/dev/zram{number}"));
        let mut device = Self {
            path,
            zram: Some(number),
            on: false,
        };
        let size = format!("/sys/block/zram{number}/disksize");
        fs::write(&size, SIZE.to_string()).context(size)?;
        device.start()?;
        Ok(device)
    }

    fn file(dir: &Path) -> Result<Self> {
        let path = dir.join("swap");
        let mut file = File::create_new(&path)?;
        let mut device = Self {
            path,
            zram: None,
            on: false,
        };
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        // Swap files must not have holes.
        let block = vec![0; 1 << 20];
        for _ in 0..SIZE >> 20 {
            file.write_all(&block)?;
        }
        file.sync_all()?;
        device.start()?;
        Ok(device)
    }

    fn start(&mut self) -> Result<()> {
        let mut file = File::options().write(true).open(&self.path)?;
        write_header(&mut file, SIZE, procfs::page_size())?;
        file.sync_all()?;
        drop(file);
        sys::swap_on(&c_path(&self.path)?).context("swapon")?;
        self.on = true;
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let path = self.path.display();
        if self.on {
            let off = c_path(&self.path).map(|path| {
                loop {
                    // A pending signal interrupts it, but it must be done.
                    match sys::swap_off(&path) {
                        Err(Errno::INTR) => {}
                        done => break done,
                    }
                }
            });
            match off {
                Ok(Ok(())) => {}
                Ok(Err(error)) => note(format_args!("left behind: swap on {path}: {error}")),
                Err(error) => note(format_args!("left behind: swap on {path}: {error}")),
            }
        }
        let gone = match self.zram {
            Some(number) => fs::write(format!("/sys/block/zram{number}/reset"), "1")
                .and_then(|()| fs::write(HOT_REMOVE, number.to_string())),
            None => fs::remove_file(&self.path),
        };
        if let Err(error) = gone {
            note(format_args!("left behind: {path}: {error}"));
        }
    }
}

fn c_path(path: &Path) -> Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// The header that `mkswap` writes (`union swap_header`, `include/linux/swap.h`).
fn write_header(file: &mut (impl Write + Seek), size: u64, page_size: u64) -> Result<()> {
    let last_page = u32::try_from(size / page_size - 1)?;
    let mut page = vec![0u8; usize::try_from(page_size)?];
    page[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
    page[1028..1032].copy_from_slice(&last_page.to_ne_bytes());
    let end = page.len();
    page[end - 10..].copy_from_slice(b"SWAPSPACE2");
    file.seek(SeekFrom::Start(0))?;
    Ok(file.write_all(&page)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Fails if the kernel would refuse it, or would swap beyond its end.
    #[test]
    fn the_header_is_mkswap_s() {
        let mut file = Cursor::new(Vec::new());
        write_header(&mut file, SIZE, 4096).expect("written");
        let page = file.into_inner();
        assert_eq!(page.len(), 4096);
        assert_eq!(&page[4086..], b"SWAPSPACE2");
        assert_eq!(
            page[1024..1032],
            [1u32.to_ne_bytes(), 65535u32.to_ne_bytes()].concat()
        );
    }
}
