//! `generate`: a synthetic trace in oracleGeneral, for benchmarks.

use crate::cli::GenerateArgs;
use crate::error::Error;
use rand::{RngExt, SeedableRng};
use std::fs::File;
use std::io::{BufWriter, Write};

/// Writes requests to objects that are drawn by Zipf's law. The next access is left open (-1): no
/// model here looks ahead.
pub fn generate(args: &GenerateArgs) -> Result<(), Error> {
    let bad = |found: String| {
        Error::config(
            "generate",
            found,
            "at least one object and a skew of 0 or more",
        )
    };
    let zipf = rand_distr::Zipf::new(args.objects as f64, args.skew)
        .map_err(|error| bad(error.to_string()))?;
    let mut rng = rand_pcg::Pcg64::seed_from_u64(args.seed);
    let io = || Error::io(&args.out);
    let mut out = BufWriter::new(File::create(&args.out).map_err(io())?);
    for request in 0..args.requests {
        let object = rng.sample::<f64, _>(zipf) as u64;
        let time = u32::try_from(request / 1000).unwrap_or(u32::MAX);
        let mut record = [0; 24];
        record[..4].copy_from_slice(&time.to_le_bytes());
        record[4..12].copy_from_slice(&object.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        record[12..16].copy_from_slice(&4096u32.to_le_bytes());
        record[16..].copy_from_slice(&(-1i64).to_le_bytes());
        out.write_all(&record).map_err(io())?;
    }
    out.flush().map_err(io())
}
