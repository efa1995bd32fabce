//! The client metadata of the handshake, made once per client.

use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};

use crate::settings::Settings;

/// Kept under the servers' limit of 512 bytes by leaving out what matters least.
pub fn client_document(settings: &Settings) -> RawDocumentBuf {
    let mut names = vec![env!("CARGO_PKG_NAME").to_owned()];
    let mut versions = vec![env!("CARGO_PKG_VERSION").to_owned()];
    let mut platforms = vec![settings.platform.clone()];
    for (name, version, platform) in &settings.driver {
        names.push(name.clone());
        versions.extend(version.clone());
        platforms.extend(platform.clone());
    }
    let os = rawdoc! {
        "type": match std::env::consts::OS { "linux" => "Linux", "macos" => "Darwin", other => other },
        "architecture": std::env::consts::ARCH,
    };
    let driver = rawdoc! { "name": names.join("|"), "version": versions.join("|") };
    let assemble = |os: RawDocumentBuf, platform: Option<String>| {
        let mut document = RawDocumentBuf::new();
        if let Some(name) = &settings.app_name {
            document.append(cstr!("application"), rawdoc! { "name": name.as_str() });
        }
        document.append(cstr!("driver"), driver.clone());
        document.append(cstr!("os"), os);
        if let Some(platform) = platform {
            document.append(cstr!("platform"), platform);
        }
        document
    };
    let full = assemble(os.clone(), Some(platforms.join("|")));
    if full.as_bytes().len() <= LIMIT {
        return full;
    }
    assemble(rawdoc! { "type": std::env::consts::OS }, None)
}

const LIMIT: usize = 512;
