//! The field of services under test.

use std::collections::BTreeMap;

use crate::domain::record::parse_service;

pub(super) fn parse_services(text: &str, max: usize) -> Result<BTreeMap<String, String>, String> {
    let mut services = BTreeMap::new();
    for part in text.split([' ', ',']).filter(|part| !part.is_empty()) {
        if !part.contains('=') {
            return Err(format!("{part}: expected SERVICE=TAG"));
        }
        let (name, tag) = parse_service(part).map_err(|error| format!("{part}: {}", error.rule))?;
        if services.insert(name, tag).is_some() {
            return Err(format!("{part}: duplicate service"));
        }
    }
    if services.len() > max {
        return Err(format!("must be at most {max} services"));
    }
    Ok(services)
}
