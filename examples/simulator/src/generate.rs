//! `generate`: a synthetic trace, for benchmarks.

use crate::cli::GenerateArgs;
use crate::error::Error;
use crate::output::Output;
use crate::replay::INTERRUPTED;
use crate::trace::{Format, unpacked};
use rand::{RngExt, SeedableRng};
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;

/// Writes requests to objects that are drawn by Zipf's law.
pub fn generate(args: &GenerateArgs) -> Result<(), Error> {
    let format = format(args)?;
    let bad = |found: String| Error::config("--skew", found, "an exponent of 0 or more");
    if !args.skew.is_finite() || args.skew < 0.0 {
        return Err(bad(args.skew.to_string()));
    }
    let zipf = rand_distr::Zipf::new(args.objects as f64, args.skew)
        .map_err(|error| bad(error.to_string()))?;
    let mut rng = rand_pcg::Pcg64::seed_from_u64(args.seed);
    Output::open(&args.out)?.write(|out| {
        if format == Format::Csv {
            writeln!(out, "time,object,size")?;
        }
        for request in 0..args.requests {
            if request % 4096 == 0 && INTERRUPTED.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let object = rng.sample::<f64, _>(zipf) as u64;
            let object = object.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let time = u32::try_from(request / 1000).unwrap_or(u32::MAX);
            if format == Format::Csv {
                writeln!(out, "{time},{object},4096")?;
            } else {
                out.write_all(&record(time, object))?;
            }
        }
        Ok(())
    })
}

/// A record of oracleGeneral. The next access is left open (-1): no model here looks ahead.
fn record(time: u32, object: u64) -> [u8; 24] {
    let mut record = [0; 24];
    record[..4].copy_from_slice(&time.to_le_bytes());
    record[4..12].copy_from_slice(&object.to_le_bytes());
    record[12..16].copy_from_slice(&4096u32.to_le_bytes());
    record[16..].copy_from_slice(&(-1i64).to_le_bytes());
    record
}

/// The format that is asked for, or else the one that the name says.
fn format(args: &GenerateArgs) -> Result<Format, Error> {
    let name = args.out.to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let place = if name == "-" {
        "standard output"
    } else {
        &*name
    };
    let bad = |found, expected| Err(Error::config(place, found, expected));
    if unpacked(&lower).1 {
        return bad(
            "a name of a compressed file, which generate does not write",
            "a name without that, or - and a pipe to zstd or gzip",
        );
    }
    match args.format.or_else(|| Format::of_name(&name)) {
        None => bad(
            "the name does not say which format to write",
            "--format oracleGeneral or csv, or a name that ends in .oracleGeneral or .csv",
        ),
        Some(Format::Lackey) => bad(
            "lackey's format, which generate does not write",
            "oracleGeneral or csv",
        ),
        Some(Format::OracleGeneral) if name == "-" && io::stdout().is_terminal() => bad(
            "binary data to a terminal",
            "a file, a pipe, or --format csv",
        ),
        Some(format) => Ok(format),
    }
}
