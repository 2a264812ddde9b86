//! The local authority on disk, and the certificate a server presents.
//!
//! The authority is made once and kept, so that what clients were told to trust stays true; the
//! server's own certificate is issued anew at each start, so it never runs out and follows the
//! names that are set.

use std::path::{Path, PathBuf};

use millstream_core::{Clock, SystemClock};
use millstream_server::{LocalAuthority, PemPair, TlsIdentity};

use super::data_dir::{DataDir, Privacy, lock, read, write};
use crate::exit::{Failure, Outcome};
use crate::settings::Settings;

/// Names under which a server on this machine is always reached.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where the authority's certificate lies, which everyone may read.
pub(crate) fn authority_path(data_dir: &DataDir) -> PathBuf {
    data_dir.tls().join("ca.pem")
}

/// The local authority; made where there is none.
pub(crate) fn authority(data_dir: &DataDir) -> Outcome<LocalAuthority> {
    let _lock = lock(&data_dir.tls())?;
    let certificate_path = authority_path(data_dir);
    let key_path = data_dir.tls().join("ca.key");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let certificate = read(&certificate_path, Privacy::Public)?.map(text);
    let private_key = read(&key_path, Privacy::Secret)?.map(text);
    if let (Some(certificate), Some(private_key)) = (certificate, private_key) {
        return Ok(LocalAuthority { pem: PemPair { certificate, private_key } });
    }
    let made = LocalAuthority::generate(SystemClock.now()).map_err(Failure::failed)?;
    // The key first: a certificate without its key would be trusted for nothing.
    write(&key_path, made.pem.private_key.as_bytes(), Privacy::Secret)?;
    write(&certificate_path, made.pem.certificate.as_bytes(), Privacy::Public)?;
    Ok(made)
}

/// What the TLS port presents.
pub(crate) fn identity(settings: &Settings, data_dir: &DataDir) -> Outcome<TlsIdentity> {
    if let Some((certificate, private_key)) = &settings.tls_files {
        let chain = text_of(certificate, Privacy::Public)?;
        let key = text_of(private_key, Privacy::Secret)?;
        return TlsIdentity::from_pem(&chain, &key)
            .map_err(|error| Failure::usage(format!("{}: {error}", certificate.display())));
    }
    let mut names: Vec<String> = LOCAL_NAMES.iter().map(ToString::to_string).collect();
    names.extend(settings.tls_names.iter().cloned());
    names.extend(settings.tls_listen.map(|address| address.ip().to_string()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    names.extend(Some(host).filter(|host| !host.is_empty()));
    names.retain(|name| name != "0.0.0.0" && name != "::");
    names.sort();
    names.dedup();
    let issued = authority(data_dir)?.issue(&names, SystemClock.now());
    let pair = issued.map_err(|error| Failure::failed(format!("tls: {error}")))?;
    TlsIdentity::from_pair(&pair).map_err(Failure::failed)
}

fn text_of(path: &Path, privacy: Privacy) -> Outcome<String> {
    let bytes = read(path, privacy)?
        .ok_or_else(|| Failure::usage(format!("{} is not there", path.display())))?;
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is not PEM", path.display())))
}

#[cfg(test)]
mod tests {
    use super::super::data_dir::tests::TestDir;
    use super::*;

    #[test]
    fn the_authority_stays_the_same_over_restarts() {
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        let first = authority(&data_dir).unwrap().pem.certificate;
        assert_eq!(authority(&data_dir).unwrap().pem.certificate, first);
        let exported = read(&authority_path(&data_dir), Privacy::Public).unwrap().unwrap();
        assert_eq!(exported, first.as_bytes());
    }
}
