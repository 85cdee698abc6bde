//! A certificate that is named in `tls.ca` is believed as itself, also where it calls itself an authority: what `openssl req -x509`
//! makes is both, and servers show it. All else about it still counts: its time, its name, its key.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Believes what these certificates have signed, and these.
#[derive(Debug)]
pub(super) struct Named {
    signed: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Named {
    pub(super) fn of(
        certificates: Vec<CertificateDer<'static>>,
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, Error> {
        let signed = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let signed = signed.map_err(|error| Error::General(error.to_string()))?;
        Ok(Arc::new(Self { signed, certificates }))
    }
}

/// Whether the only thing wrong with it is that it is an authority. Its time was looked at before that.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.signed.verify_server_cert(leaf, chain, name, ocsp, now) {
            Err(error) if is_authority(&error) && self.certificates.contains(leaf) => {
                let own = webpki::EndEntityCert::try_from(leaf)
                    .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
                own.verify_is_valid_for_subject_name(name)
                    .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{CertificateError, Error, RootCertStore};

    use super::Named;

    fn self_signed(is_ca: IsCa) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["service.test".to_owned()]).unwrap();
        params.is_ca = is_ca;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn p8_a_self_signed_certificate_that_is_named_is_believed_for_its_name_and_its_time() {
        let now = UnixTime::now();
        for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa, IsCa::NoCa] {
            let (own, other) = (self_signed(is_ca), self_signed(is_ca));
            let mut roots = RootCertStore::empty();
            roots.add(own.clone()).unwrap();
            let named = Named::of(vec![own.clone()], Arc::new(roots), Arc::new(ring::default_provider())).unwrap();
            let verify = |leaf: &CertificateDer<'_>, name: &'static str, now| {
                named.verify_server_cert(leaf, &[], &ServerName::try_from(name).unwrap(), &[], now).map(drop)
            };
            assert_eq!(verify(&own, "service.test", now), Ok(()));
            let wrong = verify(&own, "other.test", now).unwrap_err();
            assert!(matches!(
                wrong,
                Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                )
            ));
            let long_after = UnixTime::since_unix_epoch(Duration::from_secs(200 * 365 * 86_400 * 20));
            assert!(verify(&own, "service.test", long_after).is_err());
            assert!(verify(&other, "service.test", now).is_err());
        }
    }
}
