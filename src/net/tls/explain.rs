//! A handshake's failure in the words users know from OpenSSL and search for.

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};

pub fn explain(error: &Error) -> String {
    let reason = match error {
        Error::InvalidCertificate(reason) => reason,
        Error::InvalidMessage(_) => return format!("the peer does not speak TLS ({error})"),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            return "the server asks for a client certificate".to_owned();
        }
        other => return other.to_string(),
    };
    let reason = match reason {
        CertificateError::UnknownIssuer => "unable to get local issuer certificate".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not yet valid".to_owned()
        }
        CertificateError::Revoked => "certificate revoked".to_owned(),
        CertificateError::UnknownRevocationStatus => "unable to get certificate CRL".to_owned(),
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => "CRL has expired".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let what = match expected {
                ServerName::IpAddress(_) => "IP address",
                _ => "Hostname",
            };
            let name = expected.to_str();
            // OpenSSL would look at the subject's common name then.
            let hint = if presented.is_empty() { " (it has no subjectAltName)" } else { "" };
            format!("{what} mismatch, certificate is not valid for '{name}'{hint}")
        }
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is an authority's (CA:TRUE), not a server's".to_owned()
        }
        other => other.to_string(),
    };
    format!("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason}")
}
