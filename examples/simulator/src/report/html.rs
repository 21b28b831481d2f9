use super::Report;use crate::error::Error;
pub fn page(_: &Report<'_>) -> Result<String, Error> { Ok(String::new()) }
