use super::Report;use crate::error::Error;
pub fn overview(_: &Report<'_>) -> Result<String, Error> { Ok(String::new()) }
