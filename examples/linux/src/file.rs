//! Output files: replaced as a whole if they are regular files, written through if they are not.

use crate::output::OutputError;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// As many links as Linux follows (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// Writes `content` to `path`.
///
/// A regular file is replaced in one step, and keeps its mode and, where permitted, its owner. Links
/// are followed. Pipes, devices and the files of `/proc` are written through.
///
/// # Errors
///
/// What kept it from being written. A regular file then has its old content.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), OutputError> {
    try_write(path, content).map_err(|error| OutputError::new(path.display(), error))
}

fn try_write(path: &Path, content: &[u8]) -> io::Result<()> {
    let target = follow(path)?;
    // Opening it finds out whether it may be written, as replacing it would not. To append is to
    // write to what `>>` of a shell has opened, if it is a name of standard output.
    match OpenOptions::new().append(true).open(&target) {
        Ok(mut file) => {
            let old = file.metadata()?;
            if old.is_file() && !target.starts_with("/proc") {
                replace(&target, Some(&old), content)
            } else {
                file.write_all(content)
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => replace(&target, None, content),
        Err(error) => Err(error),
    }
}

/// The path that the links lead to, which may not be there yet. Links in `/proc` are left to the
/// kernel: what they lead to need not have a path.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(name) = path.file_name() else {
            return Ok(path);
        };
        path = fs::canonicalize(directory(&path))?.join(name);
        if path.starts_with("/proc") {
            return Ok(path);
        }
        match fs::read_link(&path) {
            // An absolute target replaces all of it.
            Ok(target) => path = directory(&path).join(target),
            // It is not a link, or not there.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn replace(path: &Path, old: Option<&Metadata>, content: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pinfold-linux-");
    if old.is_none() {
        // The umask takes its part away.
        builder.permissions(Permissions::from_mode(0o666));
    }
    let mut file: NamedTempFile<File> = builder.tempfile_in(directory(path))?;
    file.write_all(content)?;
    if let Some(old) = old {
        let _ = fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
