//! The option `--service`.

use std::collections::BTreeMap;

use crate::domain::record::parse_service;
use crate::failure::{Failure, Kind};

/// Parses the values of `--service`.
pub(crate) fn parse_services(services: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut parsed = BTreeMap::new();
    for service in services {
        let (name, tag) = parse_service(service)?;
        if parsed.insert(name.clone(), tag).is_some() {
            let message = format!("service {name} is given twice");
            return Err(Failure::new(Kind::Usage, message, "give each service one image tag"));
        }
    }
    Ok(parsed)
}
